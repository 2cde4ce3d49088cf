"""CTC and the transducer, beside SpeechBrain, torch and torchaudio."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, Target, peer_module, work

_BATCH, _FRAMES, _LABELS, _CLASSES = 16, 256, 32, 64


def _losses() -> Any:
    return peer_module("speechbrain.nnet.losses")


def _ctc_inputs(device: torch.device) -> tuple[torch.Generator, Tensor]:
    g = draw.generator()
    logits = torch.randn(_BATCH, _FRAMES, _CLASSES, generator=g)
    return g, logits.log_softmax(-1).to(device).requires_grad_()


def _ctc(device: torch.device) -> Sides:
    g, scores = _ctc_inputs(device)
    targets = 1 + draw.labels(g, device, _CLASSES - 1, _BATCH, _LABELS)
    frames = draw.lengths(g, device, _BATCH, _FRAMES)
    counts = draw.lengths(g, device, _BATCH, _LABELS)
    rest = [targets, frames, counts, 0]
    whole = (frames * _FRAMES).round().int(), (counts * _LABELS).round().int()
    return Sides(
        work(scriptable.ctc_loss, [scores], *rest),
        lambda: work(_losses().ctc_loss, [scores], *rest),
        work(
            lambda x: F.ctc_loss(
                x.transpose(0, 1), targets, whole[0], whole[1], zero_infinity=True
            ),
            [scores],
        ),
        limit_agrees=False,
    )


def _ctc_kd(device: torch.device) -> Sides:
    g, scores = _ctc_inputs(device)
    teacher = torch.randn(_BATCH, _FRAMES, _CLASSES, generator=g).to(device)
    frames = draw.lengths(g, device, _BATCH, _FRAMES)
    return Sides(
        work(scriptable.ctc_loss_kd, [scores], teacher, frames, 0, device),
        lambda: work(_losses().ctc_loss_kd, [scores], teacher, frames, 0, device),
    )


def _transducer(device: torch.device) -> Sides:
    g = draw.generator()
    batch, frames, labels, classes = 4, 100, 30, 500
    logits = draw.normal(g, device, batch, frames, labels + 1, classes)
    targets = 1 + draw.labels(g, device, classes - 1, batch, labels)
    ones = torch.ones(batch, device=device)
    counts = [
        torch.full((batch,), frames, dtype=torch.int32, device=device),
        torch.full((batch,), labels, dtype=torch.int32, device=device),
    ]

    def peer() -> Any:
        return peer_module("torchaudio.functional").rnnt_loss

    return Sides(
        work(scriptable.transducer_loss, [logits], targets, ones, ones, 0),
        lambda: work(peer(), [logits], targets.int(), *counts, 0),
    )


CASES = [
    Case("ctc_loss", f"B{_BATCH} T{_FRAMES} S{_LABELS} C{_CLASSES}", _ctc, "speechbrain"),
    Case("ctc_loss_kd", f"B{_BATCH} T{_FRAMES} C{_CLASSES}", _ctc_kd, "speechbrain"),
    Case(
        "transducer_loss",
        "B4 T100 S30 C500",
        _transducer,
        "torchaudio",
        target=Target(0.16, 1.02),
        # The gradient of torchaudio is ten times further from the one in float64 than ours.
        tolerance=1e-3,
    ),
]
