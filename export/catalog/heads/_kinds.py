"""Rows of the three kinds of head: over speakers, over spoofing classes, over embeddings alone."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Generator, nn

from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Draw, Row

DIM, SPEAKERS = 8, 7
"""Size of the embeddings, and number of classes of a head over speakers."""
_BATCH = 6
_UTTERANCES, _TEST = 3, 5

SHIFT = {"b": "the same number added to all similarities: a softmax over them does not see it"}


def embeddings(g: Generator) -> Inputs:
    """``[B, D]``."""
    return (draw.normal(g, _BATCH, DIM),)


def labelled(*shape: int, classes: int = SPEAKERS) -> Draw:
    """Embeddings, and labels ``[B, *shape]``."""
    return lambda g: (*embeddings(g), draw.labels(g, _BATCH, *shape, classes=classes))


def one_hot(g: Generator) -> Inputs:
    """Embeddings, and speakers as a one-hot matrix."""
    found, labels = labelled()(g)
    return found, nn.functional.one_hot(labels, SPEAKERS)


def speaker(
    entry: str,
    module: Callable[[], nn.Module],
    variant: str = "",
    drawn: Draw | None = None,
    also: tuple[str, ...] = (),
    more: tuple[str, ...] = ("loss_and_predictions", "predict", "score"),
) -> Row:
    """A head over ``SPEAKERS`` classes; of a variant, the loss alone."""
    inputs = drawn or labelled()
    methods = {"forward": inputs}
    if not variant:
        methods |= {name: inputs if "loss" in name else embeddings for name in more}
    return Row(entry, module, methods, variant, also, on_device=not variant)


def spoofing(
    entry: str,
    module: Callable[[], nn.Module],
    variant: str = "",
    classes: int = 2,
    also: tuple[str, ...] = (),
    detached: str = "",
) -> Row:
    """A head over bona fide and spoof, or over kinds of attacks."""
    return Row(
        entry,
        module,
        {"forward": labelled(classes=classes), "score": embeddings},
        variant,
        also,
        detached=detached,
        on_device=not variant,
    )


def metric(
    entry: str,
    module: Callable[[], nn.Module],
    variant: str = "",
    also: tuple[str, ...] = (),
    idle: Mapping[str, str] = MappingProxyType({}),
) -> Row:
    """A head over embeddings of speakers × utterances, without class centres."""

    def batch(g: Generator) -> Inputs:
        return (draw.normal(g, 4, _UTTERANCES, DIM),)

    def trial(g: Generator) -> Inputs:
        return (*batch(g), draw.normal(g, _TEST, DIM))

    return Row(
        entry,
        module,
        {"forward": batch} if variant else {"forward": batch, "score": trial},
        variant,
        also,
        score_batch=1,
        idle=idle,
        on_device=not variant,
    )
