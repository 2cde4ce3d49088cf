"""A run from its start, or from where it was killed, to its summary."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
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
class Opened:
    """What a run works with."""

    store: Store
    source: Input
    document: dict[str, Any]
    task: Task
    crew: Crew


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
            found = _done(Opened(store, source, document, task, crew), choices, report)
    return {**found, "note": ready.note}


def _done(opened: Opened, choices: Choices, report: Report) -> dict[str, Any]:
    store, digest = opened.store, opened.document["artefact"]
    finished = set(numbers(store, FOLDER))
    before = gathered(store, digest) if finished else Facts()
    listing = Listing(store, opened.source, opened.document["shard_rows"])
    engine = _ENGINES[choices.engine]
    start = time.monotonic()
    found = engine(opened, listing, finished, before, choices, report)
    assert listing.done is not None
    seconds = time.monotonic() - start
    total = gathered(store, digest)
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
    document = summary(total, opened.document, listing.done, this_time)
    store.replace(_SUMMARY, json_text(document))
    return document


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
            raise InputError(f"{store.place}: holds files of none of our runs; give another folder")
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
        except BaseException as error:
            self._error = error


def _local(
    opened: Opened,
    listing: Listing,
    finished: set[int],
    before: Facts,
    choices: Choices,
    report: Report,
) -> dict[str, Any]:
    """Worker processes of this machine."""
    total, start = before, time.monotonic()
    with ExitStack() as closings:
        waiting = closings.enter_context(closing(_Queue(listing, finished)))
        crew = opened.crew
        for event in crew.work(waiting.next, waiting.waits):
            if event is not None:
                total += event.facts
            done, errors = crew.under_way
            state = State(
                total.recordings + done,
                None if listing.done is None else listing.done["recordings"],
                total.errors + errors,
                total.recordings + done - before.recordings,
                time.monotonic() - start,
            )
            check_errors(state, choices, opened.store)
            report(state)
        waiting.waits()
    return {"megabytes_per_worker": round(crew.peak, 1)}


def check_errors(state: State, choices: Choices, store: Store) -> None:
    """Stop where most of an archive is not what it should be.

    Raises:
        InputError: if there are more errors than were asked for.
    """
    if choices.max_errors is not None and state.errors > choices.max_errors:
        raise InputError(
            f"{store.place}: {state.errors} of {state.done} recordings could not be read, more "
            f"than --max-errors {choices.max_errors}; see the column error of its shards"
        )


def _ray(
    opened: Opened,
    listing: Listing,
    finished: set[int],
    before: Facts,
    choices: Choices,
    report: Report,
) -> dict[str, Any]:
    from export.bulk.cluster import run_on_ray

    # It has told what the artefact is; from here on Ray's actors have workers of their own.
    opened.crew.close()
    pending = [number for number, _ in listing.slices() if number not in finished]
    assert listing.done is not None
    recordings, total, start = listing.done["recordings"], before, time.monotonic()
    jobs, address = choices.jobs, choices.ray_address
    for facts in run_on_ray(pending, opened.task, choices.limits, jobs, address):
        total += facts
        new = total.recordings - before.recordings
        seconds = time.monotonic() - start
        state = State(total.recordings, recordings, total.errors, new, seconds)
        check_errors(state, choices, opened.store)
        report(state)
    return {}


_ENGINES: dict[str, Callable[..., dict[str, Any]]] = {"local": _local, "ray": _ray}


def engines() -> Iterable[str]:
    """Names of the engines."""
    return _ENGINES
