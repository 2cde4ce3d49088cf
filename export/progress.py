"""Progress of long work: what is being done, how much of it is done, and of how much."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")

Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Report nothing: the progress of a caller who does not want any."""


def tracked(
    items: Sequence[_Item], what: str | Callable[[_Item], str], progress: Progress
) -> Iterator[_Item]:
    """Hand out the items and report how many are done, from 0 to all of them.

    ``what`` says what is done, with all of them or with each.
    """
    said = ""
    for done, item in enumerate(items):
        said = what if isinstance(what, str) else what(item)
        progress(said, done, len(items))
        yield item
    progress(what if isinstance(what, str) else said, len(items), len(items))
