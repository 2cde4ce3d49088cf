"""Rows of the distillation losses."""

from torch import Generator

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Padding, Row

_BATCH, _FRAMES, _FEATURES = 3, 7, 5


def _rows(g: Generator) -> Inputs:
    shape = (_BATCH * _FRAMES, _FEATURES)
    return draw.normal(g, *shape).log_softmax(1), draw.normal(g, *shape).softmax(1)


def _frames(g: Generator) -> Inputs:
    shape = (_BATCH, _FRAMES, _FEATURES)
    student, teacher = draw.normal(g, *shape).log_softmax(2), draw.normal(g, *shape).softmax(2)
    return student, teacher, draw.lengths(g, _BATCH, _FRAMES)


ROWS = [
    Row(
        "ce_kd",
        lambda: scriptable.CrossEntropyKD(),
        {"forward": _rows},
        also=("CrossEntropyKD",),
        differentiable=(0, 1),
    ),
    Row(
        "nll_loss_kd",
        lambda: scriptable.NLLLossKD(),
        {"forward": _frames},
        also=("NLLLossKD",),
        padding=Padding(length=2, inputs=(0, 1)),
        differentiable=(0, 1),
    ),
]
