"""Parity of many rows, in this process or in several."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from export.backends import Backend
from export.catalog import Row
from export.parity.check import check_row
from export.parity.record import Record
from export.parity.workers import run_in_processes
from export.progress import Progress, silent


def run(
    rows: Iterable[Row],
    backends: list[Backend],
    speech: Tensor | None = None,
    progress: Progress = silent,
    jobs: int = 1,
    module: str = "",
) -> list[Record]:
    """All cells of the rows on the backends, in that order.

    Args:
        rows: of the catalogue, or of ``module``.
        backends: what they are saved by.
        speech: real speech ``[L]`` for the rows that take audio.
        progress: told about each row.
        jobs: number of worker processes; 1: none.
        module: the user's module that the rows are from.
    """
    rows = list(rows)
    if jobs > 1 and len(rows) > 1:
        jobs = min(jobs, len(rows))
        return run_in_processes(rows, backends, speech, progress, jobs, module)
    records: list[Record] = []
    for done, row in enumerate(rows):
        progress(row.id, done, len(rows))
        records += check_row(row, backends, speech)
    progress("done", len(rows), len(rows))
    return records


def summary(records: list[Record]) -> Mapping[str, int]:
    """How many comparisons ended how."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.status] = counts.get(record.status, 0) + 1
    return counts
