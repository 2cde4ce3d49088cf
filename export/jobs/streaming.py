"""``task: streaming``: a scorer of streams, its contract, and how a recording is a trial for it."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Generator, Tensor

from export.backends import Inputs
from export.catalog import Row, draw
from export.corpus import Utterance
from export.errors import InputError
from export.jobs.steps import MOST_COMPARED, TrialList, evenly, labels_of
from export.jobs.threshold import calibrate
from export.progress import Progress, silent
from export.runtime.contract import (
    Audio,
    StreamingContract,
    versions,
    weights_sha256,
)
from export.runtime.guards import Guards
from export.runtime.stream import load_stream_scorer
from export.runtime.stream_parts import ElapsedCalibration, Stream, StreamDecision
from scriptable import StreamingScorePipeline

ELAPSED = (0.5, 1.0, 2.0, 4.0)
"""Seconds after which a stream's score is calibrated, and its error rate reported."""
_GAP_SECONDS = 1.0
_BATCH = 32


def stream_row(pipeline: StreamingScorePipeline, stem: str) -> Row:
    """How a scorer of streams is drawn for parity: a chunk, and a state it has come to."""
    size = pipeline.chunk_samples

    def heard(stream: Tensor) -> Inputs:
        return draw.under_way(pipeline, pipeline.initial_state(), stream, size)

    def chunk(generator: Generator) -> Inputs:
        # The example begins a stream, any other content is in the midst of one.
        steps = 1 if generator.initial_seed() == 0 else 12
        return heard(draw.waveform(generator, 1, steps * size))

    def spoken(waveform: Tensor) -> Inputs:
        whole = len(waveform) // size
        if whole == 0:
            waveform, whole = waveform.repeat(-(-size // len(waveform))), 1
        return heard(waveform[: min(whole, 12) * size].unsqueeze(0))

    return Row(
        entry="StreamingScorePipeline",
        variant=stem,
        module=lambda: pipeline,
        methods={"forward": chunk},
        speech={"forward": spoken},
        on_device=True,
    )


def scores_over_time(
    pipeline: StreamingScorePipeline,
    utterances: Sequence[Utterance],
    progress: Progress = silent,
) -> list[Tensor]:
    """Raw score after each whole chunk of each utterance: ``[K]`` in float64, many at once.

    Raises:
        InputError: if one is shorter than a chunk.
    """
    size = pipeline.chunk_samples
    found: list[Tensor] = []
    for begin in range(0, len(utterances), _BATCH):
        progress("scoring with the trained model", begin, len(utterances))
        batch = utterances[begin : begin + _BATCH]
        counts = [len(utterance.waveform) // size for utterance in batch]
        if 0 in counts:
            short = batch[counts.index(0)]
            raise InputError(f"{short.name}: shorter than a chunk of {size} samples")
        # What follows a recording's end changes none of the scores before it.
        streams = torch.zeros(len(batch), max(counts) * size)
        for row, utterance, count in zip(streams, batch, counts, strict=True):
            row[: count * size] = utterance.waveform[: count * size]
        scores = _scored(pipeline, streams)
        found += [scores[i, :count] for i, count in enumerate(counts)]
    return found


def _scored(pipeline: StreamingScorePipeline, streams: Tensor) -> Tensor:
    state, scores = pipeline.initial_state(len(streams)), []
    with torch.no_grad():
        for chunk in streams.split(pipeline.chunk_samples, dim=1):
            score, state = pipeline(chunk, state)
            scores.append(score)
    return torch.stack(scores, dim=1).double()


def after(scores: Sequence[Tensor], chunks: int) -> Tensor:
    """Scores ``[U]`` after so many chunks, or at the end of what is shorter."""
    return torch.stack([score[min(chunks, len(score)) - 1] for score in scores])


def elapsed_chunks(pipeline: StreamingScorePipeline, sample_rate: int) -> dict[float, int]:
    """Whole chunks in each of the elapsed times, as near as chunks allow."""
    first = -(-pipeline.warmup_samples // pipeline.chunk_samples)
    size = pipeline.chunk_samples
    return {t: max(first, round(t * sample_rate / size)) for t in ELAPSED}


def stream_trials(utterances: Sequence[Utterance], scores: Tensor, chunks: int) -> TrialList:
    """Recordings with the trained model's raw scores ``[U]`` after so many chunks."""

    def run(path: Path, chosen: Sequence[int]) -> Tensor:
        scorer = load_stream_scorer(path)
        most = chunks * scorer.contract.stream.chunk_samples
        found = [scorer.score_waveform(utterances[i].waveform[:most]) for i in chosen]
        return torch.tensor(found, dtype=torch.float64)

    names = [utterance.name for utterance in utterances]
    spread = evenly(range(len(utterances)), MOST_COMPARED)
    return TrialList(names, labels_of(utterances), scores, run, spread)


def make_stream_contract(
    pipeline: StreamingScorePipeline,
    sample_rate: int,
    scores: Sequence[Tensor],
    labels: Tensor,
    prior: float,
    false_alarms_per_hour: float,
    guards: Guards,
    model: str = "",
) -> tuple[StreamingContract, list[str]]:
    """Calibrate for each elapsed time, and put the threshold where few real streams are flagged.

    Args:
        pipeline: with the weights that it has now.
        sample_rate: in Hz.
        scores: of held-out streams, after each chunk, ``[K]`` each.
        labels: of the streams, 1 for bona fide, ``[U]``.
        prior: of bona fide.
        false_alarms_per_hour: how often, at most, real speech may turn into a spoof.
        guards: from what the training part was; their least duration is the table's.
        model: its name, for people; by default that of its parts.

    Returns:
        The contract, and remarks.
    """
    rows, notes = _table(pipeline, sample_rate, scores, labels, prior)
    size = pipeline.chunk_samples
    draft = StreamDecision(
        calibration=tuple(rows), prior=prior, threshold=0.0, operating_point="none yet"
    )
    llrs = [_llrs(draft, score, size) for score in scores]
    real = [llr for llr, label in zip(llrs, labels.tolist(), strict=True) if label == 1]
    seconds = sum(len(s) for s, label in zip(scores, labels.tolist(), strict=True) if label == 1)
    hours = seconds * size / sample_rate / 3600
    threshold, words = choose_threshold(real, hours, false_alarms_per_hour)
    parts = (pipeline.frontend, pipeline.encoder, pipeline.head)
    contract = StreamingContract(
        model=model or " + ".join(type(part).__name__ for part in parts),
        audio=Audio(sample_rate=sample_rate),
        stream=Stream(
            chunk_samples=size,
            state_size=pipeline.state_size,
            warmup_samples=pipeline.warmup_samples,
            longest_gap=round(_GAP_SECONDS * sample_rate),
        ),
        decision=draft.model_copy(update={"threshold": threshold, "operating_point": words}),
        guards=guards.model_copy(update={"min_seconds": rows[0].samples / sample_rate}),
        versions=versions(),
        weights_sha256=weights_sha256(pipeline.state_dict()),
    )
    return contract, notes


def _table(
    pipeline: StreamingScorePipeline,
    sample_rate: int,
    scores: Sequence[Tensor],
    labels: Tensor,
    prior: float,
) -> tuple[list[ElapsedCalibration], list[str]]:
    """A row for each elapsed time whose scores can be calibrated; the last must be."""
    rows: list[ElapsedCalibration] = []
    notes = []
    for seconds, chunks in elapsed_chunks(pipeline, sample_rate).items():
        samples = chunks * pipeline.chunk_samples
        if rows and samples <= rows[-1].samples:
            continue
        try:
            fitted = calibrate(after(scores, chunks), labels, prior, "bona fide")
        except InputError as error:
            if seconds == ELAPSED[-1]:
                raise
            notes.append(f"nothing is decided after {seconds:g} s: {error}")
            continue
        rows.append(ElapsedCalibration(samples=samples, scale=fitted.scale, offset=fitted.offset))
    return rows, notes


def _llrs(decision: StreamDecision, scores: Tensor, size: int) -> Tensor:
    """LLRs of a stream from the table's first row on; at least that of its last chunk."""
    found = []
    for chunks, score in enumerate(scores.tolist(), 1):
        if (row := decision.at(chunks * size)) is not None:
            found.append(row.scale * score + row.offset)
    return torch.tensor(found, dtype=torch.float64)


def llrs_over_time(contract: StreamingContract, scores: Tensor) -> Tensor:
    """LLRs ``[K']`` of a stream from the first chunk on that is decided."""
    return _llrs(contract.decision, scores, contract.stream.chunk_samples)


def alarms(llrs: Sequence[Tensor], threshold: float) -> int:
    """How often streams turn into spoofs: LLRs fall below the threshold, or begin there."""
    count = 0
    for llr in llrs:
        below = llr < threshold
        count += int(below[:1].sum()) + int((below[1:] & ~below[:-1]).sum())
    return count


def choose_threshold(llrs: Sequence[Tensor], hours: float, per_hour: float) -> tuple[float, str]:
    """The highest threshold up to which real streams raise no more alarms than allowed.

    Raises:
        InputError: if no stream is long enough to be decided on.
    """
    if not any(len(llr) for llr in llrs):
        raise InputError("held-out part: no bona fide recording is long enough for a decision")
    threshold = -math.inf
    for candidate in torch.cat(list(llrs)).unique().tolist():
        if alarms(llrs, candidate) > per_hour * hours:
            break
        threshold = candidate
    count = alarms(llrs, threshold)
    return threshold, (
        f"at most {per_hour:g} false alarms per hour: {count} in {hours:.3g} h of bona fide "
        f"held-out speech (95 % confidence: below {poisson_upper(count) / hours:.3g} per hour)"
    )


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """The highest expectation of a Poisson variable that was ``count``, one-sided.

    Example:
        >>> round(poisson_upper(0), 2), round(poisson_upper(3), 2)
        (3.0, 7.75)
    """
    low, high = 0.0, 20.0 + 3.0 * count
    for _ in range(60):
        middle = (low + high) / 2
        terms = [
            math.exp(i * math.log(middle) - middle - math.lgamma(i + 1)) for i in range(count + 1)
        ]
        low, high = (middle, high) if sum(terms) > 1 - confidence else (low, middle)
    return high
