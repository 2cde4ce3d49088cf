"""Rows of the encoders and their parts."""

import scriptable
from export.catalog import draw
from export.catalog.row import Row

ATTENTION = "the same number added to all frames: the softmax over time does not see it"

ROWS = [
    Row(
        entry="MaxFeatureMap",
        module=scriptable.MaxFeatureMap,
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 5, 4),)},
    ),
    Row(
        entry="AttentiveStatisticsPooling",
        module=lambda: scriptable.AttentiveStatisticsPooling(6, 4),
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 9),)},
        idle={"attention.bias": ATTENTION},
    ),
    Row(
        entry="LightCNN",
        module=lambda: scriptable.LightCNN(20, 16),
        methods={"forward": lambda g: (draw.normal(g, 2, 20, 24),)},
        idle={"pooling.attention.bias": ATTENTION},
    ),
]
