"""Rows of the binary cross-entropy."""

from collections.abc import Callable

from torch import Generator, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.losses._log_probabilities import BATCH, CLASSES, FRAMES, class_weights
from export.catalog.row import Draw, Padding, Row
from scriptable.losses import REDUCTIONS


def _logits(g: Generator) -> Inputs:
    return draw.normal(g, BATCH, FRAMES), draw.uniform(g, BATCH, FRAMES)


def _padded(g: Generator) -> Inputs:
    return (*_logits(g), draw.lengths(g, BATCH, FRAMES))


def _weighted(g: Generator) -> Inputs:
    return (*_padded(g), draw.uniform(g, BATCH))


def _multi_label(g: Generator) -> Inputs:
    shape = (BATCH, FRAMES, CLASSES)
    return draw.normal(g, *shape), draw.labels(g, *shape), draw.lengths(g, BATCH, FRAMES)


def _single(g: Generator) -> Inputs:
    return draw.normal(g, 2 * BATCH), draw.labels(g, 2 * BATCH)


def _bce(
    variant: str,
    module: Callable[[], nn.Module],
    inputs: Draw,
    differentiable: tuple[int, ...] = (0,),
    padded: tuple[int, ...] = (),
) -> Row:
    return Row(
        entry="bce_loss",
        variant=variant,
        module=module,
        methods={"forward": inputs},
        also=("BCELoss",),
        padding=Padding(length=2, inputs=padded) if padded else None,
        differentiable=differentiable,
    )


def _reduced(reduction: str, smoothing: float = 0.0) -> Callable[[], nn.Module]:
    return lambda: scriptable.BCELoss(reduction=reduction, label_smoothing=smoothing)


def _positive_weights() -> nn.Module:
    return scriptable.BCELoss(pos_weight=class_weights(), label_smoothing=0.1)


ROWS = [
    *[_bce(f"{name}, lengths", _reduced(name), _padded, (0, 1), (0, 1)) for name in REDUCTIONS],
    _bce("mean, no lengths, smoothed", _reduced("mean", 0.2), _logits, (0, 1)),
    _bce("mean, weighted", _reduced("mean"), _weighted, (0, 1, 3), (0, 1)),
    _bce("mean, positives weighted", _positive_weights, _multi_label, padded=(0,)),
    _bce("none, utterances", _reduced("none"), _single),
]
