"""A process that turns slices into shards, one after the other, until it is told to end."""

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from export.bulk.facts import Facts, Pulse
from export.errors import InputError, first_line
from export.extras import require


@dataclass(frozen=True)
class Task:
    """What all workers of a run are told; a frozen heap of strings, so that it can be sent."""

    artefact: str
    trust: bool
    store: str
    manifest: str
    limit: float
    scratch: str | None = None
    """The worker's own folder for copies, which who started it removes."""


@dataclass(frozen=True)
class Order:
    """A slice, and the recordings in it that are not to be tried, with the reasons."""

    number: int
    spoiled: Mapping[int, str]


@dataclass(frozen=True)
class Finished:
    """A slice that is a shard now."""

    number: int
    facts: Facts
    stuck: bool = False
    """The worker has a thread that does not come back, and is to be replaced."""


@dataclass(frozen=True)
class Ready:
    """The artefact is loaded, and what it is."""

    digest: str
    note: str
    """What of it was verified."""
    contract: dict[str, Any]


@dataclass(frozen=True)
class Stopped:
    """The worker cannot go on, and neither could another."""

    reason: str


def serve(pipe: "Connection[Any, Any]", cells: Any, task: Task) -> None:
    """Work off what comes through the pipe; to be run in a process of its own."""
    tempfile.tempdir = task.scratch
    threading.Thread(target=_end_with_parent, args=(task.scratch,), daemon=True).start()
    # A terminal's interrupt goes to all; the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError):
        try:
            _serve(pipe, Pulse(cells), task)
        except (EOFError, InputError) as error:
            pipe.send(Stopped(str(error)))
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            pipe.send(Stopped(f"{place}{error.strerror or error}"))
        # Of no recording, and no other worker would do better.
        except Exception as error:
            pipe.send(Stopped(first_line(error)))


def _serve(pipe: "Connection[Any, Any]", pulse: Pulse, task: Task) -> None:
    from export.backends import backend_of
    from export.bulk.judges import open_judge
    from export.bulk.shards import make_shard
    from export.bulk.store import open_store

    if Path(task.artefact).exists():
        backend_of(Path(task.artefact)).use_one_thread()
    judge = open_judge(Path(task.artefact), task.trust)
    store = open_store(task.store)
    # What shards are written with, now and not while the first recordings wait for it.
    require("pyarrow.parquet")
    pipe.send(Ready(judge.digest, judge.note, judge.contract.document()))
    while (order := pipe.recv()) is not None:
        facts, stuck = make_shard(
            store, task.manifest, order.number, judge, task.limit, order.spoiled, pulse
        )
        pipe.send(Finished(order.number, facts, stuck))


def _end_with_parent(scratch: str | None) -> None:
    """A worker whose parent was killed must not write into what the next run writes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)
