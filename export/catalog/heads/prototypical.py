"""Rows of the prototypical losses."""

import scriptable
from export.catalog.heads._kinds import SHIFT, metric

ROWS = [
    metric(
        "AngularPrototypical",
        scriptable.AngularPrototypical,
        also=("angular_prototypical_loss",),
        idle=SHIFT,
    ),
    metric(
        "AngularPrototypical",
        lambda: scriptable.AngularPrototypical(query=0),
        "first is the query",
        idle=SHIFT,
    ),
    metric("Prototypical", scriptable.Prototypical, also=("prototypical_loss",)),
]
