"""Parity: save, load afresh, run on the example, on other content and on real speech, compare.

A cell of the table is one method of one row on one backend. It passes when, on every content,
|artefact − eager| ≤ tolerance · max(1, max|eager|), the results have eager's shapes, a second run
gives identical results, and saving has left module and random state as they were.
"""

import math
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from export.backend import Backend, Inputs, Source, flatten, save
from export.catalog import Row

Content = Literal["example", "other", "speech"]
Status = Literal["pass", "fail", "waived", "skipped", "not_run"]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Record:
    """One comparison, or the reason why there is none."""

    entry: str
    variant: str
    method: str
    backend: str
    content: Content
    status: Status
    max_abs_error: float | None = None
    tolerance: float | None = None
    sqnr_db: float | None = None
    bytes: int | None = None
    seconds: float | None = None
    reason: str = ""

    @property
    def row(self) -> str:
        """Entry and variant, as the catalogue's row is called."""
        return f"{self.entry}[{self.variant}]" if self.variant else self.entry


@dataclass(frozen=True)
class Trial:
    """Inputs of one method, and what eager answers."""

    method: str
    content: Content
    inputs: Inputs
    expected: Inputs


def silent(what: str, done: int, total: int) -> None:
    """Progress that goes nowhere."""


def run(
    rows: Iterable[Row],
    backends: list[Backend],
    speech: Tensor | None = None,
    progress: Progress = silent,
) -> list[Record]:
    """All cells of the rows on the backends."""
    rows = list(rows)
    records: list[Record] = []
    for done, row in enumerate(rows):
        progress(row.id, done, len(rows))
        records += check_row(row, backends, speech)
    progress("done", len(rows), len(rows))
    return records


def check_row(row: Row, backends: list[Backend], speech: Tensor | None = None) -> list[Record]:
    """All cells of one row."""
    module = row.build()
    trials = make_trials(row, module, speech)
    source = Source(module, {name: row.draw(name, 0) for name in row.methods})
    constant = constant_methods(trials)
    records: list[Record] = []
    with tempfile.TemporaryDirectory() as folder:
        for backend in backends:
            if (backend.emulated or not backend.runnable) and not row.on_device:
                continue
            path = Path(folder) / f"artefact{backend.suffix}"
            cells = check_backend(row, backend, source, trials, path)
            if constant:
                reason = f"the result of {constant[0]} does not change on other content"
                cells = [_empty(row, backend, trial, "fail", reason) for trial in trials]
            records += cells
    return records


def make_trials(row: Row, module: nn.Module, speech: Tensor | None = None) -> list[Trial]:
    """What the artefacts of a row are run on, with eager's answers."""
    trials = []
    for method in row.methods:
        contents: dict[Content, Inputs] = {
            "example": row.draw(method, 0),
            "other": row.draw(method, 1),
        }
        if speech is not None and method in row.speech:
            contents["speech"] = row.speech[method](speech)
        for content, inputs in contents.items():
            trials.append(Trial(method, content, inputs, _eager(module, method, inputs)))
    return trials


def constant_methods(trials: list[Trial]) -> list[str]:
    """Methods that answer alike on the example and on other content: they could hide anything."""
    answers: dict[tuple[str, str], Inputs] = {(t.method, t.content): t.expected for t in trials}
    return [
        method
        for (method, content), expected in answers.items()
        if content == "example" and all(map(torch.equal, expected, answers[method, "other"]))
    ]


def check_backend(
    row: Row, backend: Backend, source: Source, trials: list[Trial], path: Path
) -> list[Record]:
    """Save a row through one backend and check the file."""
    missing = backend.unavailable()
    if missing:
        return [_empty(row, backend, trial, "skipped", missing) for trial in trials]
    if backend.name in row.waivers:
        waiver = row.waivers[backend.name]
        reason = f"{waiver.reason} ({waiver.issue})"
        return [_empty(row, backend, trial, "waived", reason) for trial in trials]
    before = _fingerprint(source.module)
    start = time.perf_counter()
    try:
        save(backend, source, path)
    except Exception as error:  # whatever a converter raises is the reason of a failed cell
        return [_empty(row, backend, trial, "fail", _first_line(error)) for trial in trials]
    seconds = time.perf_counter() - start
    if _fingerprint(source.module) != before:
        reason = "saving changed the module or the random state"
        return [_empty(row, backend, trial, "fail", reason) for trial in trials]
    return check_artefact(row, backend, path, trials, seconds)


def check_artefact(
    row: Row, backend: Backend, path: Path, trials: list[Trial], seconds: float
) -> list[Record]:
    """Load a saved artefact afresh and compare it with eager on every trial."""
    size = artefact_bytes(path)
    if not backend.runnable:
        return [
            _empty(row, backend, trial, "not_run", backend.not_run_reason, size, seconds)
            for trial in trials
        ]
    records = []
    try:
        artefact = backend.load(path)
    except Exception as error:  # whatever a runtime raises is the reason of a failed cell
        return [_empty(row, backend, trial, "fail", _first_line(error)) for trial in trials]
    for trial in trials:
        try:
            actual = artefact.run(trial.method, trial.inputs)
            again = artefact.run(trial.method, trial.inputs)
        except Exception as error:  # likewise
            records.append(_empty(row, backend, trial, "fail", _first_line(error), size, seconds))
            continue
        records.append(_compare(row, backend, trial, actual, again, size, seconds))
    return records


def _compare(
    row: Row,
    backend: Backend,
    trial: Trial,
    actual: Inputs,
    again: Inputs,
    size: int,
    seconds: float,
) -> Record:
    reason = difference(actual, trial.expected)
    if not reason and not all(map(_identical, actual, again)):
        reason = "a second run gives another result"
    if reason:
        return _empty(row, backend, trial, "fail", reason, size, seconds)
    error, tolerance, worst = 0.0, 0.0, -math.inf
    for result, expected in zip(actual, trial.expected, strict=True):
        this_error = _max_error(result, expected)
        this_tolerance = _tolerance(expected, backend.tolerance)
        if this_error - this_tolerance > worst:
            error, tolerance, worst = this_error, this_tolerance, this_error - this_tolerance
    return Record(
        row.entry,
        row.variant,
        trial.method,
        backend.name,
        trial.content,
        "pass" if error <= tolerance else "fail",
        error,
        tolerance,
        _sqnr(actual, trial.expected),
        size,
        seconds,
        "" if error <= tolerance else f"differs by {error:.3g}, tolerance {tolerance:.3g}",
    )


def difference(actual: Inputs, expected: Inputs) -> str:
    """What makes two results incomparable, or an empty string."""
    if len(actual) != len(expected):
        return f"gives {len(actual)} tensors, eager {len(expected)}"
    for result, reference in zip(actual, expected, strict=True):
        if result.shape != reference.shape:
            return f"gives shape {list(result.shape)}, eager {list(reference.shape)}"
        if not bool(torch.isfinite(reference.double()).all()):
            return "eager is not finite"
        if not bool(torch.isfinite(result.double()).all()):
            return "gives a result that is not finite"
    return ""


def artefact_bytes(path: Path) -> int:
    """Size of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())


def summary(records: list[Record]) -> Mapping[str, int]:
    """How many comparisons ended how."""
    counts: dict[str, int] = {}
    for record in records:
        counts[record.status] = counts.get(record.status, 0) + 1
    return counts


def _eager(module: nn.Module, method: str, inputs: Inputs) -> Inputs:
    with torch.no_grad():
        return tuple(result.clone() for result in flatten(getattr(module, method)(*inputs)))


def _max_error(actual: Tensor, expected: Tensor) -> float:
    if expected.numel() == 0:
        return 0.0
    return float((actual.double() - expected.double()).abs().max())


def _tolerance(expected: Tensor, promise: float) -> float:
    """Whole numbers and truth values must be equal."""
    if not expected.is_floating_point() or expected.numel() == 0:
        return 0.0
    return promise * max(1.0, float(expected.abs().max()))


def _sqnr(actual: Inputs, expected: Inputs) -> float | None:
    """Signal to error ratio in dB; None when there is no error or no signal."""
    pairs = list(zip(actual, expected, strict=True))
    signal = sum(float(e.double().square().sum()) for _, e in pairs)
    noise = sum(float((a.double() - e.double()).square().sum()) for a, e in pairs)
    if not (signal > 0 and noise > 0 and math.isfinite(noise)):
        return None
    return 10 * math.log10(signal / noise)


def _identical(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first, second)


def _fingerprint(module: nn.Module) -> tuple[object, ...]:
    state = tuple((k, v.clone().numpy().tobytes()) for k, v in module.state_dict().items())
    modes = tuple(part.training for part in module.modules())
    return state, modes, torch.get_rng_state().numpy().tobytes()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


def _empty(
    row: Row,
    backend: Backend,
    trial: Trial,
    status: Status,
    reason: str,
    size: int | None = None,
    seconds: float | None = None,
) -> Record:
    return Record(
        row.entry,
        row.variant,
        trial.method,
        backend.name,
        trial.content,
        status,
        bytes=size,
        seconds=seconds,
        reason=reason,
    )
