"""Autoencoders' losses and image losses, beside SpeechBrain."""

from typing import Any

import torch

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, peer_module, work

_BATCH, _FRAMES, _FEATURES = 16, 256, 80


def _losses() -> Any:
    return peer_module("speechbrain.nnet.losses")


def _variational(device: torch.device) -> Sides:
    g = draw.generator()
    shape = (_BATCH, _FRAMES, _FEATURES)
    rec, mean, log_var = (draw.normal(g, device, *shape) for _ in range(3))
    targets = torch.randn(shape, generator=g).to(device)
    length = draw.lengths(g, device, _BATCH, _FRAMES)
    output = scriptable.VariationalAutoencoderOutput(rec, mean, mean, log_var, mean, mean)

    def run(loss: Any) -> Any:
        return work(lambda *leaves: loss(output, targets, length), [rec, mean, log_var])

    return Sides(
        run(scriptable.VariationalAutoencoderLoss()),
        lambda: run(_losses().VariationalAutoencoderLoss()),
    )


def _plain(device: torch.device) -> Sides:
    g = draw.generator()
    rec = draw.normal(g, device, _BATCH, _FRAMES, _FEATURES)
    targets = torch.randn(_BATCH, _FRAMES, _FEATURES, generator=g).to(device)
    length = draw.lengths(g, device, _BATCH, _FRAMES)
    output = scriptable.AutoencoderOutput(rec, rec, rec)

    def run(loss: Any) -> Any:
        return work(lambda *leaves: loss(output, targets, length), [rec])

    return Sides(run(scriptable.AutoencoderLoss()), lambda: run(_losses().AutoencoderLoss()))


def _images(device: torch.device) -> torch.Tensor:
    return draw.normal(draw.generator(), device, _BATCH, _FRAMES, _FEATURES)


def _laplacian(device: torch.device) -> Sides:
    images = _images(device)
    ours = scriptable.Laplacian(3).to(device)

    def peer() -> Any:
        theirs = _losses().Laplacian(3).to(device)
        # Not as a module: its kernel is a parameter, which nobody trains.
        return work(lambda x: theirs(x.unsqueeze(1)).squeeze(1), [images])

    return Sides(work(lambda x: ours(x), [images]), peer)


def _variance(device: torch.device) -> Sides:
    images = _images(device)
    ours = scriptable.LaplacianVarianceLoss().to(device)

    def peer() -> Any:
        loss = _losses().LaplacianVarianceLoss().to(device)
        return work(lambda x: loss(x.unsqueeze(1)), [images])

    return Sides(work(lambda x: ours(x), [images]), peer)


_SHAPE = f"B{_BATCH} T{_FRAMES} F{_FEATURES}"
CASES = [
    Case("VariationalAutoencoderLoss", f"{_SHAPE}, lengths", _variational, "speechbrain"),
    Case("AutoencoderLoss", f"{_SHAPE}, lengths", _plain, "speechbrain"),
    Case("Laplacian", _SHAPE, _laplacian, "speechbrain"),
    Case("LaplacianVarianceLoss", _SHAPE, _variance, "speechbrain"),
]
