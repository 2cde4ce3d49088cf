"""Tables for the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from export.backends import all_backends
from export.catalog import rows
from export.parity.decisions import Rung
from export.parity.record import Record
from export.report.result import Result
from export.report.status import WORST_FIRST
from export.report.trials import change_of_eer

_STYLE = {
    "pass": "green",
    "fail": "bold red",
    "waived": "yellow",
    "skipped": "dim",
    "not_run": "dim",
}


def parity_table(records: Sequence[Record]) -> Table:
    """Rows × backends: the worst status of each cell, and the largest error in it."""
    backends = list(dict.fromkeys(record.backend for record in records))
    table = Table(title="Parity with eager", header_style="bold")
    table.add_column("entry", overflow="fold")
    for backend in backends:
        # Cut short, the ExecuTorch backends would all be called alike.
        table.add_column(backend.replace("_", "_\n"), justify="right", no_wrap=True)
    cells: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        row = cells.setdefault(f"{record.row}.{record.method}", {})
        row.setdefault(record.backend, []).append(record)
    for name, row in cells.items():
        table.add_row(Text(name), *(_cell(row.get(backend, [])) for backend in backends))
    return table


def comparison_table(records: Sequence[Record]) -> Table:
    """One line for each comparison of a single artefact."""
    table = Table(title="Parity with the trained model", header_style="bold")
    for name in ("backend", "content", "status", "max error", "tolerance", "SQNR dB", "seconds"):
        numeric = name not in ("backend", "content", "status")
        table.add_column(name, justify="right" if numeric else "left")
    for r in records:
        sqnr = "" if r.sqnr_db is None else f"{r.sqnr_db:.0f}"
        table.add_row(
            r.file_kind,
            r.content,
            f"[{_STYLE[r.status]}]{r.status}[/]",
            "" if r.max_abs_error is None else f"{r.max_abs_error:.1e}",
            "" if r.tolerance is None else f"{r.tolerance:.0e}",
            sqnr,
            "" if r.seconds is None else f"{r.seconds:.1f}",
        )
    return table


def failures(records: Sequence[Record]) -> list[str]:
    """One line for each failed comparison; those that fail for one reason share theirs."""
    found: dict[tuple[str, str], list[str]] = {}
    for r in records:
        if r.status == "fail":
            place = f"{r.row}.{r.method} on {r.backend}"
            found.setdefault((place, r.reason), []).append(r.content)
    return [
        f"{place}, {', '.join(contents)}: {reason}" for (place, reason), contents in found.items()
    ]


def _cell(records: list[Record]) -> str:
    if not records:
        return ""
    status = min((record.status for record in records), key=WORST_FIRST.index)
    errors = [record.max_abs_error for record in records if record.max_abs_error is not None]
    text = f"{status} {max(errors):.0e}" if errors else status
    return f"[{_STYLE[status]}]{text}[/]"


def summary(result: Result) -> list[Table]:
    """What was made: the comparison, the files with size and latency, the decisions."""
    made = Table(title="Artefacts, one thread", header_style="bold")
    for name in ("file", "KB", "ms per window", "of eager"):
        made.add_column(name, justify="left" if name == "file" else "right")
    made.add_row("(eager)", "", f"{result.eager_ms:.2f}", "1.00")
    for artefact in result.artefacts:
        speed = (artefact.note, "")
        if artefact.latency_ms is not None:
            ratio = artefact.latency_ms / result.eager_ms
            speed = (f"{artefact.latency_ms:.2f}", f"{ratio:.2f}")
        made.add_row(artefact.name, f"{artefact.bytes / 1024:.0f}", *speed)
    decisions = [ladder_table(result.rungs)] if result.rungs else []
    return [comparison_table(result.records), made, *decisions]


def remarks(result: Result) -> list[str]:
    """What the tables do not say, a line each."""
    return [
        *_error_rate(result),
        *(f"note: {note}" for note in (*result.notes, *at_threshold(result.rungs))),
        f"written: {', '.join(path.name for path in result.files)} in {result.files[0].parent}",
    ]


def _error_rate(result: Result) -> list[str]:
    if result.equal_error_rate is None:
        return []
    rate = f"{result.equal_error_rate:.1%}"
    return [f"held-out equal error rate: {rate} on {result.held_out} {result.unit}"]


def ladder_table(rungs: Sequence[Rung]) -> Table:
    """How far the scores and decisions of each file are from the reference's."""
    ladder = Table(title="Decisions on a trial list", header_style="bold")
    columns = ("file", "trials", "max score error", "rank correlation", "flips", "change of EER")
    for name in columns:
        ladder.add_column(name, justify="left" if name == "file" else "right")
    for rung in rungs:
        error, rank = f"{rung.max_score_error:.1e}", f"{rung.rank_correlation:.6f}"
        flips = str(rung.flips) if rung.decides_alike else f"[bold red]{rung.flips}[/]"
        ladder.add_row(
            Text(rung.artifact), str(rung.trials), error, rank, flips, change_of_eer(rung)
        )
    return ladder


def at_threshold(rungs: Sequence[Rung]) -> list[str]:
    """One line for each file with scores too near to the threshold to tell."""
    return [
        f"{rung.artifact}: at threshold: {', '.join(rung.at_threshold)}"
        for rung in rungs
        if rung.at_threshold
    ]


def catalogue_table() -> Table:
    """The rows of the catalogue."""
    table = Table(title="Catalogue", header_style="bold")
    for name in ("entry", "variant", "methods", "also proves"):
        table.add_column(name)
    for row in rows():
        table.add_row(row.entry, row.variant, ", ".join(row.methods), ", ".join(row.also))
    return table


def backend_table() -> Table:
    """The backends and whether they can be used here."""
    table = Table(title="Backends", header_style="bold")
    for name in ("backend", "suffix", "tolerance", "here"):
        table.add_column(name)
    for backend in all_backends().values():
        here = backend.unavailable() or backend.not_run_reason or "runs"
        table.add_row(backend.name, backend.suffix, f"{backend.tolerance:.0e}", here)
    return table
