"""Rows of the front ends."""

from collections.abc import Callable

from torch import nn

import scriptable
from export.catalog import draw
from export.catalog.row import Row

_SAMPLES = 4000


def _features(entry: str, module: Callable[[], nn.Module], variant: str = "") -> Row:
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": lambda g: (draw.waveform(g, 2, _SAMPLES),)},
        speech={"forward": draw.speech(_SAMPLES)},
    )


ROWS = [
    _features("LogMel", lambda: scriptable.LogMel(n_mels=32)),
    _features("LogMel", lambda: scriptable.LogMel(n_mels=32, center=False, deltas=1), "no centre"),
    _features("MFCC", lambda: scriptable.MFCC(n_mfcc=13, n_mels=32)),
    _features(
        "MFCC", lambda: scriptable.MFCC(n_mfcc=13, n_mels=32, log_mels=True, center=False), "log"
    ),
    _features("LFCC", lambda: scriptable.LFCC(n_filter=20, n_lfcc=20)),
    _features(
        "LFCC",
        lambda: scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True, center=False, deltas=2),
        "log, deltas",
    ),
]
