"""Parity: save, load afresh, run on the example, on other content and on real speech, compare.

A cell of the table is one method of one row on one backend. It passes when, on every content,
|artefact − eager| ≤ tolerance · max(1, max|eager|), the results have eager's shapes, a second run
gives identical results, and saving has left module and random state as they were.
"""

import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from export.backends import Backend, Inputs, Source, flatten, save
from export.catalog import Row
from export.files import artefact_bytes
from export.parity.compare import compare, empty
from export.parity.record import Content, Record, Trial


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
                cells = [empty(row, backend, trial, "fail", reason) for trial in trials]
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
        return [empty(row, backend, trial, "skipped", missing) for trial in trials]
    if backend.name in row.waivers:
        waiver = row.waivers[backend.name]
        reason = f"{waiver.reason} ({waiver.issue})"
        return [empty(row, backend, trial, "waived", reason) for trial in trials]
    before = _fingerprint(source.module)
    start = time.perf_counter()
    try:
        save(backend, source, path)
    except Exception as error:  # whatever a converter raises is the reason of a failed cell
        return [empty(row, backend, trial, "fail", _first_line(error)) for trial in trials]
    seconds = time.perf_counter() - start
    if _fingerprint(source.module) != before:
        reason = "saving changed the module or the random state"
        return [empty(row, backend, trial, "fail", reason) for trial in trials]
    return check_artefact(row, backend, path, trials, seconds)


def check_artefact(
    row: Row, backend: Backend, path: Path, trials: list[Trial], seconds: float
) -> list[Record]:
    """Load a saved artefact afresh and compare it with eager on every trial."""
    size = artefact_bytes(path)
    if not backend.runnable:
        return [
            empty(row, backend, trial, "not_run", backend.not_run_reason, size, seconds)
            for trial in trials
        ]
    records = []
    try:
        artefact = backend.load(path)
    except Exception as error:  # whatever a runtime raises is the reason of a failed cell
        return [empty(row, backend, trial, "fail", _first_line(error)) for trial in trials]
    for trial in trials:
        try:
            actual = artefact.run(trial.method, trial.inputs)
            again = artefact.run(trial.method, trial.inputs)
        except Exception as error:  # likewise
            records.append(empty(row, backend, trial, "fail", _first_line(error), size, seconds))
            continue
        records.append(compare(row, backend, trial, actual, again, size, seconds))
    return records


def _eager(module: nn.Module, method: str, inputs: Inputs) -> Inputs:
    with torch.no_grad():
        return tuple(result.clone() for result in flatten(getattr(module, method)(*inputs)))


def _fingerprint(module: nn.Module) -> tuple[object, ...]:
    state = tuple((k, v.clone().numpy().tobytes()) for k, v in module.state_dict().items())
    modes = tuple(part.training for part in module.modules())
    return state, modes, torch.get_rng_state().numpy().tobytes()


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"
