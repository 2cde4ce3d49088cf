"""Files of fewer bits: written as a draft, judged by decisions, and for good only if they pass."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from torch import Tensor

from export.backends import Backend, Source
from export.budget import Budget, unlimited
from export.catalog import Row
from export.errors import InputError
from export.jobs.steps import TrialList, evenly
from export.parity import check as parity
from export.parity.decisions import Rung, compare_files
from export.parity.guard import judge, most_flips, refusals
from export.parity.record import Record, Status, Trial
from export.progress import Progress
from export.runtime.contract import AnyContract

MOST_JUDGED = 60
_OTHER = "the file does not answer as the draft that was judged"
GIVE_TRIALS = "give --protocol and --audio, or set SCRIPTABLE_SPEECH to a folder of recordings"


@dataclass(frozen=True)
class Reduction:
    """What is to be written beside float32, or in its place, and on what terms."""

    precisions: tuple[str, ...] = ("float32",)
    windows: Tensor | None = None
    """Audio ``[T, N]`` that the ranges of int8 are chosen on."""
    force: bool = False
    """Write what the guard refuses, too; the contract says so."""
    judged_on: Sequence[int] | None = None
    """Trials outside the calibration; None: all of them."""

    @property
    def fewer(self) -> tuple[str, ...]:
        """The precisions below float32."""
        return tuple(name for name in self.precisions if name != "float32")


@dataclass(frozen=True)
class Job:
    """A trained module with all that its files are judged by."""

    source: Source
    """In float32."""
    row: Row
    contract: AnyContract
    trials: Sequence[Trial]
    """Inputs and the trained module's answers."""
    judged: TrialList
    reduction: Reduction
    budget: Budget = field(default_factory=unlimited)
    most_judged: int = MOST_JUDGED


@dataclass(frozen=True)
class Written:
    """What became of one file."""

    records: list[Record]
    rungs: list[Rung] = field(default_factory=list)


def name_of(stem: str, precision: str, backend: Backend) -> str:
    """The file's name: ``scorer.int8.xnnpack.pte``."""
    return f"{stem}.{precision}{backend.suffix}"


def able(precision: str, use: Sequence[Backend]) -> list[Backend]:
    """Those that can write the precision.

    Raises:
        InputError: if none of them can.
    """
    found = [backend for backend in use if precision in backend.precisions]
    if not found:
        names = ", ".join(backend.name for backend in use)
        raise InputError(f"precision: {precision} cannot be written by {names}")
    return found


def write_judged(
    job: Job, precision: str, backend: Backend, out: Path, progress: Progress
) -> Written:
    """One file: a draft of it scores the trials, and the file's contract says how well.

    The file holds the draft's program, and is held to the draft's answers.
    """
    row = replace(job.row, variant=f"{job.row.variant}.{precision}")
    path = out / f"{row.variant}{backend.suffix}"
    contract = job.contract.model_copy(update={"precision": precision})
    source = job.source.in_precision(precision, job.reduction.windows)

    def check(contract: AnyContract, path: Path) -> list[Record]:
        what = source.with_contract(contract.model_dump_json(indent=1))
        found = parity.check_backend(row, backend, what, list(job.trials), path, job.budget)
        return [replace(record, precision=precision, tolerance=None) for record in found]

    progress(f"exporting {backend.name} in {precision}", 0, 1)
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        records = check(contract, draft)
        if any(record.max_abs_error is None for record in records):
            return Written(records)
        try:
            rung, largest = _compare(job, contract, draft, precision, progress)
        except InputError as error:
            return Written(_told(records, "fail", str(error)))
    speech = [r.max_abs_error for r in records if r.content == "speech" and r.max_abs_error]
    windows = job.reduction.windows if precision == "int8" else None
    guard = judge(
        precision,
        rung,
        largest,
        max(speech, default=0.0) if contract.task == "spoofing" else 0.0,
        0 if windows is None else len(windows),
    )
    refused = "; ".join(refusals(guard))
    if refused and not job.reduction.force:
        reason = f"refused and not written, --force writes it: {refused}"
        return Written(_told(records, "fail", reason), [rung])
    again = check(contract.model_copy(update={"precision_guard": guard}), path)
    if [r.max_abs_error for r in again] != [r.max_abs_error for r in records]:
        _remove(path)
        reason = next((r.reason for r in again if r.max_abs_error is None), _OTHER)
        return Written(_told(again, "fail", reason), [rung])
    if refused:
        return Written(_told(again, "fail", f"written all the same: {refused}"), [rung])
    return Written(_told(again, "pass", ""), [rung])


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _compare(
    job: Job, contract: AnyContract, path: Path, precision: str, progress: Progress
) -> tuple[Rung, float]:
    """Scores and decisions of a file, and the largest score that it was compared with."""
    judged = job.judged
    outside = job.reduction.judged_on if precision == "int8" else None
    chosen = evenly(range(len(judged.names)) if outside is None else outside, job.most_judged)
    expected = judged.scores[chosen]
    (rung,) = compare_files(
        [path],
        lambda path: judged.run(path, chosen),
        contract,
        [judged.names[i] for i in chosen],
        judged.labels[chosen],
        expected,
        lambda _, done, total: progress(f"scoring with {path.name}", done, total),
    )
    rung = replace(rung, precision=precision, most_flips=most_flips(precision, rung.trials))
    return rung, float(expected.abs().max())


def _told(records: Sequence[Record], status: Status, reason: str) -> list[Record]:
    return [replace(record, status=status, reason=reason) for record in records]
