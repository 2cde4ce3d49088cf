"""Rows of the encoders and their parts."""

import scriptable
from export.catalog import draw
from export.catalog.row import Row

ATTENTION = "the same number added to all frames: the softmax over time does not see it"

# Portable kernels take hundreds of times eager's time: two frames of the encoder are enough.
_AASIST_SAMPLES = 4700
_AFFINE = ("weight", "bias")
_UNUSED = "the published networks hold it and were never run through it"

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
    Row(
        entry="AASIST",
        variant="L",
        module=lambda: scriptable.AASIST("AASIST-L"),
        methods={"forward": lambda g: (draw.waveform(g, 1, _AASIST_SAMPLES),)},
        speech={"forward": draw.speech(_AASIST_SAMPLES)},
        idle={f"encoder.{i}.0.bn1.{kind}": _UNUSED for i in range(1, 6) for kind in _AFFINE},
    ),
]
