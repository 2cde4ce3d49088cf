"""Regression losses of padded sequences, beside SpeechBrain and torch."""

import torch
from torch.nn import functional as F

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, Target, peer_module, work

_BATCH, _FRAMES, _FEATURES = 32, 500, 80
_TORCH = {"l1_loss": F.l1_loss, "mse_loss": F.mse_loss}


def _loss(name: str, padded: bool, target: Target, limit_target: Target) -> Case:
    def make(device: torch.device) -> Sides:
        g = draw.generator()
        shape = (_BATCH, _FRAMES, _FEATURES)
        predictions = draw.normal(g, device, *shape)
        targets = torch.randn(shape, generator=g).to(device)
        rest = [targets, draw.lengths(g, device, _BATCH, _FRAMES)] if padded else [targets]
        return Sides(
            work(getattr(scriptable, name), [predictions], *rest),
            lambda: work(
                getattr(peer_module("speechbrain.nnet.losses"), name), [predictions], *rest
            ),
            work(_TORCH[name], [predictions], targets),
            limit_agrees=not padded,
        )

    shape = f"B{_BATCH} T{_FRAMES} F{_FEATURES}{', lengths' if padded else ''}"
    limit = f"F.{name}"
    return Case(name, shape, make, "speechbrain", limit, target, limit_target)


def _distance(device: torch.device) -> Sides:
    g = draw.generator()
    batch, frames = 256, 128
    predictions = draw.normal(g, device, batch, frames)
    rest = [
        (frames * torch.rand(batch, generator=g)).to(device),
        draw.lengths(g, device, batch, frames),
    ]
    return Sides(
        work(scriptable.distance_diff_loss, [predictions], *rest),
        lambda: work(
            peer_module("speechbrain.nnet.losses").distance_diff_loss, [predictions], *rest
        ),
    )


_UNMASKED = Target(1.1, 1.05)
CASES = [
    _loss("l1_loss", True, Target(1.05, 1.0), Target(1.2, 1.5)),
    _loss("mse_loss", True, Target(1.1, 1.0), Target(None, 1.5)),
    _loss("l1_loss", False, Target(1.05, 1.0), _UNMASKED),
    _loss("mse_loss", False, Target(1.05, 1.0), _UNMASKED),
    Case("distance_diff_loss", "B256 T128, lengths", _distance, "speechbrain"),
]
