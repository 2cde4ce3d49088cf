"""Progress of long work: what is being done, how much of it is done, and of how much."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Report nothing: the progress of a caller who does not want any."""
