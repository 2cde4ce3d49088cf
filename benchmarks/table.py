"""The tables on the terminal."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.history import Change
from benchmarks.peers import with_version


def console() -> Console:
    """As wide as the terminal; a file gets the whole width."""
    return Console(width=None if sys.stdout.isatty() else 160)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Text to the left, everything that starts with a digit to the right."""
    made = Table(title=title, header_style="bold")
    for number, name in enumerate(columns):
        cells = [row[number] for row in rows if row[number]]
        right = bool(cells) and all(cell[0].isdigit() or cell[0] in "-≤" for cell in cells)
        made.add_column(name, justify="right" if right else "left")
    for row in rows:
        made.add_row(*row)
    return made


def figure(value: float | None, digits: int = 3) -> str:
    """Three significant digits, and nothing for nothing."""
    return "" if value is None else f"{value:.{digits}g}"


def interval(ci: Sequence[float] | None) -> str:
    """The ends of an interval."""
    return "" if ci is None else f"{ci[0]:.3g}-{ci[1]:.3g}"


def verdict(met: bool | None) -> str:
    """Whether a target is met."""
    return "" if met is None else "[green]yes[/]" if met else "[red]no[/]"


def records_table(
    title: str, records: Sequence[dict[str, Any]], versions: Mapping[str, str]
) -> Table:
    """Ratios with their intervals and targets."""
    rows = [
        [
            r["name"],
            r["shape"],
            r["device"],
            figure(r["ours_ms"]),
            with_version(r["peer"], versions) if r["peer"] else _limit(r),
            figure(r["peer_ms"] if r["peer"] else r["limit_ms"]),
            figure(r["ratio"]),
            interval(r["ratio_ci"]),
            "" if r["target"] is None else f"≤ {r['target']:g}",
            verdict(r["met"]),
            figure(r["ours_mb"]),
            figure(r["peer_mb"]),
        ]
        for r in records
    ]
    columns = ("loss", "shape", "on", "ours ms", "beside", "its ms", "ratio", "95 %")
    return table(title, (*columns, "target", "met", "MB", "its MB"), rows)


def _limit(record: Mapping[str, Any]) -> str:
    return f"limit: {record['limit']}" if record["limit"] else ""


def missed_memory_table(memory: Sequence[dict[str, Any]]) -> Table | None:
    """The rows that need more memory than their target; None where there is none."""
    rows = [
        [
            r["name"],
            r["shape"],
            figure(r["ours_mb"]),
            r["reference"],
            figure(r["reference_mb"]),
            figure(r["ratio"]),
            f"≤ {r.get('target', r.get('target_mb')):g}",
        ]
        for r in memory
        if not r["met"]
    ]
    columns = ("loss", "shape", "MB", "beside", "its MB", "ratio", "target")
    return table("memory above its target", columns, rows) if rows else None


def changes_table(changes: Sequence[Change]) -> Table:
    """Ratios of two commits side by side."""
    rows = [
        [
            change.name,
            figure(change.old["ratio"]),
            figure(change.new["ratio"]),
            f"{change.factor:.2f}",
            change.new["beside"],
        ]
        for change in changes
    ]
    return table("ratios that have grown", ("what", "old", "new", "grown by", "beside"), rows)
