"""Calibration and threshold from a trial list, and figures that are not from what was fitted."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from export.corpus import Utterance, folds_by_speaker, split_by_speaker
from export.errors import InputError
from export.files import replacing
from export.jobs.steps import labels_of
from export.jobs.threshold import ThresholdChoice, calibrate
from export.report.trials import Trials
from export.runtime.contract import Contract, Decision, SpeakerDecision, StreamingContract
from export.runtime.scorer import decide
from scriptable import SPOOFING_COSTS, Calibration, DetectionCosts

_ENOUGH = 100
"""Recordings of each class in a half, below which folds tell more than two halves."""
_FOLDS = 5


AnyDecision = Decision | SpeakerDecision
Staged = Callable[[Tensor], Tensor]
"""From the trials to fit on, a mask ``[U]``, to the raw scores ``[U]`` of all."""


@dataclass(frozen=True)
class Fitted:
    """What goes into the contract, and what the report may show of it."""

    decision: AnyDecision
    shown: Trials
    """Trials under a calibration that was not fitted on them."""
    parts: Sequence[str]
    """Of each trial: ``calibrate`` and ``test``, or ``fold 1`` and so on."""
    notes: tuple[str, ...]

    @property
    def fitted_on(self) -> list[int]:
        """Indices of the trials that the decision comes from; all but those held out."""
        return [i for i, part in enumerate(self.parts) if part != "test"]


@dataclass(frozen=True)
class What:
    """What is calibrated, in words and as the contract's kind of decision."""

    decision: type[AnyDecision] = Decision
    unit: str = "recordings"
    positive: str = "bona fide"
    negative: str = "spoof"
    costs: DetectionCosts = SPOOFING_COSTS
    """Prior and costs where the command gives none."""


def fit(
    utterances: Sequence[Utterance],
    scores: Tensor | Staged,
    choice: ThresholdChoice,
    seed: int = 0,
    what: What | None = None,
) -> Fitted:
    """Fit on raw scores ``[U]``: on half of a long trial list, on all of a short one.

    The figures are from the other half, or from cross-validation by speaker. Scores that need a fit
    themselves come as a function, which is called anew for each part.

    Raises:
        InputError: if the scores cannot be calibrated; bona fide must score higher on average.
    """
    labels, what = labels_of(utterances), what or What()
    staged = scores if callable(scores) else lambda _: scores
    for label, name in ((1, what.positive), (0, what.negative)):
        if int((labels == label).sum()) < 2:
            raise InputError(f"calibrate: fewer than 2 {what.unit} of {name} in the trial list")
    if min(int((labels == label).sum()) for label in (0, 1)) >= 2 * _ENOUGH:
        return _by_halves(utterances, staged, labels, choice, seed, what)
    return _by_folds(utterances, staged, labels, choice, seed, what)


def _by_halves(
    utterances: Sequence[Utterance],
    staged: Staged,
    labels: Tensor,
    choice: ThresholdChoice,
    seed: int,
    what: What,
) -> Fitted:
    split = split_by_speaker(utterances, 0.5, seed)
    held = {id(utterance) for utterance in split.held_out}
    test = torch.tensor([id(utterance) in held for utterance in utterances])
    scores = staged(~test)
    scale, offset, threshold, words = _fit(scores[~test], labels[~test], choice, what)
    llrs = scale * scores + offset
    note = (
        f"calibration and threshold: fitted on {int((~test).sum())} {what.unit} of the trial list; "
        f"the figures are from the other {int(test.sum())}"
    )
    return Fitted(
        _decision(scale, offset, threshold, words, choice, what),
        Trials(scores[test], llrs[test], labels[test]),
        ["test" if other else "calibrate" for other in test.tolist()],
        (note, *split.notes),
    )


def _by_folds(
    utterances: Sequence[Utterance],
    staged: Staged,
    labels: Tensor,
    choice: ThresholdChoice,
    seed: int,
    what: What,
) -> Fitted:
    folds = torch.tensor(folds_by_speaker(utterances, _FOLDS, seed))
    shown, llrs, thresholds = torch.zeros(3, len(labels), dtype=torch.float64)
    for fold in range(int(folds.max()) + 1):
        inside = folds == fold
        scores = staged(~inside)
        scale, offset, threshold, _ = _fit(scores[~inside], labels[~inside], choice, what)
        shown[inside] = scores[inside]
        llrs[inside] = scale * scores[inside] + offset
        thresholds[inside] = threshold
    scores = staged(torch.ones_like(labels, dtype=torch.bool))
    scale, offset, threshold, words = _fit(scores, labels, choice, what)
    note = (
        f"calibration and threshold: fitted on all {len(scores)} {what.unit}; the figures are from "
        f"{int(folds.max()) + 1}-fold cross-validation by speaker"
    )
    return Fitted(
        _decision(scale, offset, threshold, words, choice, what),
        Trials(shown, llrs, labels, thresholds),
        [f"fold {fold + 1}" for fold in folds.tolist()],
        (note,),
    )


def _fit(
    scores: Tensor, labels: Tensor, choice: ThresholdChoice, what: What
) -> tuple[float, float, float, str]:
    """Scale, offset, threshold, and the words of the operating point."""
    mean = [float(scores[labels == label].mean()) for label in (0, 1)]
    if mean[1] <= mean[0]:
        raise InputError(
            f"calibrate: {what.positive} scores {mean[1]:.3g} on average and {what.negative} "
            f"{mean[0]:.3g}: is the other column, or the other sign, the right one?"
        )
    prior = choice.costs(what.costs).prior
    calibration: Calibration = calibrate(scores, labels, prior, what.positive)
    llrs = calibration.scale * scores + calibration.offset
    threshold, words = choice.choose(llrs, labels, what.unit, what.costs)
    return calibration.scale, calibration.offset, threshold, words


def _decision(
    scale: float, offset: float, threshold: float, words: str, choice: ThresholdChoice, what: What
) -> AnyDecision:
    return what.decision(
        scale=scale,
        offset=offset,
        prior=choice.costs(what.costs).prior,
        threshold=threshold,
        operating_point=words,
    )


def write_decisions(
    parts: Sequence[tuple[str, Utterance, float]],
    contract: Contract | StreamingContract,
    path: Path,
) -> None:
    """``scores.csv``: every recording with its part, its key, its raw score, what that means."""
    lines = [
        {
            "part": part,
            "speaker": utterance.speaker,
            "attack": utterance.attack,
            "key": "bonafide" if utterance.label == 1 else "spoof",
            **decide(contract, utterance.name, raw, _heard(contract, utterance)).as_dict(),
        }
        for part, utterance, raw in parts
    ]
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def _heard(contract: Contract | StreamingContract, utterance: Utterance) -> int | None:
    """Samples that a stream's score comes from, no fewer than a decision needs; None of windows."""
    if isinstance(contract, Contract):
        return None
    size = contract.stream.chunk_samples
    whole = len(utterance.waveform) // size * size
    return max(whole, contract.decision.calibration[0].samples)


def upside_down(scores: Tensor, labels: Tensor) -> bool:
    """Whether what should score higher scores lower on average."""
    if len(labels.unique()) < 2:
        return False
    return bool(scores[labels == 1].mean() < scores[labels == 0].mean())
