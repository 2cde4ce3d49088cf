"""Rows of the losses per frame or utterance: error, likelihoods, divergence, cross-entropy."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

import scriptable
from export.backends._base import Inputs
from export.catalog import draw
from export.catalog.row import Draw, Padding, Row
from scriptable._core.reduction import REDUCTIONS

_BATCH, _FRAMES, _CLASSES = 3, 7, 5


def _log_probabilities(g: Generator, *shape: int) -> Tensor:
    return torch.log_softmax(draw.normal(g, *shape, _CLASSES), -1)


def _frames(g: Generator) -> Inputs:
    shape = (_BATCH, _FRAMES)
    return _log_probabilities(g, *shape), draw.labels(g, *shape, classes=_CLASSES)


def _padded(g: Generator) -> Inputs:
    return (*_frames(g), draw.lengths(g, _BATCH, _FRAMES))


def _utterances(g: Generator) -> Inputs:
    return _log_probabilities(g, 2 * _BATCH), draw.labels(g, 2 * _BATCH, classes=_CLASSES)


def _logits(g: Generator) -> Inputs:
    return draw.normal(g, _BATCH, _FRAMES), draw.uniform(g, _BATCH, _FRAMES)


def _padded_logits(g: Generator) -> Inputs:
    return (*_logits(g), draw.lengths(g, _BATCH, _FRAMES))


def _weighted_logits(g: Generator) -> Inputs:
    return (*_padded_logits(g), draw.uniform(g, _BATCH))


def _multi_label(g: Generator) -> Inputs:
    shape = (_BATCH, _FRAMES, _CLASSES)
    return draw.normal(g, *shape), draw.labels(g, *shape), draw.lengths(g, _BATCH, _FRAMES)


def _single_logits(g: Generator) -> Inputs:
    return draw.normal(g, 2 * _BATCH), draw.labels(g, 2 * _BATCH)


def _class_weights() -> Tensor:
    return torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0])


def _row(
    entry: str,
    variant: str,
    module: Callable[[], nn.Module],
    inputs: Draw,
    padded: tuple[int, ...] = (),
    differentiable: tuple[int, ...] = (0,),
) -> Row:
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": inputs},
        also=(_MODULES[entry],),
        padding=Padding(length=2, inputs=padded) if padded else None,
        differentiable=differentiable,
    )


_MODULES = {
    "classification_error": "ClassificationError",
    "nll_loss": "NLLLoss",
    "kldiv_loss": "KLDivLoss",
    "bce_loss": "BCELoss",
}


def _error(reduction: str) -> Callable[[], nn.Module]:
    return lambda: scriptable.ClassificationError(reduction=reduction)


def _nll(reduction: str, weighted: bool = False) -> Callable[[], nn.Module]:
    if not weighted:
        return lambda: scriptable.NLLLoss(reduction=reduction)
    return lambda: scriptable.NLLLoss(
        label_smoothing=0.1, weight=_class_weights(), reduction=reduction
    )


def _kldiv(reduction: str, smoothing: float = 0.1) -> Callable[[], nn.Module]:
    return lambda: scriptable.KLDivLoss(label_smoothing=smoothing, reduction=reduction)


def _bce(reduction: str, smoothing: float = 0.0) -> Callable[[], nn.Module]:
    return lambda: scriptable.BCELoss(reduction=reduction, label_smoothing=smoothing)


def _positive_weights() -> nn.Module:
    return scriptable.BCELoss(pos_weight=_class_weights(), label_smoothing=0.1)


ROWS = [
    *[
        _row("classification_error", f"{reduction}, lengths", _error(reduction), _padded, (0,), ())
        for reduction in REDUCTIONS
    ],
    _row("classification_error", "mean, no lengths", _error("mean"), _frames, (), ()),
    _row("classification_error", "batch, utterances", _error("batch"), _utterances, (), ()),
    *[
        _row("nll_loss", f"{reduction}, lengths", _nll(reduction), _padded, (0,))
        for reduction in REDUCTIONS
    ],
    *[
        _row("nll_loss", f"{r}, lengths, weighted, smoothed", _nll(r, True), _padded, (0,))
        for r in ("mean", "batch")
    ],
    _row("nll_loss", "mean, no lengths", _nll("mean"), _frames),
    _row("nll_loss", "none, utterances, weighted, smoothed", _nll("none", True), _utterances),
    *[
        _row("kldiv_loss", f"{reduction}, lengths, smoothed", _kldiv(reduction), _padded, (0,))
        for reduction in REDUCTIONS
    ],
    _row("kldiv_loss", "mean, lengths", _kldiv("mean", 0.0), _padded, (0,)),
    _row("kldiv_loss", "mean, no lengths, smoothed", _kldiv("mean"), _frames),
    _row("kldiv_loss", "batch, utterances", _kldiv("batch", 0.0), _utterances),
    *[
        _row("bce_loss", f"{reduction}, lengths", _bce(reduction), _padded_logits, (0, 1), (0, 1))
        for reduction in REDUCTIONS
    ],
    _row("bce_loss", "mean, no lengths, smoothed", _bce("mean", 0.2), _logits, (), (0, 1)),
    _row("bce_loss", "mean, weighted", _bce("mean"), _weighted_logits, (0, 1), (0, 1, 3)),
    _row("bce_loss", "mean, positives weighted", _positive_weights, _multi_label, (0,)),
    _row("bce_loss", "none, utterances", _bce("none"), _single_logits),
]
