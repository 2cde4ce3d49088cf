"""Parity in worker processes: one thread each, the records in the order of the rows."""

import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

import torch
from torch import Tensor

from export import backends
from export.backends import Backend
from export.catalog import Row, rows
from export.parity.check import check_row
from export.parity.record import Content, Record
from export.processors import processors
from export.progress import Progress

_MOST = 8
"""A worker takes between one and two gigabytes, so that more are started only when asked for."""


def default_jobs() -> int:
    """As many as there are processors to run on, at most 8."""
    return min(_MOST, processors())


def run_in_processes(
    chosen: Sequence[Row],
    use: Sequence[Backend],
    speech: Tensor | None,
    progress: Progress,
    jobs: int,
    module: str,
) -> list[Record]:
    """All cells of the rows; a worker that dies fails the row that it was checking."""
    names = [backend.name for backend in use]
    found: dict[str, list[Record]] = {}
    with _pool(jobs, speech, module) as pool:
        waiting = {pool.submit(_check, row.id, names): row for row in chosen}
        try:
            for future in as_completed(waiting):
                found[waiting[future].id] = future.result()
                progress(waiting[future].id, len(found), len(chosen))
        except BrokenProcessPool:
            progress("a worker died: continuing one at a time", len(found), len(chosen))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    for row in chosen:
        if row.id not in found:
            found[row.id] = _alone(row, names, speech, module)
            progress(row.id, len(found), len(chosen))
    return [record for row in chosen for record in found[row.id]]


def _alone(row: Row, names: list[str], speech: Tensor | None, module: str) -> list[Record]:
    """One row in a process of its own: which row a pool has died of cannot be told."""
    with _pool(1, speech, module) as pool:
        future: Future[list[Record]] = pool.submit(_check, row.id, names)
        try:
            return future.result()
        except BrokenProcessPool:
            return list(_died(row, names))


def _died(row: Row, names: Iterable[str]) -> Iterable[Record]:
    contents: tuple[Content, ...] = ("example", "other")
    for name in names:
        for method in row.methods:
            for content in contents:
                yield Record(
                    row.entry,
                    row.variant,
                    method,
                    name,
                    content,
                    "fail",
                    reason="the process that checked this entry died",
                )


def _pool(jobs: int, speech: Tensor | None, module: str) -> ProcessPoolExecutor:
    # Fork would take over the threads and the random state of what has run here.
    return ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start,
        initargs=(speech, module),
    )


_rows: dict[str, Row] = {}
_speech: Tensor | None = None


def _start(speech: Tensor | None, module: str) -> None:
    """In the worker: one thread, and the rows, which cannot be sent."""
    global _speech
    torch.set_num_threads(1)
    if module:
        from export.parity.user_heads import custom_rows

        _rows.update({row.id: row for row in custom_rows(module)})
    else:
        _rows.update({row.id: row for row in rows()})
    _speech = speech


def _check(row_id: str, names: list[str]) -> list[Record]:
    return check_row(_rows[row_id], backends.select(names), _speech)
