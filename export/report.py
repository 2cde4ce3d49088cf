"""The one-page report: one HTML file that needs no network, no script and no other file."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from export.backend import replacing
from export.extras import require
from export.ladder import Rung
from export.parity import Record, Status
from export.report_trials import Trials, held_out, ladder_lines

if TYPE_CHECKING:
    from pydantic import BaseModel

    from export.contract import AnyContract

_WORST_FIRST: tuple[Status, ...] = ("fail", "waived", "skipped", "not_run", "pass")
# A sign beside the word: the cells differ in more than colour.
_SIGN = {"pass": "✓", "fail": "✗", "waived": "⚑", "skipped": "–", "not_run": "○"}
_WORD = {
    "pass": "pass",
    "fail": "fail",
    "waived": "waived",
    "skipped": "skipped",
    "not_run": "not run",
}
_PASS_SHADES = ((0.01, "pass-1"), (0.1, "pass-2"), (0.5, "pass-3"))


@dataclass(frozen=True)
class ArtefactSummary:
    """One saved file."""

    name: str
    backend: str
    bytes: int
    latency_ms: float | None
    note: str = ""
    """For people, such as why there is no latency."""


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
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
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
        contract=_contract(report.contract),
    )


def _verdict(records: Sequence[Record]) -> dict[str, Any]:
    """The headline, in words and in numbers."""
    counts = {status: sum(r.status == status for r in records) for status in _WORST_FIRST}
    total, passed, failed = len(records), counts["pass"], counts["fail"]
    gaps = [f"{counts[s]} {_WORD[s]}" for s in ("waived", "skipped", "not_run") if counts[s]]
    if failed:
        kind, word = "fail", f"{failed} fail: not every artefact equals eager PyTorch."
    elif passed and not gaps:
        kind, word = "pass", "Every artefact equals eager PyTorch within its tolerance."
    elif passed:
        kind, word = "gaps", f"None fails. Not proven: {', '.join(gaps)}."
    else:
        kind, word = "gaps", "Nothing was compared."
    tiles = [
        {"status": s, "sign": _SIGN[s], "word": _WORD[s], "count": counts[s]}
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
    status = min((record.status for record in records), key=_WORST_FIRST.index)
    measured = [r for r in records if r.status == status and r.max_abs_error is not None]
    worst = max(measured, key=_ratio, default=None)
    numbers, shade = "", status.replace("_", "-")
    if worst is not None:
        numbers = f"{short(worst.max_abs_error)} / {short(worst.tolerance)}"
    if status == "pass" and worst is not None:
        ratio = _ratio(worst)
        shade = next((name for bound, name in _PASS_SHADES if ratio <= bound), "pass-4")
    elif status == "fail":
        ratio = _ratio(worst) if worst is not None else math.inf
        numbers = numbers or "no number"
        shade = "fail-1" if 1 < ratio <= 10 else "fail-2"
    hint = "; ".join(_content(record) for record in records)
    return Cell(status, shade, _SIGN[status], _WORD[status], numbers, hint, anchor)


def _content(record: Record) -> str:
    """One content of a cell in words."""
    text = f"{record.content}: {_WORD[record.status]}"
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
            key = (r.backend, _WORD[r.status], r.reason or "no reason given")
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


def _contract(contract: "AnyContract | None") -> dict[str, Any] | None:
    """The contract's fields with their own descriptions, part by part."""
    if contract is None:
        return None
    from pydantic import BaseModel

    whole: list[dict[str, str]] = []
    parts = []
    for name, value, description in _fields(contract):
        if isinstance(value, BaseModel):
            about = (type(value).__doc__ or "").strip().partition("\n")[0]
            fields = [_field(*field) for field in _fields(value)]
            parts.append({"name": name, "about": about, "fields": fields})
        elif name != "versions":
            whole.append(_field(name, value, description))
    parts.append({"name": "document", "about": "What the document describes.", "fields": whole})
    return {
        "parts": parts,
        "rule": _rule(contract),
        "versions": contract.versions,
        "json": contract.model_dump_json(indent=2),
    }


def _rule(contract: "AnyContract") -> list[str]:
    """From the microphone to the decision, in sentences."""
    audio, windows, decision = contract.audio, contract.windows, contract.decision
    seconds = windows.num_samples / audio.sample_rate
    at, below = (("Bona fide", "spoof"), ("Same", "different"))[contract.task != "spoofing"]
    return [
        f"Mono waveform at {audio.sample_rate} Hz, in windows of {windows.num_samples} samples "
        f"({seconds:.3g} s), one every {windows.hop} samples.",
        *_score_rule(contract),
        f"LLR = {decision.scale:.6g} · score {'+' if decision.offset >= 0 else '−'} "
        f"{abs(decision.offset):.6g} nats.",
        f"{at} when LLR ≥ {decision.threshold:.6g}, else {below} ({decision.operating_point}).",
        f"Posterior at a prior of {decision.prior:g}: "
        f"{contract.posterior(decision.threshold):.3g} at the threshold.",
    ]


def _score_rule(contract: "AnyContract") -> list[str]:
    """From the windows to the raw score."""
    if contract.task == "spoofing":
        return [f"Score = {contract.windows.combine} of the windows' raw scores."]
    scoring = contract.scoring  # type: ignore[union-attr]
    normalised = ""
    if scoring.normalisation != "none":
        normalised = f", AS-norm by the top {scoring.top_n} of {scoring.cohort_size} in the cohort"
    lines = [
        "Embedding = mean of the windows' unit vectors, at length 1; enrolment likewise.",
        f"Score = {scoring.backend} of enrolment and test{normalised}.",
    ]
    if contract.task == "sasv":
        lines.append("The spoofing score is fused into it: a spoof of the speaker is no match.")
    return lines


def _fields(model: "BaseModel") -> Iterable[tuple[str, Any, str]]:
    for name, info in type(model).model_fields.items():
        yield name, getattr(model, name), info.description or ""


def _field(name: str, value: object, description: str) -> dict[str, str]:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return {"name": name, "value": text, "description": description}
