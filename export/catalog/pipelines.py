"""Rows of front ends, encoder parts and the whole pipeline."""

from collections.abc import Callable

from torch import Generator, Tensor, nn

import scriptable
from export.backends._base import Inputs
from export.catalog import draw
from export.catalog.row import Row

_SAMPLES = 4000


def _waveform(g: Generator) -> Inputs:
    return (draw.waveform(g, 2, _SAMPLES),)


def _speech(waveform: Tensor) -> Inputs:
    return (scriptable.cut_windows(waveform, _SAMPLES, _SAMPLES)[1:3],)


def _audio(
    entry: str, module: Callable[[], nn.Module], variant: str = "", on_device: bool = False
) -> Row:
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": _waveform},
        speech={"forward": _speech},
        on_device=on_device,
    )


def _pipeline() -> nn.Module:
    frontend = scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True)
    encoder = scriptable.LightCNN(20, 16)
    return scriptable.ScorePipeline(frontend, encoder, scriptable.OCSoftmax(16), _SAMPLES)


ROWS = [
    _audio("LogMel", lambda: scriptable.LogMel(n_mels=32)),
    _audio("LogMel", lambda: scriptable.LogMel(n_mels=32, center=False, deltas=1), "no centre"),
    _audio("MFCC", lambda: scriptable.MFCC(n_mfcc=13, n_mels=32)),
    _audio(
        "MFCC", lambda: scriptable.MFCC(n_mfcc=13, n_mels=32, log_mels=True, center=False), "log"
    ),
    _audio("LFCC", lambda: scriptable.LFCC(n_filter=20, n_lfcc=20)),
    _audio(
        "LFCC",
        lambda: scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True, center=False, deltas=2),
        "log, deltas",
    ),
    _audio("LFCC", scriptable.LFCC.asvspoof2021, "ASVspoof 2021"),
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
    _audio("ScorePipeline", _pipeline, on_device=True),
]
