"""From a trained module to a folder of proven files: export, compare, time, report.

The tail of every job that ships a model: ``python -m export demo`` and ``python -m export model``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor, nn

from export.backends._base import Backend
from export.catalog import Row
from export.files import check_output, staged_folder
from export.jobs.steps import TrialList, artefact_paths, export_all, latencies, runnable, summaries
from export.parity.decisions import Rung, compare_files
from export.parity.document import write_json
from export.progress import Progress
from export.report.page import Report, Trials, write_html
from export.report.result import Result
from export.runtime.contract import AnyContract, versions
from scriptable import equal_error_rate


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
    write_scores: Callable[[Path], None] | None = None
    """Writes ``scores.csv``; None: there is none."""
    notes: tuple[str, ...] = ()
    unit: str = "recordings"
    """What the trials are."""


def publish(
    product: Product,
    out: Path,
    progress: Progress,
    use: Sequence[Backend] | None = None,
    dynamic_batch: bool = False,
) -> Result:
    """Write a product's files, ``parity.json``, ``scores.csv`` and ``report.html``, as one set.

    Raises:
        InputError: if one of them would replace what is not ours, or another run is writing there.
    """
    for path in artefact_paths(out, product.row.variant, use).values():
        check_output(path)
    with staged_folder(out) as staging:
        result = _publish(product, staging, progress, use, dynamic_batch)
    return replace(result, files=[out / path.name for path in result.files])


def _publish(
    product: Product,
    out: Path,
    progress: Progress,
    use: Sequence[Backend] | None,
    dynamic_batch: bool,
) -> Result:
    row, trials = product.row, product.trials
    records = export_all(
        out, row, product.module, product.contract, product.speech, progress, use, dynamic_batch
    )
    paths = artefact_paths(out, row.variant, use)
    decisions = [] if trials is None else _decisions(trials, paths, product.contract, progress)
    times = latencies(paths, product.module, row.draw("forward", 0))
    shown = _shown(trials, product.contract)
    documents = [out / "parity.json", out / "report.html"]
    write_json(records, documents[0], decisions)
    if product.write_scores is not None:
        documents.insert(1, out / "scores.csv")
        product.write_scores(documents[1])
    result = Result(
        records=records,
        rungs=decisions,
        artefacts=summaries(paths, times),
        eager_ms=times["eager"],
        equal_error_rate=None if shown is None else equal_error_rate(shown.scores, shown.labels)[0],
        held_out=0 if trials is None else len(trials.names),
        files=[*(path for path in paths.values() if path.exists()), *documents],
        notes=product.notes,
        unit=product.unit,
    )
    report = Report(
        title=product.title,
        records=records,
        versions=versions(),
        artefacts=result.artefacts,
        eager_ms=result.eager_ms,
        contract=product.contract,
        trials=shown,
        notes=result.notes,
        ladder=decisions,
    )
    write_html(report, out / "report.html")
    return result


def _decisions(
    trials: TrialList, paths: dict[str, Path], contract: AnyContract, progress: Progress
) -> list[Rung]:
    compared = list(trials.compared)
    return compare_files(
        [paths[name] for name in runnable(paths)],
        lambda path: trials.run(path, compared),
        contract,
        [trials.names[i] for i in compared],
        trials.labels[compared],
        trials.scores[compared],
        progress,
    )


def _shown(trials: TrialList | None, contract: AnyContract) -> Trials | None:
    """The trials as the report shows them; None where one class is missing."""
    if trials is None or len(trials.labels.unique()) < 2:
        return None
    llrs = contract.decision.scale * trials.scores + contract.decision.offset
    return Trials(trials.scores, llrs, trials.labels)
