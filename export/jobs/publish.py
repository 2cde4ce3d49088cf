"""From a trained module to a folder of proven files: export, compare, time, report.

The tail of every job that ships a model: ``python -m export demo`` and ``python -m export model``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from export.backends import Backend, Source
from export.budget import Budget
from export.catalog import Row
from export.corpus import Utterance
from export.errors import InputError
from export.files import check_output, staged_folder
from export.jobs.reduced import (
    GIVE_TRIALS,
    MOST_JUDGED,
    Job,
    Reduction,
    able,
    name_of,
    write_judged,
)
from export.jobs.steps import (
    TrialList,
    artefact_paths,
    evenly,
    export_each,
    latencies,
    runnable,
    source_of,
    summaries,
    writers,
)
from export.parity.check import make_trials
from export.parity.decisions import Rung, compare_files
from export.parity.document import write_json
from export.parity.record import Record, Trial, file_kind
from export.progress import Progress
from export.report.page import Report, Trials, write_html
from export.report.result import Result
from export.runtime.contract import AnyContract, versions
from scriptable import equal_error_rate

_SECONDS_A_FILE = 20.0
"""That one file may take to score the trial list; a slow model is compared on fewer trials."""
_FEWEST = 6


@dataclass(frozen=True)
class Product:
    """A trained module and all that goes out with it."""

    title: str
    """Of the report."""
    module: nn.Module
    contract: AnyContract
    row: Row
    """How the module's methods are drawn for parity; its variant is the stem of the files."""
    speech: Tensor | None = None
    """A recording ``[L]`` that the files are run on, too."""
    trials: TrialList | None = None
    """What decisions are compared on; None: they are not."""
    shown: Trials | None = None
    """What the figures of the report are from; None: the trials, under the contract."""
    write_scores: Callable[[Path], None] | None = None
    """Writes ``scores.csv``; None: there is none."""
    notes: tuple[str, ...] = ()
    unit: str = "recordings"
    """What the trials are."""
    seconds_a_trial: float = 0.0
    """That the trained module took for one trial."""
    reduction: Reduction = field(default_factory=Reduction)
    """The precisions of the files."""
    recordings: Sequence[Utterance] = ()
    """The trials one by one, where each is a recording that the user gave."""


@dataclass
class _Progressing:
    """What is known so far; the documents are written anew whenever that grows."""

    product: Product
    out: Path
    partial_record: Path
    paths: dict[str, Path]
    shown: Trials | None
    records: list[Record] = field(default_factory=list)
    decisions: list[Rung] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def documents(self) -> list[Path]:
        """What is written beside the models."""
        scores = [] if self.product.write_scores is None else [self.out / "scores.csv"]
        return [self.out / "parity.json", *scores, self.out / "report.html"]

    def write(self) -> None:
        """Write ``parity.json`` and ``report.html``, and the record of a job under way."""
        write_json(self.records, self.documents[0], self.decisions)
        write_json(self.records, self.partial_record, self.decisions)
        report = Report(
            title=self.product.title,
            records=self.records,
            versions=versions(),
            artefacts=summaries(self.paths, self.times, self.records),
            eager_ms=self.times.get("eager"),
            contract=self.product.contract,
            trials=self.shown,
            notes=(*self.product.notes, *self.notes),
            ladder=self.decisions,
        )
        write_html(report, self.documents[-1])

    def result(self) -> Result:
        """What the command shows."""
        product, shown = self.product, self.shown
        return Result(
            records=self.records,
            rungs=self.decisions,
            artefacts=summaries(self.paths, self.times, self.records),
            eager_ms=self.times["eager"],
            equal_error_rate=None
            if shown is None
            else equal_error_rate(shown.scores, shown.labels)[0],
            held_out=0 if shown is None else len(shown.labels),
            files=[*(path for path in self.paths.values() if path.exists()), *self.documents],
            notes=(*product.notes, *self.notes),
            unit=product.unit,
        )


def publish(
    product: Product,
    out: Path,
    progress: Progress,
    use: Sequence[Backend] | None = None,
    dynamic_batch: bool = False,
    budget: Budget | None = None,
) -> Result:
    """Write a product's files, ``parity.json``, ``scores.csv`` and ``report.html``, as one set.

    They take their places together when all are written. What does not fit into the budget is left
    out, with the reason. Until then ``parity.partial.json`` holds the comparisons so far; it stays
    when the job is stopped, and goes when it ends.

    Raises:
        InputError: if one of them would replace what is not ours, or another run is writing there.
    """
    for path in _paths(product, out, use).values():
        check_output(path)
    with staged_folder(out) as staging:
        partial_record = out / "parity.partial.json"
        result = _publish(
            product, staging, partial_record, progress, use, dynamic_batch, budget or Budget()
        )
    partial_record.unlink(missing_ok=True)
    return replace(result, files=[out / path.name for path in result.files])


def _publish(
    product: Product,
    out: Path,
    partial_record: Path,
    progress: Progress,
    use: Sequence[Backend] | None,
    dynamic_batch: bool,
    budget: Budget,
) -> Result:
    use = writers() if use is None else use
    plain = use if "float32" in product.reduction.precisions else []
    row = product.row
    trials = make_trials(row, product.module, product.speech)
    shown = product.shown or _shown(product.trials, product.contract)
    state = _Progressing(product, out, partial_record, _paths(product, out, use), shown)
    state.times["eager"] = 1e3 * min(trial.seconds for trial in trials)
    if product.write_scores is not None:
        product.write_scores(out / "scores.csv")
    source = source_of(row, product.module, product.contract, dynamic_batch)
    for records in export_each(out, row, source, trials, plain, progress, budget):
        state.records += records
        state.write()
    quick = [name for name in _proven(state) if not _slow(state.records, name)]
    if product.trials is not None:
        _compare_decisions(state, product.trials, quick, progress, budget)
        state.write()
    if product.trials is not None and product.reduction.fewer:
        _write_reduced(state, source, trials, product.trials, use, progress, budget)
        quick = [kind for kind in _proven(state) if not _slow(state.records, kind)]
    if reason := budget.refusal():
        state.notes.append(f"times per window: {reason}")
    else:
        progress("timing every file", 0, 1)
        state.times |= latencies(state.paths, quick, product.module, row.draw("forward", 0))
        progress("timing every file", 1, 1)
    state.write()
    return state.result()


def _paths(product: Product, out: Path, use: Sequence[Backend] | None) -> dict[str, Path]:
    """Where each kind of file goes.

    Raises:
        InputError: if a precision cannot be written, or there is nothing to judge it by.
    """
    reduction, stem = product.reduction, product.row.variant
    paths = artefact_paths(out, stem, use) if "float32" in reduction.precisions else {}
    for precision in reduction.fewer:
        if product.trials is None:
            raise InputError(f"precision: {precision} is judged by decisions: {GIVE_TRIALS}")
        for backend in able(precision, writers() if use is None else use):
            kind = file_kind(backend.name, precision)
            paths[kind] = out / name_of(stem, precision, backend)
    return paths


def _write_reduced(
    state: _Progressing,
    source: Source,
    trials: list[Trial],
    judged: TrialList,
    use: Sequence[Backend],
    progress: Progress,
    budget: Budget,
) -> None:
    """The files of fewer bits, as far as their decisions allow it."""
    product = state.product
    most = max(_FEWEST, int(_SECONDS_A_FILE / max(product.seconds_a_trial, 1e-6)))
    job = Job(
        source,
        product.row,
        product.contract,
        trials,
        judged,
        product.reduction,
        budget,
        min(MOST_JUDGED, most),
    )
    for precision in product.reduction.fewer:
        for backend in able(precision, use):
            written = write_judged(job, precision, backend, state.out, progress)
            state.records += written.records
            state.decisions += written.rungs
            state.write()


def _proven(state: _Progressing) -> list[str]:
    """Kinds of file that ran here, right or wrong."""
    ran = {record.file_kind for record in state.records if record.max_abs_error is not None}
    return [name for name in runnable(state.paths) if name in ran]


def _slow(records: Sequence[Record], name: str) -> bool:
    return any(r.slow_pass is not None for r in records if r.file_kind == name)


def _compare_decisions(
    state: _Progressing,
    trials: TrialList,
    names: Sequence[str],
    progress: Progress,
    budget: Budget,
) -> None:
    """Score the trial list with every file; what cannot be scored with is a failed cell."""
    most = max(_FEWEST, int(_SECONDS_A_FILE / max(state.product.seconds_a_trial, 1e-6)))
    chosen = evenly(trials.compared, most)
    if len(chosen) < len(trials.compared):
        state.notes.append(
            f"decisions were compared on {most} of the {len(trials.names)} "
            f"{state.product.unit}: one takes {state.product.seconds_a_trial:.1f} s"
        )
    left_out = [name for name in _proven(state) if name not in names]
    state.notes += [f"{name}: too slow to compare decisions with" for name in left_out]
    for name in names:
        if reason := budget.refusal():
            state.notes.append(f"{name}: decisions: {reason}")
            continue
        failed: dict[Path, str] = {}
        state.decisions += compare_files(
            [state.paths[name]],
            lambda path: trials.run(path, chosen),
            state.product.contract,
            [trials.names[i] for i in chosen],
            trials.labels[chosen],
            trials.scores[chosen],
            partial(_said, progress, f"scoring with {name}"),
            failed,
        )
        row = state.product.row
        state.records += [
            Record(row.entry, row.variant, "forward", name, "speech", "fail", reason=reason)
            for reason in failed.values()
        ]


def _said(progress: Progress, words: str, what: str, done: int, total: int) -> None:
    progress(words, done, total)


def _shown(trials: TrialList | None, contract: AnyContract) -> Trials | None:
    """The trials as the report shows them; None where one class is missing."""
    if trials is None or len(trials.labels.unique()) < 2:
        return None
    llrs = contract.decision.scale * trials.scores + contract.decision.offset
    return Trials(trials.scores, llrs, trials.labels)
