"""Rows of the contrastive loss."""

from functools import partial

from torch import Generator

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Row


def _frames(g: Generator) -> Inputs:
    """Seven negatives, two chunks of them, among them two copies of the targets."""
    x, y, negs = draw.normal(g, 2, 3, 4), draw.normal(g, 2, 3, 4), draw.normal(g, 7, 2, 3, 4)
    negs[1] = y
    negs[5, 0] = y[0]
    return x, y, negs


ROWS = [
    Row(
        entry="ContrastiveLoss",
        module=partial(scriptable.ContrastiveLoss, 0.1),
        methods={"forward": _frames},
        differentiable=(0,),
    ),
]
