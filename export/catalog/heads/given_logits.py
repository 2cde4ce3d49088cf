"""Rows of the heads on logits, or on a score, that the network computes itself."""

from torch import Generator

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Draw, Row

_BATCH = 6


def _inputs(*shape: int) -> Draw:
    return lambda g: (draw.normal(g, _BATCH, *shape),)


def _labelled(*shape: int, classes: int = 2) -> Draw:
    def drawn(g: Generator) -> Inputs:
        return (draw.normal(g, _BATCH, *shape), draw.labels(g, _BATCH, classes=classes))

    return drawn


ROWS = [
    Row(
        "Logits",
        scriptable.Logits,
        {"forward": _labelled(2), "score": _inputs(2)},
        on_device=True,
    ),
    Row(
        "Logits",
        lambda: scriptable.Logits(2),
        {"forward": _labelled(5, classes=5), "score": _inputs(5)},
        "5 columns, the third",
    ),
    Row(
        "RawScore",
        scriptable.RawScore,
        {"forward": _labelled(1), "score": _inputs(1)},
        on_device=True,
    ),
    Row(
        "RawScore",
        lambda: scriptable.RawScore("spoof", bonafide_label=0),
        {"forward": _labelled(), "score": _inputs()},
        "higher is spoof",
    ),
]
