"""Rows of the spoofing heads over frame embeddings."""

from collections.abc import Callable

from torch import Generator, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Row

_BATCH, _FRAMES, _DIM = 5, 3, 8


def _emb(g: Generator) -> Inputs:
    return (draw.normal(g, _BATCH, _FRAMES, _DIM),)


def _head(
    entry: str, module: Callable[[], nn.Module], variant: str = "", label: tuple[int, ...] = ()
) -> Row:
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": lambda g: (draw.labels(g, _BATCH, *label), *_emb(g)), "score": _emb},
        differentiable=(1,),
        on_device=not variant,
    )


ROWS = [
    _head("ASVSpoofAMSoftmaxLoss", lambda: scriptable.ASVSpoofAMSoftmaxLoss(enc_dim=_DIM)),
    _head(
        "ASVSpoofAMSoftmaxLoss",
        lambda: scriptable.ASVSpoofAMSoftmaxLoss(
            0.5, _DIM, 10, 0.2, bonafide_label=0, bonafide_column=1
        ),
        "bona fide is label 0 and column 1, column of labels",
        (1,),
    ),
    _head("ASVSpoofOCSoftmaxLoss", lambda: scriptable.ASVSpoofOCSoftmaxLoss(enc_dim=_DIM)),
    _head(
        "ASVSpoofOCSoftmaxLoss",
        lambda: scriptable.ASVSpoofOCSoftmaxLoss(0.5, _DIM, 0.9, bonafide_label=0),
        "bona fide is label 0, column of labels",
        (1,),
    ),
]
