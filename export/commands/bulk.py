"""``python -m export bulk``."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.progress import BarColumn, Progress, TextColumn

from export.commands._app import app, err, note, out
from export.commands.score import TRUST
from export.errors import InputError
from export.processors import processors

_EVERY = 30.0
"""Seconds between two lines of a log."""


@app.command()
def bulk(
    artifact: Annotated[Path, typer.Argument(help="A saved scorer or verifier, of any backend.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder, a manifest (text, CSV, Parquet) or a tar archive; path or URL.",
        ),
    ],
    folder: Annotated[str, typer.Option("--out", help="The folder of the run; path or URL.")],
    jobs: Annotated[
        Optional[int],
        typer.Option(min=1, help="Worker processes; by default as many as processors."),
    ] = None,
    engine: Annotated[str, typer.Option(help="local, or ray.")] = "local",
    ray_address: Annotated[
        Optional[str],
        typer.Option(help="Of a Ray cluster; without it, Ray is started on this machine."),
    ] = None,
    limit_memory: Annotated[
        Optional[float],
        typer.Option(min=1, help="MB of its own that a worker may take; more ends it."),
    ] = None,
    limit_seconds: Annotated[
        float,
        typer.Option(min=0.5, help="How long a recording may give nothing before it is given up."),
    ] = 60.0,
    max_errors: Annotated[
        Optional[int],
        typer.Option(min=0, help="Stop after more errors than this; by default never."),
    ] = None,
    shard_rows: Annotated[int, typer.Option(min=1, help="Recordings in a shard, at most.")] = 1000,
    csv_file: Annotated[
        Optional[Path], typer.Option("--csv", help="Write all rows here as well, as text.")
    ] = None,
    trust: Annotated[bool, TRUST] = False,
) -> None:
    """Score every recording of an archive once, into Parquet shards; a verifier gives embeddings.

    Killed and started again, it goes on where it was. A recording that cannot be read is a row with
    its error, and the exit code is 0 all the same.

    Example: scriptable bulk build/demo/spoof_scorer.xnnpack.pte recordings --out build/archive
    """
    from export.bulk.crew import Limits
    from export.bulk.places import absolute
    from export.bulk.run import Choices, engines, run
    from export.bulk.store import open_store
    from export.bulk.summary import write_csv
    from export.files import check_output

    if engine not in engines():
        raise InputError(f"engine: expected one of {', '.join(engines())}, got {engine}")
    if csv_file is not None:
        check_output(csv_file)
    limits = Limits(limit_seconds, limit_memory)
    count = jobs or processors()
    choices = Choices(count, limits, max_errors, shard_rows, engine, ray_address)
    with _reported() as report:
        found = run(artifact, source, folder, choices, report, trust)
    if csv_file is not None:
        write_csv(open_store(absolute(folder)), csv_file)
    _say(found, folder)


def _say(found: dict[str, Any], folder: str) -> None:
    """A few lines on stdout, and what is amiss on stderr."""
    note(found["note"])
    now = found["this_start"]
    decisions = ", ".join(f"{count} {word}" for word, count in sorted(found["decisions"].items()))
    line = (
        f"{found['recordings']} recordings, {found['audio_hours']:.2f} h: {decisions or 'embedded'}"
    )
    out.print(line, highlight=False, markup=False, soft_wrap=True)
    if now["recordings"]:
        rate = f"{now['recordings_per_second']:.1f} a second"
        line = f"{now['recordings']} of them now, {rate}; slowest: {found['slowest_stage']}"
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    if found["errors"]:
        note(f"{folder}: {found['errors']} recordings could not be read; see the column error")
    if found["duplicates"]:
        such = ", ".join(found["duplicates_such_as"])
        note(f"{found['duplicates']} paths are named again and scored once: {such}")


@contextmanager
def _reported() -> Iterator[Callable[[Any], None]]:
    """A bar on a terminal, a line now and then elsewhere."""
    if not err.is_terminal:
        yield _lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def update(state: Any) -> None:
            bar.update(task, description=said(state), completed=state.done, total=state.total)

        yield update


def _lines() -> Callable[[Any], None]:
    last = time.monotonic()

    def update(state: Any) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            err.print(f"progress: {said(state)}", highlight=False, markup=False, soft_wrap=True)

    return update


def said(state: Any) -> str:
    """How far a run is, in words."""
    rate = state.new / state.seconds if state.seconds > 0 else 0.0
    words = [f"{state.done:,}" if state.total is None else f"{state.done:,} of {state.total:,}"]
    words.append(f"{rate:.1f}/s")
    if state.errors:
        words.append(f"{state.errors:,} errors")
    if state.total is not None and rate > 0:
        left = int((state.total - state.done) / rate)
        words.append(f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left")
    return ", ".join(words)
