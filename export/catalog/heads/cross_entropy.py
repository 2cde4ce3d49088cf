"""Rows of the heads with cross-entropy."""

import scriptable
from export.catalog import draw
from export.catalog.heads._kinds import DIM, spoofing
from export.catalog.row import Row

_BATCH = 6

ROWS = [
    spoofing("CrossEntropy", lambda: scriptable.CrossEntropy(DIM)),
    spoofing(
        "CrossEntropy",
        lambda: scriptable.CrossEntropy(DIM, 4, class_weights=[0.1, 0.2, 0.3, 0.4]),
        "4 classes, weighted",
        classes=4,
    ),
    Row(
        entry="ASVSpoofBinaryLoss",
        module=lambda: scriptable.ASVSpoofBinaryLoss(weight=0.5),
        methods={
            "forward": lambda g: (draw.normal(g, _BATCH, 2), draw.labels(g, _BATCH, 2)),
            "score": lambda g: (draw.normal(g, _BATCH, 2),),
            "bonafide_score": lambda g: (draw.normal(g, _BATCH, 2),),
        },
        also=("asvspoof_binary_loss",),
        on_device=True,
    ),
]
