"""Rows of the regression losses."""

from functools import partial

from torch import Generator

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Padding, Row
from scriptable.losses import REDUCTIONS

_BATCH, _FRAMES, _FEATURES = 3, 7, 4


def _pair(g: Generator) -> Inputs:
    shape = (_BATCH, _FRAMES, _FEATURES)
    return draw.normal(g, *shape), draw.normal(g, *shape)


def _padded(g: Generator) -> Inputs:
    return (*_pair(g), draw.lengths(g, _BATCH, _FRAMES))


def _positions(g: Generator) -> Inputs:
    return draw.uniform(g, _BATCH, _FRAMES), _FRAMES * draw.uniform(g, _BATCH)


def _padded_positions(g: Generator) -> Inputs:
    return (*_positions(g), draw.lengths(g, _BATCH, _FRAMES))


def _distance_row(reduction: str, padded: bool) -> Row:
    return Row(
        entry="distance_diff_loss",
        variant=f"{reduction}, {'lengths' if padded else 'no lengths'}",
        module=lambda: scriptable.DistanceDiffLoss(beta=0.5, max_weight=5.0, reduction=reduction),
        methods={"forward": _padded_positions if padded else _positions},
        also=("DistanceDiffLoss",),
        padding=Padding(length=2, inputs=(0,)) if padded else None,
        differentiable=(0, 1),
    )


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
ROWS += [_distance_row(reduction, True) for reduction in REDUCTIONS]
ROWS += [_distance_row("mean", False)]
