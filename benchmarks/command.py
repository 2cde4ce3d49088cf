"""The command line: measure, print, write ``build/bench.json`` and the plot; fill the page."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import typer
from rich.progress import Progress

from benchmarks import (
    artefacts,
    frontend_files,
    history,
    lowering,
    machine,
    readme,
    scaling,
    training,
)
from benchmarks.case import Case
from benchmarks.cases import cases
from benchmarks.measure import FULL, QUICK, Effort
from benchmarks.plot import plot_ratios
from benchmarks.records import measure_or_report
from benchmarks.show import show
from benchmarks.table import changes_table, console
from export.backends import all_backends
from export.files import replacing

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_OUT = Path("build/bench.json")
_IMPORT_TARGET = 0.15
T = TypeVar("T")


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option(help="Rows only, fewer rounds: under two minutes.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Rows whose family, name or shape contains this; repeatable."),
    ] = None,
    device: Annotated[
        list[str] | None, typer.Option(help="cpu or cuda; by default all there are; repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the JSON goes; the plot beside it.")] = _OUT,
) -> None:
    """Measure every row against its peer and its limit, then curves, artefacts and training steps.

    Interleaved rounds, one thread, processor time, an allocator that keeps freed memory. A row
    whose values or gradients differ from the peer's is an error (exit code 1), not a time.
    """
    if context.invoked_subcommand:
        return
    torch.set_num_threads(1)
    chosen = [case for case in cases() if _matches(case, only) and not (quick and case.slow)]
    files = [] if quick else [file for file in frontend_files.FILES if _file_matches(file, only)]
    if not chosen and not files:
        typer.echo(f"only: no row is called {', '.join(only or [])}", err=True)
        raise typer.Exit(2)
    document: dict[str, Any] = {"versions": machine.versions(), "machine": machine.machine()}
    if only:
        document["only"] = only
    document |= measure_rows(chosen, QUICK if quick else FULL, _devices(device))
    document["import"] = _import(3 if quick else 7)
    if files:
        brief = Effort(rounds=30, seconds=2.0)
        document["files"] = _each(
            "files", files, lambda f: frontend_files.measure(f, brief), lambda f: f.name
        )
        document["errors"] += [
            {**{key: record[key] for key in ("name", "shape")}, "device": "cpu"}
            | {"reason": record["error"]}
            for record in document["files"]
            if "error" in record
        ]
    _write(document, out)
    plot_ratios(document["records"], out.with_suffix(".png"))
    if not quick and not only and not device:
        for found in measure_further():
            document |= found
            # Minutes each: what is there stays, if a later part is interrupted.
            _write(document, out)
    show(document)
    typer.echo(f"the ratios are in {history.keep(document, out.parent / history.FOLDER.name)}")
    raise typer.Exit(1 if document["errors"] else 0)


@app.command("readme")
def fill_readme(
    source: Annotated[Path, typer.Option(help="What the benchmarks wrote.")] = _OUT,
    target: Annotated[Path, typer.Option(help="The file with the markers.")] = Path(
        "docs/performance.md"
    ),
) -> None:
    """Write docs/performance.md from the measurements."""
    try:
        readme.fill(source, target)
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


@app.command("compare")
def compare(
    old: Annotated[str, typer.Argument(help="A commit that was measured, or its file.")],
    new: Annotated[str, typer.Argument(help="The later one.")],
) -> None:
    """Name every ratio that has grown by more than 10 %; exit code 1 if there is one."""
    try:
        before, after = (history.load(history.find(name)) for name in (old, new))
    except (OSError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error
    found = history.changes(before, after)
    for line in history.differences(before, after):
        typer.echo(line)
    worse = [change for change in found if change.worse]
    if worse:
        console().print(changes_table(worse))
    typer.echo(f"{len(worse)} of {len(found)} ratios have grown by more than 10 %")
    raise typer.Exit(1 if worse else 0)


def _write(document: dict[str, Any], out: Path) -> None:
    with replacing(out) as made:
        made.write_text(json.dumps(document, indent=1) + "\n")


def _matches(case: Case, only: list[str] | None) -> bool:
    text = f"{case.family} {case.name} {case.shape}".lower()
    return not only or any(wanted.lower() in text for wanted in only)


def _file_matches(file: frontend_files.File, only: list[str] | None) -> bool:
    text = f"frontend {file.name} {file.shape} {file.backend}".lower()
    return not only or any(wanted.lower() in text for wanted in only)


def _devices(wanted: list[str] | None) -> list[str]:
    """Those asked for, or all there are."""
    there = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for name in wanted or ():
        if name not in there:
            typer.echo(f"device: expected one of {', '.join(there)}, got {name}", err=True)
            raise typer.Exit(2)
    return wanted or there


def measure_rows(chosen: list[Case], effort: Effort, devices: list[str]) -> dict[str, Any]:
    """All records of the rows, on each of the devices."""
    pairs = [
        (device, case)
        for device in devices
        for case in chosen
        if device == "cuda" or not case.gpu_only
    ]
    found = _each(
        "rows",
        pairs,
        lambda pair: measure_or_report(pair[1], pair[0], effort),
        lambda pair: f"{pair[1].name} {pair[1].shape}",
    )
    return {
        "records": [record for row in found for record in row.records],
        "forward": [record for row in found for record in row.forward],
        "memory": [record for row in found for record in row.memory],
        "missing": [row.missing for row in found if row.missing],
        "errors": [row.error for row in found if row.error],
    }


def measure_further() -> Iterator[dict[str, Any]]:
    """Curves, training steps, artefacts and lowering, each when it is done."""
    brief = Effort(rounds=15, seconds=0.5)
    curves = scaling.CURVES
    yield {"scaling": _each("curves", curves, lambda c: scaling.measure(c, brief), _name)}
    heads = training.HEADS
    yield {"training": _each("training", heads, lambda h: training.measure(h, brief), _name)}
    yield _artefacts(_each("artefacts", list(all_backends()), artefacts.measure_apart, str))
    rows = lowering.entries()
    yield {"lowering": _each("lowering", rows, lowering.measure, lambda row: row.entry)}


def _artefacts(apart: Sequence[list[dict[str, Any]]]) -> dict[str, Any]:
    """The files' records, and the times of their operators in a list of their own."""
    records = [record for found in apart for record in found]
    profiles = [
        {key: record[key] for key in ("name", "method", "backend")}
        | {"operators": record.pop("operators")}
        for record in records
        if "operators" in record
    ]
    return {"artefacts": records, "profile": profiles}


def _name(thing: Any) -> str:
    return str(thing.name)


def _each(
    title: str, items: Sequence[T], measure: Callable[[T], Any], label: Callable[[T], str]
) -> list[Any]:
    """Measure one after the other, with a bar on a terminal."""
    found = []
    with Progress(console=console(), transient=True) as progress:
        task = progress.add_task(title, total=len(items))
        for item in items:
            progress.update(task, description=f"{title}: {label(item)}")
            found.append(measure(item))
            progress.advance(task)
    return found


def _import(rounds: int) -> dict[str, Any]:
    found = machine.import_seconds(rounds)
    met = found["scriptable_s"] <= _IMPORT_TARGET
    return {**found, "target_s": _IMPORT_TARGET, "met": met}
