"""Losses of frames and of distributions over classes, beside SpeechBrain and torch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, Target, peer_module, work

_BATCH, _FRAMES = 32, 500


def _losses() -> Any:
    return peer_module("speechbrain.nnet.losses")


def _log_probabilities(device: torch.device, classes: int) -> tuple[torch.Generator, Tensor]:
    g = draw.generator()
    drawn = torch.randn(_BATCH, _FRAMES, classes, generator=g).log_softmax(-1)
    return g, drawn.to(device).requires_grad_()


def _nll(classes: int, padded: bool, smoothing: float = 0.0) -> Case:
    def make(device: torch.device) -> Sides:
        g, scores = _log_probabilities(device, classes)
        targets = draw.labels(g, device, classes, _BATCH, _FRAMES)
        length = draw.lengths(g, device, _BATCH, _FRAMES) if padded else None
        rest = [targets, length, smoothing]
        limit = work(lambda x: F.nll_loss(x.reshape(-1, classes), targets.reshape(-1)), [scores])
        return Sides(
            work(scriptable.nll_loss, [scores], *rest),
            lambda: work(_losses().nll_loss, [scores], *rest),
            limit,
            limit_agrees=not padded and smoothing == 0.0,
        )

    extra = (", lengths" if padded else "") + (f", smoothed {smoothing}" if smoothing else "")
    limit_target = Target(1.15, 1.05) if not padded and not smoothing else None
    return Case(
        "nll_loss",
        f"B{_BATCH} T{_FRAMES} C{classes}{extra}",
        make,
        "speechbrain",
        "F.nll_loss",
        limit_target=limit_target,
    )


def _kldiv(device: torch.device) -> Sides:
    g, scores = _log_probabilities(device, 1000)
    # No target is the padding's: the peer counts those frames, and its mean is a sum anyway.
    targets = 1 + draw.labels(g, device, 999, _BATCH, _FRAMES)
    rest = [targets, None, 0.1, 3, 0, "sum"]
    return Sides(
        work(scriptable.kldiv_loss, [scores], *rest),
        lambda: work(_losses().kldiv_loss, [scores], *rest),
    )


def _bce(shape: tuple[int, ...], padded: bool) -> Case:
    def make(device: torch.device) -> Sides:
        g = draw.generator()
        logits = draw.normal(g, device, *shape)
        targets = draw.labels(g, device, 2, *shape)
        length = draw.lengths(g, device, shape[0], shape[1]) if padded else None
        return Sides(
            work(scriptable.bce_loss, [logits], targets, length),
            lambda: work(_losses().bce_loss, [logits], targets, length),
            work(lambda x: F.binary_cross_entropy_with_logits(x, targets.to(x.dtype)), [logits]),
            limit_agrees=not padded,
        )

    text = " ".join(f"{letter}{size}" for letter, size in zip("BTC", shape, strict=False))
    return Case(
        "bce_loss",
        text + (", lengths" if padded else ""),
        make,
        "speechbrain",
        "F.binary_cross_entropy_with_logits",
    )


def _error(device: torch.device) -> Sides:
    g, scores = _log_probabilities(device, 200)
    rest: list[Any] = [
        draw.labels(g, device, 200, _BATCH, _FRAMES),
        draw.lengths(g, device, _BATCH, _FRAMES),
    ]
    scores = scores.detach()
    return Sides(
        work(lambda: scriptable.classification_error(scores, *rest), []),
        lambda: work(lambda: _losses().classification_error(scores, *rest), []),
    )


def _kd(name: str, make: Callable[[torch.device], tuple[Tensor, list[Tensor]]], shape: str) -> Case:
    def sides(device: torch.device) -> Sides:
        student, rest = make(device)
        return Sides(
            work(getattr(scriptable, name), [student], *rest),
            lambda: work(getattr(_losses(), name), [student], *rest),
        )

    return Case(name, shape, sides, "speechbrain")


def _rows(device: torch.device) -> tuple[Tensor, list[Tensor]]:
    g = draw.generator()
    student = torch.randn(16000, 80, generator=g).log_softmax(1).to(device).requires_grad_()
    return student, [torch.randn(16000, 80, generator=g).softmax(1).to(device)]


def _frames(device: torch.device) -> tuple[Tensor, list[Tensor]]:
    g, student = _log_probabilities(device, 80)
    teacher = torch.randn(_BATCH, _FRAMES, 80, generator=g).softmax(2).to(device)
    return student, [teacher, draw.lengths(g, device, _BATCH, _FRAMES)]


CASES = [
    _nll(1000, padded=False),
    _nll(1000, padded=True),
    _nll(1000, padded=True, smoothing=0.1),
    Case(
        "kldiv_loss",
        f"B{_BATCH} T{_FRAMES} C1000, smoothed 0.1",
        _kldiv,
        "speechbrain",
        target=Target(0.17, 0.3),
    ),
    _bce((_BATCH, _FRAMES, 80), padded=False),
    _bce((_BATCH, _FRAMES, 80), padded=True),
    _bce((_BATCH, _FRAMES), padded=True),
    Case("classification_error", f"B{_BATCH} T{_FRAMES} C200, lengths", _error, "speechbrain"),
    _kd("ce_kd", _rows, "N16000 F80"),
    _kd("nll_loss_kd", _frames, f"B{_BATCH} T{_FRAMES} F80, lengths"),
]
