"""Rows of the speaker classification heads."""

from collections.abc import Callable

from torch import Generator, nn

import scriptable
from export.backends._base import Inputs
from export.catalog import draw
from export.catalog.row import Draw, Row

_BATCH, _DIM, _CLASSES = 5, 8, 7


def _input(g: Generator) -> Inputs:
    return (draw.normal(g, _BATCH, _DIM),)


def _with(*label: int) -> Draw:
    return lambda g: (*_input(g), draw.labels(g, _BATCH, *label, classes=_CLASSES))


_PLAIN = _with()


def _one_hot(g: Generator) -> Inputs:
    labels = draw.labels(g, _BATCH, classes=_CLASSES)
    return (*_input(g), nn.functional.one_hot(labels, _CLASSES))


def _soft(g: Generator) -> Inputs:
    return (*_input(g), draw.normal(g, _BATCH, _CLASSES).softmax(1))


def _head(
    entry: str,
    module: Callable[[], nn.Module],
    variant: str = "",
    label: Draw = _PLAIN,
    also: tuple[str, ...] = (),
    more: tuple[str, ...] = ("loss_and_predictions", "predict", "score"),
) -> Row:
    methods = {"forward": label}
    if not variant:
        methods |= {name: label if "loss" in name else _input for name in more}
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods=methods,
        also=also,
        on_device=not variant,
    )


_ARC = scriptable.ArcMarginProduct_intertopk_subcenter
_ARC_NAME = "ArcMarginProduct_intertopk_subcenter"

ROWS = [
    _head("Softmax", lambda: scriptable.Softmax(_DIM, _CLASSES)),
    _head("Softmax", lambda: scriptable.Softmax(_DIM, _CLASSES), "column of labels", _with(1)),
    _head("Softmax", lambda: scriptable.Softmax(_DIM, _CLASSES), "soft labels", _soft),
    _head("AAMSoftmax", lambda: scriptable.AAMSoftmax(_DIM, _CLASSES), also=("aam_softmax_loss",)),
    _head(
        "AAMSoftmax",
        lambda: scriptable.AAMSoftmax(_DIM, _CLASSES, fallback="continuous", margin=1.5),
        "continuous fallback, one-hot",
        _one_hot,
    ),
    _head(
        "AAMSoftmax",
        lambda: scriptable.AAMSoftmax(_DIM, _CLASSES, easy_margin=True),
        "easy margin, column of labels",
        _with(1),
    ),
    _head("AAMSoftmax", lambda: scriptable.AAMSoftmax(_DIM, _CLASSES), "soft labels", _soft),
    _head(_ARC_NAME, lambda: _ARC(_DIM, _CLASSES), also=("subcenter_intertopk_loss",)),
    _head(
        _ARC_NAME,
        lambda: _ARC(_DIM, _CLASSES, K=1, k_top=10, fallback="sine", margin=0.5),
        "one centre, more top than classes, one-hot",
        _one_hot,
    ),
    _head(
        _ARC_NAME,
        lambda: _ARC(_DIM, _CLASSES, do_lm=True, easy_margin=True),
        "large margin, easy, column of labels",
        _with(1),
    ),
    _head(_ARC_NAME, lambda: _ARC(_DIM, _CLASSES), "soft labels", _soft),
    _head(
        "SphereFace2",
        lambda: scriptable.SphereFace2(_DIM, _CLASSES),
        also=("sphereface2_loss",),
        more=("score",),
    ),
    _head(
        "SphereFace2",
        lambda: scriptable.SphereFace2(_DIM, _CLASSES, 32.0, 0.2, 0.5, 1),
        "t=1, one-hot",
        _one_hot,
    ),
]
