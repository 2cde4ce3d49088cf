"""Rows of the metric losses over speakers × utterances."""

from collections.abc import Callable

from torch import Generator, nn

import scriptable
from export.backends._base import Inputs
from export.catalog import draw
from export.catalog.row import Row

_SPEAKERS, _UTTERANCES, _DIM, _TEST = 4, 3, 6, 5


def _batch(g: Generator) -> Inputs:
    return (draw.normal(g, _SPEAKERS, _UTTERANCES, _DIM),)


def _trial(g: Generator) -> Inputs:
    return (*_batch(g), draw.normal(g, _TEST, _DIM))


def _metric(
    entry: str, module: Callable[[], nn.Module], variant: str = "", also: tuple[str, ...] = ()
) -> Row:
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": _batch} if variant else {"forward": _batch, "score": _trial},
        also=also,
        score_batch=1,
        on_device=not variant,
    )


ROWS = [
    _metric("GE2ELoss", scriptable.GE2ELoss, also=("ge2e_loss",)),
    _metric("GE2ELoss", lambda: scriptable.GE2ELoss(similarity_floor=1e-6), "floor"),
    _metric("GE2ELoss", lambda: scriptable.GE2ELoss(loss_method="contrast"), "contrast"),
    _metric("GE2ELoss", lambda: scriptable.GE2ELoss(reduction="mean"), "mean"),
    _metric(
        "GE2ELoss",
        lambda: scriptable.GE2ELoss(-2, 1, "contrast", 0.0),
        "contrast, floor, negative w",
    ),
    _metric(
        "AngularPrototypical",
        scriptable.AngularPrototypical,
        also=("angular_prototypical_loss",),
    ),
    _metric(
        "AngularPrototypical", lambda: scriptable.AngularPrototypical(query=0), "first is the query"
    ),
    _metric("Prototypical", scriptable.Prototypical, also=("prototypical_loss",)),
]
