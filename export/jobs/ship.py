"""From a trained model in a script of your own to proven files: calibrate, export, compare."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from export.backends import select, with_plain_weights
from export.budget import unlimited
from export.catalog import Row
from export.errors import InputError
from export.files import staged_folder
from export.jobs.spoofing_contract import make_contract, model_name
from export.jobs.steps import export_each, scorer_row, source_of, writers
from export.jobs.threshold import ThresholdChoice, calibrate
from export.jobs.verification import scoring_of, verifier_row
from export.parity.check import make_trials
from export.parity.document import write_json
from export.parity.record import Record
from export.progress import silent
from export.runtime import contract as contracts
from export.runtime.contract import (
    AnyContract,
    Audio,
    EmbeddingWindows,
    SpeakerDecision,
    VerificationContract,
)
from export.runtime.guards import observed
from scriptable import VERIFICATION_COSTS, EmbeddingPipeline, ScorePipeline


def ship(
    pipeline: ScorePipeline,
    windows: Tensor,
    labels: Tensor,
    out: Path,
    backends: Sequence[str] = (),
    sample_rate: int = 16000,
    threshold: ThresholdChoice | None = None,
    stem: str = "scorer",
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

    Returns:
        One record for each comparison; a ``status`` of ``fail`` is a file not to be shipped.

    Raises:
        InputError: if a shape is wrong, or the held-out scores cannot be calibrated.
    """
    n = pipeline.num_samples
    if windows.dim() != 2 or windows.shape[1] != n:
        raise InputError(f"windows: expected shape [T, {n}], got {list(windows.shape)}")
    if labels.shape != windows.shape[:1]:
        raise InputError(f"labels: expected shape [{len(windows)}], got {list(labels.shape)}")
    pipeline = with_plain_weights(pipeline).eval()
    with torch.no_grad():
        scores = torch.cat([pipeline(window.unsqueeze(0)) for window in windows]).double()
    guards = observed(windows, sample_rate)
    contract = make_contract(
        pipeline, sample_rate, max(1, n // 2), scores, labels, threshold, guards
    )
    return _write(pipeline, scorer_row(pipeline, stem), contract, windows[0], out, backends)


def ship_verifier(
    pipeline: EmbeddingPipeline,
    windows: Tensor,
    speakers: Tensor,
    out: Path,
    backends: Sequence[str] = (),
    sample_rate: int = 16000,
    threshold: ThresholdChoice | None = None,
    stem: str = "verifier",
) -> list[Record]:
    """Write a trained embedder with its scorer for every backend, and compare each file with eager.

    The calibration and the threshold come from all pairs of the held-out windows. As
    :func:`ship` in all else.

    Args:
        pipeline: the trained embedder and its scorer, N = ``pipeline.num_samples``; left as it was.
        windows: held-out audio of speakers that training has not heard, ``[T, N]``.
        speakers: who speaks, any integers, ``[T]``; at least two speakers, one of them twice.
        out: folder for the files.
        backends: names as in ``python -m export list``; all of them when there are none.
        sample_rate: of the windows, Hz.
        threshold: where the contract's threshold is put; by default at the equal error rate.
        stem: of the files' names.

    Returns:
        One record for each comparison; a ``status`` of ``fail`` is a file not to be shipped.

    Raises:
        InputError: if a shape is wrong, or the scores of the pairs cannot be calibrated.
    """
    n = pipeline.num_samples
    if windows.dim() != 2 or windows.shape[1] != n:
        raise InputError(f"windows: expected shape [T, {n}], got {list(windows.shape)}")
    if speakers.shape != windows.shape[:1]:
        raise InputError(f"speakers: expected shape [{len(windows)}], got {list(speakers.shape)}")
    pipeline = with_plain_weights(pipeline).eval()
    with torch.no_grad():
        found = torch.cat([pipeline(window.unsqueeze(0)) for window in windows])
        embeddings = torch.nn.functional.normalize(found)
        first, second = torch.triu_indices(len(windows), len(windows), 1)
        scores = pipeline.verify(embeddings, embeddings)[second, first].double()
    labels = (speakers[first] == speakers[second]).long()
    point = threshold or ThresholdChoice()
    prior = point.costs(VERIFICATION_COSTS).prior
    calibration = calibrate(scores, labels, prior, "the same speaker")
    llrs = calibration.scale * scores + calibration.offset
    level, words = point.choose(llrs, labels, "held-out trials", VERIFICATION_COSTS)
    contract = VerificationContract(
        model=model_name(pipeline),
        audio=Audio(sample_rate=sample_rate),
        windows=EmbeddingWindows(num_samples=n, hop=max(1, n // 2)),
        scoring=scoring_of(pipeline),
        decision=SpeakerDecision(
            scale=calibration.scale,
            offset=calibration.offset,
            prior=prior,
            threshold=level,
            operating_point=words,
        ),
        guards=observed(windows, sample_rate),
        versions=contracts.versions(),
        weights_sha256=contracts.weights_sha256(pipeline.state_dict()),
    )
    return _write(pipeline, verifier_row(pipeline, stem), contract, windows[0], out, backends)


def _write(
    pipeline: nn.Module,
    row: Row,
    contract: AnyContract,
    speech: Tensor,
    out: Path,
    backends: Sequence[str],
) -> list[Record]:
    use = select(list(backends)) if backends else writers()
    trials = make_trials(row, pipeline, speech)
    source = source_of(row, pipeline, contract)
    with staged_folder(out) as staging:
        cells = export_each(staging, row, source, trials, use, silent, unlimited())
        records = [record for found in cells for record in found]
        write_json(records, staging / "parity.json")
    return records
