"""Rows of front ends, encoder parts and the whole pipeline."""

from torch import nn

import scriptable
from export.catalog import draw
from export.catalog.audio import SAMPLES, audio_row
from export.catalog.row import Row


def _pipeline() -> nn.Module:
    frontend = scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True)
    encoder = scriptable.LightCNN(20, 16)
    return scriptable.ScorePipeline(frontend, encoder, scriptable.OCSoftmax(16), SAMPLES)


ROWS = [
    audio_row("LogMel", lambda: scriptable.LogMel(n_mels=32)),
    audio_row("LogMel", lambda: scriptable.LogMel(n_mels=32, center=False, deltas=1), "no centre"),
    audio_row("MFCC", lambda: scriptable.MFCC(n_mfcc=13, n_mels=32)),
    audio_row(
        "MFCC", lambda: scriptable.MFCC(n_mfcc=13, n_mels=32, log_mels=True, center=False), "log"
    ),
    audio_row("LFCC", lambda: scriptable.LFCC(n_filter=20, n_lfcc=20)),
    audio_row(
        "LFCC",
        lambda: scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True, center=False, deltas=2),
        "log, deltas",
    ),
    Row(
        entry="MaxFeatureMap",
        module=scriptable.MaxFeatureMap,
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 5, 4),)},
    ),
    Row(
        entry="AttentiveStatisticsPooling",
        module=lambda: scriptable.AttentiveStatisticsPooling(6, 4),
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 9),)},
    ),
    Row(
        entry="LightCNN",
        module=lambda: scriptable.LightCNN(20, 16),
        methods={"forward": lambda g: (draw.normal(g, 2, 20, 24),)},
    ),
    audio_row("ScorePipeline", _pipeline, on_device=True),
]
