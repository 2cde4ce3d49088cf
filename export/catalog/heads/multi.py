"""Rows of the sum of several heads."""

from collections.abc import Callable

from torch import nn

import scriptable
from export.catalog import draw
from export.catalog.row import Row

_BATCH, _DIM = 6, 8


def _sum(module: Callable[[], nn.Module], shape: tuple[int, ...], variant: str = "") -> Row:
    return Row(
        entry="MultiLoss",
        variant=variant,
        module=module,
        methods={
            "forward": lambda g: (draw.normal(g, *shape), draw.labels(g, _BATCH)),
            "parts": lambda g: (draw.normal(g, *shape), draw.labels(g, _BATCH)),
            "score": lambda g: (draw.normal(g, *shape),),
        },
        on_device=not variant,
    )


ROWS = [
    _sum(
        lambda: scriptable.MultiLoss(
            [scriptable.AMSoftmax(_DIM, weight=0.5), scriptable.OCSoftmax(_DIM)]
        ),
        (_BATCH, _DIM),
    ),
    _sum(
        lambda: scriptable.MultiLoss(
            [
                scriptable.ASVSpoofAMSoftmaxLoss(enc_dim=_DIM),
                scriptable.ASVSpoofOCSoftmaxLoss(enc_dim=_DIM),
            ],
            [1.0, 0.3],
            score_from=1,
        ),
        (_BATCH, 3, _DIM),
        "labels first, weights, the second scores",
    ),
]
