"""Rows of GE2E."""

import scriptable
from export.catalog.heads._kinds import SHIFT, metric

ROWS = [
    metric("GE2ELoss", scriptable.GE2ELoss, also=("ge2e_loss",), idle=SHIFT),
    metric("GE2ELoss", lambda: scriptable.GE2ELoss(similarity_floor=1e-6), "floor", idle=SHIFT),
    metric("GE2ELoss", lambda: scriptable.GE2ELoss(loss_method="contrast"), "contrast"),
    metric(
        "GE2ELoss",
        lambda: scriptable.GE2ELoss(-2, 1, "contrast", 0.0),
        "contrast, floor, negative w",
    ),
]
