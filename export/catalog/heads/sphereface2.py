"""Rows of SphereFace2."""

import scriptable
from export.catalog.heads._kinds import DIM, SPEAKERS, one_hot, speaker

ROWS = [
    speaker(
        "SphereFace2",
        lambda: scriptable.SphereFace2(DIM, SPEAKERS),
        also=("sphereface2_loss",),
        more=("score",),
    ),
    speaker(
        "SphereFace2",
        lambda: scriptable.SphereFace2(DIM, SPEAKERS, 32.0, 0.2, 0.5, 1),
        "t=1, one-hot",
        one_hot,
    ),
]
