"""Rows of the angular margins and the softmax that follows them."""

from functools import partial

import torch
from torch import Generator, Tensor, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Padding, Row

_BATCH, _FRAMES, _CLASSES = 4, 5, 6


def _cosines(g: Generator, *shape: int) -> Tensor:
    return 1.9 * draw.uniform(g, *shape, _CLASSES) - 0.95


def _one_hot(g: Generator) -> Inputs:
    labels = draw.labels(g, _BATCH, classes=_CLASSES)
    return _cosines(g, _BATCH), torch.nn.functional.one_hot(labels, _CLASSES).float()


def _utterances(g: Generator) -> Inputs:
    return _cosines(g, _BATCH, 1), draw.labels(g, _BATCH, 1, classes=_CLASSES)


def _frames(g: Generator) -> Inputs:
    labels = draw.labels(g, _BATCH, _FRAMES, classes=_CLASSES)
    return _cosines(g, _BATCH, _FRAMES), labels, draw.lengths(g, _BATCH, _FRAMES)


ROWS = [
    Row("AngularMargin", lambda: scriptable.AngularMargin(0.2, 30.0), {"forward": _one_hot}),
    *[
        Row(
            "AdditiveAngularMargin",
            partial(scriptable.AdditiveAngularMargin, 0.3, 30.0, easy),
            {"forward": _one_hot},
            "easy margin" if easy else "",
        )
        for easy in (False, True)
    ],
    Row(
        "LogSoftmaxWrapper",
        lambda: scriptable.LogSoftmaxWrapper(scriptable.AdditiveAngularMargin(0.3, 30.0)),
        {"forward": _utterances},
    ),
    Row(
        "LogSoftmaxWrapper",
        lambda: scriptable.LogSoftmaxWrapper(scriptable.AngularMargin(0.2, 10.0)),
        {"forward": _frames},
        "frames, lengths",
        padding=Padding(length=2, inputs=(0,)),
    ),
    Row(
        "LogSoftmaxWrapper",
        lambda: scriptable.LogSoftmaxWrapper(nn.Identity()),
        {"forward": _utterances},
        "no margin",
    ),
]
