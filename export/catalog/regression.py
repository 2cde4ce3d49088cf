"""Rows of the regression losses."""

from functools import partial

from torch import Generator

import scriptable
from export.backend import Inputs
from export.catalog import draw
from export.catalog.row import Padding, Row
from scriptable._reduction import REDUCTIONS

_BATCH, _FRAMES, _FEATURES = 3, 7, 4


def _pair(g: Generator) -> Inputs:
    shape = (_BATCH, _FRAMES, _FEATURES)
    return draw.normal(g, *shape), draw.normal(g, *shape)


def _padded(g: Generator) -> Inputs:
    return (*_pair(g), draw.lengths(g, _BATCH, _FRAMES))


ROWS = [
    Row(
        entry=entry,
        variant=f"{reduction}, {'lengths' if padded else 'no lengths'}",
        module=partial(module, reduction=reduction),
        methods={"forward": _padded if padded else _pair},
        also=(module.__name__,),
        padding=Padding(length=2, inputs=(0, 1)) if padded else None,
        differentiable=(0, 1),
    )
    for entry, module in (("l1_loss", scriptable.L1Loss), ("mse_loss", scriptable.MSELoss))
    for reduction in REDUCTIONS
    for padded in (True, False)
]
