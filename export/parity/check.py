"""Parity: save, load afresh, run on the example, on other content and on real speech, compare.

A cell of the table is one method of one row on one backend. It passes when, on every content,
|artefact − eager| ≤ tolerance · max(1, max|eager|), the results have eager's shapes, a second run
gives identical results, and saving has left module and random state as they were.
"""

import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from export.backends import Artefact, Backend, Inputs, Source, flatten, save
from export.budget import Budget, OutOfTime, unlimited
from export.catalog import Row
from export.errors import first_line, user_place
from export.files import artefact_bytes
from export.parity.compare import NOT_REPEATED, compare, empty
from export.parity.randomness import where_random
from export.parity.record import Content, Record, Trial
from export.runtime.contract import weights_sha256

_SLOWER = 10.0
"""Times eager, from which on a file is slow, and not only the model or the machine."""
# What a single pass of a slow file is run on: what was not seen at its making tells most.
_TELLING: dict[Content, int] = {"speech": 0, "other": 1, "example": 2}


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
            start = time.perf_counter()
            expected = _eager(module, method, inputs)
            seconds = time.perf_counter() - start
            trials.append(Trial(method, content, inputs, expected, seconds))
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
    row: Row,
    backend: Backend,
    source: Source,
    trials: list[Trial],
    path: Path,
    budget: Budget | None = None,
) -> list[Record]:
    """Save a row through one backend and check the file."""
    budget = budget or unlimited()
    reason = backend.unavailable() or budget.refusal()
    if reason:
        return [empty(row, backend, trial, "skipped", reason) for trial in trials]
    if backend.name in row.waivers:
        waiver = row.waivers[backend.name]
        reason = f"{waiver.reason} ({waiver.issue})"
        return [empty(row, backend, trial, "waived", reason) for trial in trials]
    before = _fingerprint(source.module)
    start = time.perf_counter()
    try:
        with budget.limit():
            save(backend, source, path)
    except OutOfTime as stop:
        return [empty(row, backend, trial, "skipped", f"writing it {stop}") for trial in trials]
    except Exception as error:  # whatever a converter raises is the reason of a failed cell
        return [empty(row, backend, trial, "fail", _reason(error)) for trial in trials]
    seconds = time.perf_counter() - start
    if _fingerprint(source.module) != before:
        reason = "saving changed the module or the random state"
        return [empty(row, backend, trial, "fail", reason) for trial in trials]
    return check_artefact(row, backend, path, trials, seconds, budget, source.module)


def check_artefact(
    row: Row,
    backend: Backend,
    path: Path,
    trials: list[Trial],
    seconds: float,
    budget: Budget | None = None,
    module: nn.Module | None = None,
) -> list[Record]:
    """Load a saved artefact afresh and compare it with eager on every trial.

    A file that takes longer for one pass than the budget's patience is run once for each method.
    ``module``, where given, is asked for the line that a result by chance comes from.
    """
    budget = budget or unlimited()
    size = artefact_bytes(path)
    if not backend.runnable:
        return [
            empty(row, backend, trial, "not_run", backend.not_run_reason, size, seconds)
            for trial in trials
        ]
    try:
        artefact = backend.load(path)
        reason = _wrong_weights(artefact)
    except Exception as error:  # whatever a runtime raises is the reason of a failed cell
        reason = _reason(error)
    if reason:
        return [empty(row, backend, trial, "fail", reason, size, seconds) for trial in trials]
    records: dict[int, Record] = {}
    done: set[str] = set()
    order = list(range(len(trials)))
    if math.isfinite(budget.patience):
        order.sort(key=lambda index: _TELLING[trials[index].content])
    for index in order:
        trial = trials[index]
        if trial.method in done:
            continue
        expected = backend.slowness * trial.seconds if budget.patience < backend.slowness else 0.0
        if reason := budget.refusal(expected):
            records[index] = empty(row, backend, trial, "skipped", reason, size, seconds)
            continue
        start = time.perf_counter()
        try:
            with budget.limit():
                actual = artefact.run(trial.method, trial.inputs)
                took = time.perf_counter() - start
                slow = took > max(budget.patience, _SLOWER * trial.seconds)
                again = actual if slow else artefact.run(trial.method, trial.inputs)
        except OutOfTime as stop:
            records[index] = empty(row, backend, trial, "skipped", f"running it {stop}", size)
            continue
        except Exception as error:  # likewise
            records[index] = empty(row, backend, trial, "fail", _reason(error), size, seconds)
            continue
        record = compare(row, backend, trial, actual, again, size, seconds)
        if slow:
            done.add(trial.method)
            once = (
                record.reason or f"one pass takes {took:.0f} s: run only once, on {trial.content}"
            )
            record = replace(record, slow_pass=took, reason=once)
        if module is not None and record.reason == NOT_REPEATED:
            record = replace(record, reason=_with_line(record.reason, module, trial))
        records[index] = record
    return [records[index] for index in sorted(records)]


def _wrong_weights(artefact: Artefact) -> str:
    """Why the file would be refused when it is loaded to score; empty where it would not."""
    weights, text = artefact.weights(), artefact.contract()
    if weights is None or not text:
        return ""
    promised = json.loads(text).get("weights_sha256", "")
    found = weights_sha256(weights)
    if found == promised:
        return ""
    return (
        f"its weights are not the ones of its contract (sha256 {found[:12]}..., contract "
        f"{promised[:12]}...): saving renamed or changed them"
    )


def _with_line(reason: str, module: nn.Module, trial: Trial) -> str:
    random = where_random(module, trial.method, trial.inputs)
    return f"{reason}: {random}" if random else reason


def _eager(module: nn.Module, method: str, inputs: Inputs) -> Inputs:
    with torch.no_grad():
        return tuple(result.clone() for result in flatten(getattr(module, method)(*inputs)))


def _fingerprint(module: nn.Module) -> tuple[object, ...]:
    state = tuple((k, v.clone().numpy().tobytes()) for k, v in module.state_dict().items())
    modes = tuple(part.training for part in module.modules())
    return state, modes, torch.get_rng_state().numpy().tobytes()


def _reason(error: Exception) -> str:
    """What a converter or a runtime said, and the line of the user's that it was about."""
    place = user_place(error)
    return f"{first_line(error)} ({place})" if place else first_line(error)
