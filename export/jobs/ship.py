"""From a trained model in a script of your own to proven files: calibrate, export, compare."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from export.backends import select, with_plain_weights
from export.budget import unlimited
from export.catalog import Row
from export.corpus import BONA_FIDE, Utterance
from export.errors import InputError
from export.files import staged_folder
from export.jobs.live import check_live, with_live
from export.jobs.precisions import Precisions
from export.jobs.reduced import Job, Reduction, able, write_judged
from export.jobs.speaker_contract import About, decided, speaker_contract, verifier_row
from export.jobs.speaker_trials import SpeakerTrial, SpeakerTrials, trial_list
from export.jobs.spoofing_contract import make_contract
from export.jobs.steps import TrialList, export_each, scorer_row, source_of, writers
from export.jobs.threshold import ThresholdChoice
from export.jobs.voice_scorer import averaging_of
from export.parity.check import make_trials
from export.parity.document import write_json
from export.parity.record import Record
from export.progress import silent
from export.runtime.contract import AnyContract
from export.runtime.guards import observed
from export.runtime.scorer import load_scorer
from scriptable import EmbeddingPipeline, ScorePipeline


def ship(
    pipeline: ScorePipeline,
    windows: Tensor,
    labels: Tensor,
    out: Path,
    backends: Sequence[str] = (),
    sample_rate: int = 16000,
    threshold: ThresholdChoice | None = None,
    stem: str = "scorer",
    precisions: Sequence[str] = ("float32",),
    calibration: Tensor | None = None,
    force: bool = False,
    live: str | None = None,
) -> list[Record]:
    """Write a trained scorer for every backend, load each file afresh and compare it with eager.

    The calibration, the threshold and the guards of the contract come from the held-out windows,
    the first of which is also what the files are run on as real audio. Writes ``stem`` with each
    backend's suffix, and ``parity.json``.

    Args:
        pipeline: the trained scorer, N = ``pipeline.num_samples``; left as it was.
        windows: held-out audio, which training has not seen, ``[T, N]``.
        labels: 1 for bona fide, 0 for spoof, ``[T]``.
        out: folder for the files.
        backends: names as in ``python -m export list``; all of them when there are none.
        sample_rate: of the windows, Hz.
        threshold: where the contract's threshold is put; by default at the equal error rate.
        stem: of the files' names.
        precisions: ``"float32"``, ``"mixed16"``, ``"int8"``, a file each. Fewer bits are judged by
            decisions on the held-out windows.
        calibration: audio ``[C, N]`` as the deployment's, none of it in ``windows``, which int8
            chooses its ranges on.
        force: write what is refused for its decisions, too; its contract says so.
        live: ``"cached"``: each file has a method ``live`` beside ``forward``, too, see
            :class:`scriptable.CachedScorePipeline`.

    Returns:
        One record for each comparison; a ``status`` of ``fail`` is a file not to be shipped.

    Raises:
        InputError: if a shape is wrong, the held-out scores cannot be calibrated, a precision
            cannot be written, or ``live`` is asked of parts that cannot.
    """
    reduction = _reduction(pipeline, precisions, calibration, force)
    check_live(live, precisions)
    pipeline = with_plain_weights(pipeline).eval()
    if live is not None:
        pipeline = with_live(pipeline, sample_rate)
    scores = _answers(pipeline, windows, "labels", labels).double()
    hop, guards = max(1, pipeline.num_samples // 2), observed(windows, sample_rate)
    contract = make_contract(pipeline, sample_rate, hop, scores, labels, threshold, guards)

    def run(path: Path, chosen: Sequence[int]) -> Tensor:
        return load_scorer(path).score_windows(windows[list(chosen)]).double()

    names = [f"window {i}" for i in range(len(windows))]
    judged = TrialList(names, labels, scores, run, range(len(windows)))
    row = scorer_row(pipeline, stem)
    return _write(pipeline, row, contract, windows[0], out, backends, judged, reduction)


def ship_verifier(
    pipeline: EmbeddingPipeline,
    windows: Tensor,
    speakers: Tensor,
    out: Path,
    backends: Sequence[str] = (),
    sample_rate: int = 16000,
    threshold: ThresholdChoice | None = None,
    stem: str = "verifier",
    precisions: Sequence[str] = ("float32",),
    calibration: Tensor | None = None,
    force: bool = False,
) -> list[Record]:
    """Write a trained embedder with its scorer for every backend, and compare each file with eager.

    The calibration and the threshold come from all pairs of the held-out windows. A
    :class:`scriptable.PLDA` gets the embeddings as they are, any other scorer unit vectors; the
    contract says which. As :func:`ship` in all else.

    Args:
        pipeline: the trained embedder and its scorer, N = ``pipeline.num_samples``; left as it was.
        windows: held-out audio of speakers that training has not heard, ``[T, N]``.
        speakers: who speaks, any integers, ``[T]``; at least two speakers, one of them twice.
        out: folder for the files.
        backends: names as in ``python -m export list``; all of them when there are none.
        sample_rate: of the windows, Hz.
        threshold: where the contract's threshold is put; by default at the equal error rate.
        stem: of the files' names.
        precisions: as of :func:`ship`.
        calibration: as of :func:`ship`.
        force: as of :func:`ship`.

    Returns:
        One record for each comparison; a ``status`` of ``fail`` is a file not to be shipped.

    Raises:
        InputError: if a shape is wrong, the scores of the pairs cannot be calibrated, or a
            precision cannot be written.
    """
    reduction = _reduction(pipeline, precisions, calibration, force)
    pipeline = with_plain_weights(pipeline).eval()
    embeddings = _answers(pipeline, windows, "speakers", speakers)
    hop, guards = max(1, pipeline.num_samples // 2), observed(windows, sample_rate)
    about = About(sample_rate, hop, guards=guards)
    if averaging_of(pipeline.scorer) == "mean_of_unit_vectors":
        embeddings = torch.nn.functional.normalize(embeddings)
    first, second = torch.triu_indices(len(windows), len(windows), 1)
    with torch.no_grad():
        scores = pipeline.verify(embeddings, embeddings)[second, first].double()
    labels = (speakers[first] == speakers[second]).long()
    decision = decided(scores, labels, threshold or ThresholdChoice(), "held-out trials")
    contract = speaker_contract(pipeline, about, decision)
    pairs = [
        SpeakerTrial((i,), j, "target" if same else "nontarget", f"window {i}")
        for i, j, same in zip(first.tolist(), second.tolist(), labels.tolist(), strict=True)
    ]
    heard = [Utterance(f"window {i}", "", "-", BONA_FIDE, x) for i, x in enumerate(windows)]
    judged = trial_list(SpeakerTrials(heard, pairs), scores)
    row = verifier_row(pipeline, stem)
    return _write(pipeline, row, contract, windows[0], out, backends, judged, reduction)


def _reduction(
    pipeline: ScorePipeline | EmbeddingPipeline,
    precisions: Sequence[str],
    calibration: Tensor | None,
    force: bool,
) -> Reduction:
    asked = Precisions(tuple(precisions), force=force)
    asked.check()
    n = pipeline.num_samples
    if "int8" in precisions:
        found = "none" if calibration is None else list(calibration.shape)
        if calibration is None or calibration.dim() != 2 or calibration.shape[1] != n:
            raise InputError(f"calibration: int8 needs windows of shape [C, {n}], got {found}")
        if not len(calibration):
            raise InputError("calibration: int8 needs a window or more")
    return asked.reduction(calibration)


def _answers(
    pipeline: ScorePipeline | EmbeddingPipeline, windows: Tensor, name: str, keys: Tensor
) -> Tensor:
    """What the pipeline answers to each window ``[T, N]``, of which each has its key ``[T]``."""
    n = pipeline.num_samples
    if windows.dim() != 2 or windows.shape[1] != n:
        raise InputError(f"windows: expected shape [T, {n}], got {list(windows.shape)}")
    if keys.shape != windows.shape[:1]:
        raise InputError(f"{name}: expected shape [{len(windows)}], got {list(keys.shape)}")
    with torch.no_grad():
        return torch.cat([pipeline(window.unsqueeze(0)) for window in windows])


def _write(
    pipeline: nn.Module,
    row: Row,
    contract: AnyContract,
    speech: Tensor,
    out: Path,
    backends: Sequence[str],
    judged: TrialList,
    reduction: Reduction,
) -> list[Record]:
    use = select(list(backends)) if backends else writers()
    trials = make_trials(row, pipeline, speech)
    source = source_of(row, pipeline, contract)
    with staged_folder(out) as staging:
        plain = use if "float32" in reduction.precisions else []
        cells = export_each(staging, row, source, trials, plain, silent, unlimited())
        records = [record for found in cells for record in found]
        job = Job(source, row, contract, trials, judged, reduction)
        written = [
            write_judged(job, precision, backend, staging, silent)
            for precision in reduction.fewer
            for backend in able(precision, use)
        ]
        records += [record for one in written for record in one.records]
        rungs = [rung for one in written for rung in one.rungs]
        write_json(records, staging / "parity.json", rungs)
    return records
