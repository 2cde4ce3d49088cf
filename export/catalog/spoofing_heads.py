"""Rows of the spoofing heads."""

from collections.abc import Callable

from torch import nn

import scriptable
from export.catalog import draw
from export.catalog.row import Row

_BATCH, _DIM = 6, 16


def _head(
    entry: str,
    module: Callable[[], nn.Module],
    variant: str = "",
    classes: int = 2,
    also: tuple[str, ...] = (),
    detached: str = "",
) -> Row:
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={
            "forward": lambda g: (
                draw.normal(g, _BATCH, _DIM),
                draw.labels(g, _BATCH, classes=classes),
            ),
            "score": lambda g: (draw.normal(g, _BATCH, _DIM),),
        },
        also=also,
        detached=detached,
        on_device=not variant,
    )


_FOCAL = "the focal weight takes no gradient"


ROWS = [
    _head("AMSoftmax", lambda: scriptable.AMSoftmax(_DIM), also=("am_softmax_loss",)),
    _head(
        "AMSoftmax",
        lambda: scriptable.AMSoftmax(_DIM, 3, m=0.2, weight=0.5, class_weights=[0.2, 0.3, 0.5]),
        "3 classes, weighted",
        classes=3,
    ),
    _head("AMSoftmax", lambda: scriptable.AMSoftmax(_DIM, bonafide_label=0), "bona fide is 0"),
    _head(
        "ASoftmax",
        lambda: scriptable.ASoftmax(_DIM),
        also=("a_softmax_loss",),
        detached=_FOCAL,
    ),
    _head("ASoftmax", lambda: scriptable.ASoftmax(_DIM, gamma=0.0), "no focal weight"),
    _head(
        "ASoftmax",
        lambda: scriptable.ASoftmax(_DIM, 3, m=3, lambda_max=10.0, gamma=2.0),
        "3 classes, m=3",
        classes=3,
        detached=_FOCAL,
    ),
    _head("OCSoftmax", lambda: scriptable.OCSoftmax(_DIM), also=("oc_softmax_loss",)),
    _head("OCSoftmax", lambda: scriptable.OCSoftmax(_DIM, bonafide_label=0), "bona fide is 0"),
    _head("CrossEntropy", lambda: scriptable.CrossEntropy(_DIM)),
    _head(
        "CrossEntropy",
        lambda: scriptable.CrossEntropy(_DIM, 4, class_weights=[0.1, 0.2, 0.3, 0.4]),
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
    Row(
        entry="ASVSpoofBinaryLoss",
        variant="one column",
        module=scriptable.ASVSpoofBinaryLoss,
        methods={
            "forward": lambda g: (draw.normal(g, _BATCH, 1), draw.labels(g, _BATCH, 1)),
            "bonafide_score": lambda g: (draw.normal(g, _BATCH, 1),),
        },
    ),
]
