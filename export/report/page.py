"""The one-page report: one HTML file that needs no network, no script and no other file."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.extras import require
from export.files import replacing
from export.parity.decisions import Rung
from export.parity.record import Record, Status
from export.report.contract import described
from export.report.result import ArtefactSummary
from export.report.status import SIGN, WORD, WORST_FIRST
from export.report.trials import Trials, held_out, ladder_lines

if TYPE_CHECKING:
    from export.runtime.contract import AnyContract

_PASS_SHADES = ((0.01, "pass-1"), (0.1, "pass-2"), (0.5, "pass-3"))


@dataclass(frozen=True)
class Report:
    """Everything that the page shows; what is absent has no section."""

    title: str
    records: Sequence[Record]
    versions: Mapping[str, str]
    artefacts: Sequence[ArtefactSummary] = ()
    eager_ms: float | None = None
    contract: "AnyContract | None" = None
    trials: Trials | None = None
    notes: Sequence[str] = ()
    ladder: Sequence[Rung] = ()


@dataclass(frozen=True)
class Cell:
    """One method of one row on one backend, as the matrix shows it."""

    status: Status
    shade: str
    sign: str
    word: str
    numbers: str
    hint: str
    anchor: str


def write_html(report: Report, path: Path) -> None:
    """Write the page at ``path``; an older page stays until the new one is whole.

    Raises:
        MissingPackageError: if jinja2, or matplotlib for a report with trials, is not installed.
    """
    # File names from the system may hold what UTF-8 cannot.
    content = render(report).encode("utf-8", "backslashreplace")
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def render(report: Report) -> str:
    """The page as text, the same for equal reports.

    Raises:
        MissingPackageError: if jinja2, or matplotlib for a report with trials, is not installed.
    """
    jinja2 = require("jinja2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"size": _size, "breakable": _breakable}
    failures = _reasons(report.records, ("fail",))
    return environment.get_template("report.html.j2").render(
        report=report,
        verdict=_verdict(report.records),
        matrix=_matrix(report.records, failures),
        failures=failures,
        waivers=_reasons(report.records, ("waived",)),
        unproven=_by_backend(report.records, ("not_run", "skipped")),
        trials=held_out(report.trials, report.contract),
        ladder=ladder_lines(report.ladder),
        contract=described(report.contract),
        reduced=any(record.precision != "float32" for record in report.records),
    )


def _verdict(records: Sequence[Record]) -> dict[str, Any]:
    """The headline, in words and in numbers."""
    counts = {status: sum(r.status == status for r in records) for status in WORST_FIRST}
    total, passed, failed = len(records), counts["pass"], counts["fail"]
    gaps = [f"{counts[s]} {WORD[s]}" for s in ("waived", "skipped", "not_run") if counts[s]]
    if failed:
        kind, word = "fail", f"{failed} fail: not every artefact equals eager PyTorch."
    elif passed and not gaps:
        kind, word = "pass", "Every artefact equals eager PyTorch within its tolerance."
        if any(r.precision != "float32" for r in records):
            word = (
                "Every artefact in float32 equals eager PyTorch within its tolerance; those of "
                "fewer bits are held to decisions."
            )
    elif passed:
        kind, word = "gaps", f"No comparison fails. Not proven: {', '.join(gaps)}."
    else:
        kind, word = "gaps", "Nothing was compared."
    tiles = [
        {"status": s, "sign": SIGN[s], "word": WORD[s], "count": counts[s]}
        for s in ("pass", "fail", "waived", "skipped", "not_run")
    ]
    return {"kind": kind, "word": word, "passed": passed, "total": total, "tiles": tiles}


def _row_name(record: Record) -> str:
    variant = f"[{record.variant}]" if record.variant else ""
    return f"{record.entry}{variant}.{record.method}"


def _matrix(records: Sequence[Record], failures: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows × backends; rows with a failure come first, then those with a waiver."""
    backends = list(dict.fromkeys(record.backend for record in records))
    rows: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        rows.setdefault(_row_name(record), {}).setdefault(record.backend, []).append(record)
    anchors = {(f["row"], f["backend"]): f["anchor"] for f in reversed(failures)}
    table = [
        (name, [_cell(row.get(b, []), anchors.get((name, b), "")) for b in backends])
        for name, row in rows.items()
    ]
    table.sort(key=lambda line: min(_urgency(cell) for cell in line[1]))
    totals = []
    for position in range(len(backends)):
        column = [cells[position] for _, cells in table if cells[position] is not None]
        passed = sum(cell is not None and cell.status == "pass" for cell in column)
        failed = sum(cell is not None and cell.status == "fail" for cell in column)
        totals.append({"passed": passed, "failed": failed, "total": len(column)})
    heads = [{"name": b, "total": t} for b, t in zip(backends, totals, strict=True)]
    return {"backends": heads, "rows": table}


def _urgency(cell: Cell | None) -> int:
    return {"fail": 0, "waived": 1}.get(cell.status, 2) if cell is not None else 2


def _cell(records: list[Record], anchor: str) -> Cell | None:
    """The worst of a cell's contents; None where the backend was not asked."""
    if not records:
        return None
    status = min((record.status for record in records), key=WORST_FIRST.index)
    measured = [r for r in records if r.status == status and r.max_abs_error is not None]
    worst = max(measured, key=_ratio, default=None)
    numbers, shade = "", status.replace("_", "-")
    if worst is not None:
        numbers = f"{short(worst.max_abs_error)} / {short(worst.tolerance)}"
    if worst is not None and worst.tolerance is None:
        numbers, shade = short(worst.max_abs_error), "judged" if status == "pass" else "fail-2"
    elif status == "pass" and worst is not None:
        ratio = _ratio(worst)
        shade = next((name for bound, name in _PASS_SHADES if ratio <= bound), "pass-4")
    elif status == "fail":
        ratio = _ratio(worst) if worst is not None else math.inf
        numbers = numbers or "no number"
        shade = "fail-1" if 1 < ratio <= 10 else "fail-2"
    hint = "; ".join(_content(record) for record in records)
    return Cell(status, shade, SIGN[status], WORD[status], numbers, hint, anchor)


def _content(record: Record) -> str:
    """One content of a cell in words."""
    text = f"{record.content}: {WORD[record.status]}"
    if record.max_abs_error is not None:
        text += f", error {short(record.max_abs_error)}"
    if record.sqnr_db is not None:
        text += f", SQNR {record.sqnr_db:.0f} dB"
    return text


def _ratio(record: Record) -> float:
    """Error over tolerance; 0 where both are."""
    error, tolerance = record.max_abs_error or 0.0, record.tolerance or 0.0
    if error == 0:
        return 0.0
    return math.inf if tolerance == 0 or math.isnan(error) else error / tolerance


def short(value: float | None) -> str:
    """Two figures in little space.

    Example:
        >>> short(4.77e-07), short(0.0), short(1e-5), short(None)
        ('4.8e-7', '0', '1e-5', '')
    """
    if value is None:
        return ""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 0.01 <= abs(value) < 1000:
        return f"{value:.2g}" if abs(value) < 100 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def _reasons(records: Sequence[Record], statuses: tuple[Status, ...]) -> list[dict[str, Any]]:
    """Reasons in full; contents of one cell that share a reason share a line."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for r in records:
        if r.status in statuses:
            reason = r.reason or "no reason given"
            found.setdefault((_row_name(r), r.backend, reason), []).append(r.content)
    return [
        {
            "row": row,
            "backend": backend,
            "contents": ", ".join(contents),
            "reason": reason,
            "anchor": f"{statuses[0]}-{number}",
        }
        for number, ((row, backend, reason), contents) in enumerate(found.items(), 1)
    ]


def _by_backend(records: Sequence[Record], statuses: tuple[Status, ...]) -> list[dict[str, Any]]:
    """What was not compared: one line for each backend and reason."""
    found: dict[tuple[str, str, str], int] = {}
    for r in records:
        if r.status in statuses:
            key = (r.backend, WORD[r.status], r.reason or "no reason given")
            found[key] = found.get(key, 0) + 1
    return [
        {"backend": backend, "word": word, "reason": reason, "count": count}
        for (backend, word, reason), count in found.items()
    ]


def _breakable(name: str) -> str:
    """A name that may be broken after its punctuation, without changing what is copied."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([_.\[\]])", r"\1<wbr>", str(escape(name))))


def _size(count: int) -> str:
    """Decimal units, three figures."""
    if count < 1000:
        return f"{count} B"
    if count < 999_500:
        return f"{count / 1e3:.3g} kB"
    return f"{count / 1e6:.3g} MB"
