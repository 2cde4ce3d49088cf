"""A run from its start, or from where it was killed, to its summary."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.bulk.crew import Crew, Limits
from export.bulk.facts import FOLDER, WRITTEN, Facts
from export.bulk.inputs import Input, find_input, json_text
from export.bulk.listing import FOLDER as LISTING
from export.bulk.listing import Listing, numbers
from export.bulk.places import absolute
from export.bulk.store import Store, open_store
from export.bulk.summary import gathered, summary
from export.bulk.worker import Ready, Task
from export.errors import InputError
from export.extras import require

_RUN, _SUMMARY = "run.json", "summary.json"
_FORMAT = 1
# So many slices for each worker, where there are too few recordings for whole ones.
_SHARE = 4


@dataclass(frozen=True)
class State:
    """How far a run is."""

    done: int
    """Recordings, those of earlier starts among them."""
    total: int | None
    """None while the input is still being listed."""
    errors: int
    new: int
    """Recordings of this start."""
    seconds: float
    """Since the first worker could begin."""


@dataclass(frozen=True)
class Choices:
    """How a run is done; none of it changes what comes out."""

    jobs: int
    limits: Limits = Limits()  # noqa: RUF009  immutable
    max_errors: int | None = None
    shard_rows: int = 1000
    """Recordings in a shard, unless there are too few for all workers."""
    engine: str = "local"
    ray_address: str | None = None


Report = Callable[[State], None]


@dataclass
class Work:
    """What an engine works with."""

    store: Store
    task: Task
    crew: Crew
    listing: Listing
    finished: set[int]
    """Slices of earlier starts."""
    before: Facts
    """Of these slices."""
    choices: Choices
    report: Report

    def tell(self, done: int, total: int | None, errors: int, seconds: float) -> None:
        """Report how far the run is.

        Raises:
            InputError: if there are more errors than were asked for: most of an archive is not
                what it should be.
        """
        most = self.choices.max_errors
        if most is not None and errors > most:
            raise InputError(
                f"{self.store.place}: {errors} of {done} recordings could not be read, more than "
                f"--max-errors {most}; see the column error of its shards"
            )
        self.report(State(done, total, errors, done - self.before.recordings, seconds))


def run(
    artefact: Path,
    place: str,
    out: str,
    choices: Choices,
    report: Report = lambda state: None,
    trust: bool = False,
) -> dict[str, Any]:
    """Score, or embed, every recording of an input that has no row in ``out`` yet.

    Args:
        artefact: a scorer or verifier of any backend.
        place: a folder, a manifest or a tar archive; path or URL.
        out: the folder of the run; path or URL.
        choices: how.
        report: told how far it is, a few times a second.
        trust: load the artefact even if it holds code that no scorer needs.

    Returns:
        What is in ``summary.json``.

    Raises:
        InputError: if the input, the artefact or the folder cannot be used, there are too many
            errors, or no worker can go on. What is finished stays, and the same call goes on.
    """
    if choices.engine == "ray":
        require("ray.data")
    store = open_store(absolute(out))
    task = Task(
        str(artefact.resolve()), trust, store.place, absolute(place), choices.limits.seconds
    )
    # The workers load the artefact while the input is looked through.
    workers = choices.jobs if choices.engine == "local" else 1
    with Crew(workers, task, choices.limits) as crew:
        source = find_input(place)
        _check_columns(source)
        ready = crew.meet()
        with store.held():
            document = _begun(store, ready, source, choices)
            finished = set(numbers(store, FOLDER))
            before = gathered(store, ready.digest) if finished else Facts()
            listing = Listing(store, source, document["shard_rows"])
            work = Work(store, task, crew, listing, finished, before, choices, report)
            found = _done(work, document)
    return {**found, "note": ready.note}


def _done(work: Work, document: dict[str, Any]) -> dict[str, Any]:
    """Let the engine do what is left, and write the summary."""
    choices, before = work.choices, work.before
    start = time.monotonic()
    found = _ENGINES[choices.engine](work)
    assert work.listing.done is not None
    seconds = time.monotonic() - start
    total = gathered(work.store, document["artefact"])
    new = total.recordings - before.recordings
    this_time = {
        "engine": choices.engine,
        "jobs": choices.jobs,
        "recordings": new,
        "seconds": round(seconds, 3),
        "recordings_per_second": round(new / seconds, 3) if new else None,
        "audio_seconds_per_second": round((total.audio_seconds - before.audio_seconds) / seconds, 3)
        if new
        else None,
        **found,
    }
    whole = summary(total, document, work.listing.done, this_time)
    work.store.replace(_SUMMARY, json_text(whole))
    return whole


def _begun(store: Store, ready: Ready, source: Input, choices: Choices) -> dict[str, Any]:
    """The run's own document, written now or found; refuses the folder of anything else."""
    wanted = {
        "format": _FORMAT,
        "artefact": ready.digest,
        "contract_version": ready.contract["schema_version"],
        "task": ready.contract["task"],
        "contract": ready.contract,
        "input": source.place,
        "input_identity": source.identity,
    }
    if _RUN not in store.names(""):
        if any(store.names(folder) for folder in ("", LISTING, FOLDER)):
            raise InputError(
                f"{store.place}: contains files that no bulk run wrote; give another folder"
            )
        wanted["shard_rows"] = _shard_rows(source, choices)
        store.create(_RUN, json_text(wanted))
        return wanted
    found: dict[str, Any] = json.loads(store.read(_RUN))
    for key, what in (
        ("format", "a run of another version"),
        ("artefact", "the run of another artefact"),
        ("input", "the run of another input"),
        ("input_identity", "the run of an input that was since changed"),
    ):
        if found.get(key) != wanted[key]:
            raise InputError(
                f"{store.place}: holds {what} ({_short(found.get(key))}, now "
                f"{_short(wanted[key])}); give another folder"
            )
    return found


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text


def _shard_rows(source: Input, choices: Choices) -> int:
    """Few recordings are shared out among the workers; many make whole shards."""
    count = 0
    most = choices.shard_rows * choices.jobs * _SHARE
    for table in source.tables(0, ""):
        count += len(table)
        if count >= most:
            return choices.shard_rows
    return max(1, min(choices.shard_rows, -(-count // (choices.jobs * _SHARE))))


def _check_columns(source: Input) -> None:
    for name in source.columns.names:
        if name in WRITTEN or name.startswith("_"):
            raise InputError(f"{source.place}: column {name}: is written here; rename it")


class _Queue:
    """Slices that are listed in a thread of its own, and not finished."""

    def __init__(self, listing: Listing, finished: set[int]) -> None:
        self._listing = listing
        self._finished = finished
        self._waiting: deque[int] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def next(self) -> int | None:
        """The next slice, or None where there is none now."""
        return self._waiting.popleft() if self._waiting else None

    def waits(self) -> bool:
        """Whether there may be more."""
        if self._error is not None:
            raise self._error
        return self._thread.is_alive() or bool(self._waiting)

    def close(self) -> None:
        """Stop listing."""
        self._closed = True
        self._thread.join()

    def _run(self) -> None:
        try:
            for number, _ in self._listing.slices(lambda: self._closed):
                if number not in self._finished:
                    self._waiting.append(number)
        except BaseException as error:  # raised where the run waits, see waits()
            self._error = error


def _local(work: Work) -> dict[str, Any]:
    """Worker processes of this machine."""
    total, start = work.before, time.monotonic()
    with closing(_Queue(work.listing, work.finished)) as waiting:
        for event in work.crew.work(waiting.next, waiting.waits):
            if event is not None:
                total += event.facts
            done, errors = work.crew.under_way
            listed = work.listing.done
            work.tell(
                total.recordings + done,
                None if listed is None else listed["recordings"],
                total.errors + errors,
                time.monotonic() - start,
            )
        waiting.waits()
    return {"megabytes_per_worker": round(work.crew.peak, 1)}


def _ray(work: Work) -> dict[str, Any]:
    from export.bulk.cluster import run_on_ray

    # It has told what the artefact is; from here on Ray's actors have workers of their own.
    work.crew.close()
    pending = [number for number, _ in work.listing.slices() if number not in work.finished]
    assert work.listing.done is not None
    recordings, total, start = work.listing.done["recordings"], work.before, time.monotonic()
    choices = work.choices
    for facts in run_on_ray(pending, work.task, choices.limits, choices.jobs, choices.ray_address):
        total += facts
        work.tell(total.recordings, recordings, total.errors, time.monotonic() - start)
    return {}


_ENGINES: dict[str, Callable[[Work], dict[str, Any]]] = {"local": _local, "ray": _ray}


def engines() -> Iterable[str]:
    """Names of the engines."""
    return _ENGINES
