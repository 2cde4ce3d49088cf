"""Masks and masked reductions of the user's own losses, beside SpeechBrain."""

from typing import Any

import torch
from torch import nn

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, peer_module, work

_BATCH, _FRAMES, _FEATURES = 32, 500, 80
_SHAPE = f"B{_BATCH} T{_FRAMES} F{_FEATURES}"


def _losses() -> Any:
    return peer_module("speechbrain.nnet.losses")


def _mask(device: torch.device) -> Sides:
    g = draw.generator()
    data = torch.randn(_BATCH, _FRAMES, _FEATURES, generator=g).to(device)
    length = draw.lengths(g, device, _BATCH, _FRAMES)
    return Sides(
        work(lambda: scriptable.compute_length_mask(data, length), []),
        lambda: work(lambda: _losses().compute_length_mask(data, length), []),
    )


def _reduce(device: torch.device) -> Sides:
    g = draw.generator()
    loss = draw.normal(g, device, _BATCH, _FRAMES, _FEATURES)
    mask = scriptable.compute_length_mask(loss.detach(), draw.lengths(g, device, _BATCH, _FRAMES))
    # The peer's does not select: it is given a loss that has been masked.
    return Sides(
        work(lambda x: scriptable.reduce_loss(x, mask), [loss]),
        lambda: work(lambda x: _losses().reduce_loss(x * mask, mask), [loss]),
    )


def _masked(device: torch.device) -> Sides:
    g = draw.generator()
    shape = (_BATCH, _FRAMES, _FEATURES)
    predictions = draw.normal(g, device, *shape)
    targets = torch.randn(shape, generator=g).to(device)
    length = draw.lengths(g, device, _BATCH, _FRAMES)
    loss = nn.SmoothL1Loss(reduction="none")

    def run(function: Any) -> Any:
        return work(lambda x: function(loss, x, targets, length), [predictions])

    return Sides(run(scriptable.compute_masked_loss), lambda: run(_losses().compute_masked_loss))


CASES = [
    Case("compute_length_mask", _SHAPE, _mask, "speechbrain"),
    Case("reduce_loss", _SHAPE, _reduce, "speechbrain"),
    Case("compute_masked_loss", f"smooth l1, {_SHAPE}, lengths", _masked, "speechbrain"),
]
