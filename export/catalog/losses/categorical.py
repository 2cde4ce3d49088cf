"""Rows of the classification error and the negative log-likelihood."""

from collections.abc import Callable

from torch import nn

import scriptable
from export.catalog.losses._log_probabilities import class_weights, frames, padded, utterances
from export.catalog.row import Draw, Padding, Row
from scriptable.losses import REDUCTIONS

_PADDING = Padding(length=2, inputs=(0,))


def _error(variant: str, reduction: str, inputs: Draw, padding: Padding | None = None) -> Row:
    return Row(
        entry="classification_error",
        variant=variant,
        module=lambda: scriptable.ClassificationError(reduction=reduction),
        methods={"forward": inputs},
        also=("ClassificationError",),
        padding=padding,
        differentiable=(),
    )


def _nll(
    variant: str,
    reduction: str,
    inputs: Draw,
    padding: Padding | None = None,
    module: Callable[[str], nn.Module] = lambda r: scriptable.NLLLoss(reduction=r),
) -> Row:
    return Row(
        entry="nll_loss",
        variant=variant,
        module=lambda: module(reduction),
        methods={"forward": inputs},
        also=("NLLLoss",),
        padding=padding,
    )


def _weighted(reduction: str) -> nn.Module:
    return scriptable.NLLLoss(label_smoothing=0.1, weight=class_weights(), reduction=reduction)


ROWS = [
    *[_error(f"{name}, lengths", name, padded, _PADDING) for name in REDUCTIONS],
    _error("mean, no lengths", "mean", frames),
    _error("batch, utterances", "batch", utterances),
    *[_nll(f"{name}, lengths", name, padded, _PADDING) for name in REDUCTIONS],
    *[
        _nll(f"{name}, lengths, weighted, smoothed", name, padded, _PADDING, _weighted)
        for name in ("mean", "batch")
    ],
    _nll("mean, no lengths", "mean", frames),
    _nll("none, utterances, weighted, smoothed", "none", utterances, None, _weighted),
]
