"""The command line: measure, print, write ``build/bench.json`` and the plot."""

import json
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.progress import Progress

from benchmarks import machine
from benchmarks.case import Case
from benchmarks.cases import cases
from benchmarks.measure import FULL, QUICK, Effort
from benchmarks.plot import plot_ratios
from benchmarks.records import measure_or_report
from benchmarks.table import console, missed_memory_table, records_table
from export.backend import replacing

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_OUT = Path("build/bench.json")


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    quick: Annotated[
        bool, typer.Option(help="Rows only, fewer rounds: under two minutes.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help="Rows whose name or shape contains this; repeatable.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the JSON goes; the plot beside it.")] = _OUT,
) -> None:
    """Measure every row against its peer and its limit.

    Interleaved rounds, one thread, an allocator that keeps freed memory. A row whose values or
    gradients differ from the peer's is an error (exit code 1), not a time.
    """
    if context.invoked_subcommand:
        return
    torch.set_num_threads(1)
    chosen = [case for case in cases() if _matches(case, only) and not (quick and case.slow)]
    if not chosen:
        typer.echo(f"only: no row is called {', '.join(only or [])}", err=True)
        raise typer.Exit(2)
    document: dict[str, Any] = {"versions": machine.versions(), "machine": machine.machine()}
    document |= measure_rows(chosen, QUICK if quick else FULL)
    with replacing(out) as made:
        made.write_text(json.dumps(document, indent=1) + "\n")
    plot_ratios(document["records"], out.with_suffix(".png"))
    show(document)
    raise typer.Exit(1 if document["errors"] else 0)


def _matches(case: Case, only: list[str] | None) -> bool:
    text = f"{case.name} {case.shape}".lower()
    return not only or any(wanted.lower() in text for wanted in only)


def measure_rows(chosen: list[Case], effort: Effort) -> dict[str, Any]:
    """All records of the rows, on every device there is."""
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    document: dict[str, Any] = {
        "records": [],
        "forward": [],
        "memory": [],
        "missing": [],
        "errors": [],
    }
    with Progress(console=console(), transient=True) as progress:
        task = progress.add_task("rows", total=len(chosen) * len(devices))
        for device in devices:
            for case in chosen:
                progress.update(task, description=f"{case.name} {case.shape}")
                found = measure_or_report(case, device, effort)
                document["records"] += found.records
                document["forward"] += found.forward
                document["memory"] += found.memory
                document["missing"] += [found.missing] if found.missing else []
                document["errors"] += [found.error] if found.error else []
                progress.advance(task)
    return document


def show(document: dict[str, Any]) -> None:
    """Print what was measured."""
    out = console()
    if document["forward"]:
        out.print(records_table("forward, without a gradient", document["forward"]))
    out.print(records_table("forward + backward, one thread", document["records"]))
    memory = missed_memory_table(document["memory"])
    if memory is not None:
        out.print(memory)
    for kind in ("missing", "errors"):
        for row in document[kind]:
            colour = "yellow" if kind == "missing" else "red"
            out.print(
                f"[{colour}]{row['name']} {row['shape']} ({row['device']}): {row['reason']}[/]"
            )
