"""Everything that ``python -m export metrics`` says about a list of scored trials."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.errors import InputError
from export.metrics.formats import KEYS
from export.metrics.joining import TandemScores
from export.metrics.reading import Columns
from scriptable import (
    ADCFCosts,
    ASVErrorRates,
    DetectionCosts,
    actual_dcf,
    asv_error_rates,
    bootstrap_interval,
    cllr,
    convex_hull_equal_error_rate,
    equal_error_rate,
    min_a_dcf,
    min_cllr,
    min_dcf,
    min_tdcf,
    tandem_equal_error_rate,
)

_BONAFIDE, _SPOOF, _TARGET, _NONTARGET = range(4)
_THREE = torch.tensor([1, 2, 1, 0], dtype=torch.int8)
_MANY = 100_000


@dataclass(frozen=True)
class Choices:
    """How things are measured: costs, convention, and what stands behind a countermeasure."""

    costs: DetectionCosts
    a_dcf: ADCFCosts = ADCFCosts()  # noqa: RUF009  an immutable tuple
    convention: str = "exact"
    asv: ASVErrorRates | None = None
    """Of the verification system, for the t-DCF."""


@dataclass(frozen=True)
class ScoredTrials:
    """Scores with their labels, checked."""

    scores: Tensor
    llrs: Tensor
    labels: Tensor
    """1 for bona fide or target; 0 for spoof or nontarget, and for both where there are both."""
    keys: Tensor
    """Indices into ``KEYS``."""
    calibrated: bool
    """Whether the file had LLRs; else the scores are taken for them."""
    counts: dict[str, int]
    """How many trials each key has."""
    tandem: tuple[Tensor, Tensor] | None = None
    """Where one score is made of two: those of verification and of countermeasure."""

    @property
    def speaker(self) -> bool:
        """Whether the trials are of speaker verification."""
        return "target" in self.counts

    @property
    def three(self) -> bool:
        """Whether there are targets, nontargets and spoofs."""
        return set(self.counts) == {"target", "nontarget", "spoof"}


def scored_trials(columns: Columns) -> ScoredTrials:
    """Turn the columns of a score file into tensors.

    Raises:
        InputError: naming the trial without a key or with a score that is not finite, or the class
            that is missing.
    """
    place = columns.place
    codes = np.full(len(columns), -1) if columns.key is None else columns.key
    if codes.min() < 0:
        name = columns.name(int(codes.argmin()))
        raise InputError(f"{place}: trial {name!r} has no key; give --protocol")
    sizes = np.bincount(codes, minlength=len(KEYS)).tolist()
    counts = {key: size for key, size in sorted(zip(KEYS, sizes, strict=True)) if size}
    speaker = {"target", "nontarget"} & counts.keys()
    if "bonafide" in counts and speaker:
        raise InputError(f"{place}: mixes the keys of two tasks: bonafide, and target or nontarget")
    if not {"bonafide", "target"} & counts.keys():
        missing = "target" if speaker else "bonafide"
        raise InputError(f"{place}: no {missing} trial; both classes are needed")
    if not {"spoof", "nontarget"} & counts.keys():
        missing = "nontarget or spoof" if speaker else "spoof"
        raise InputError(f"{place}: no {missing} trial; both classes are needed")
    scores = _finite(columns, columns.score)
    if float(scores.min()) == float(scores.max()):
        raise InputError(f"{place}: all {len(scores)} scores are {float(scores[0])}: constant")
    calibrated = columns.llr is not None
    llrs = _finite(columns, columns.llr) if calibrated else scores
    keys = torch.from_numpy(codes)
    labels = (keys == _BONAFIDE) | (keys == _TARGET)
    halves = [_finite(columns, half) for half in (columns.asv, columns.cm) if half is not None]
    tandem = (halves[0], halves[1]) if len(halves) == 2 else None
    return ScoredTrials(scores, llrs, labels.to(torch.int8), keys, calibrated, counts, tandem)


def _finite(columns: Columns, values: np.ndarray | None) -> Tensor:
    if values is None:
        raise InputError(f"{columns.place}: contains no scores")
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        row = int((~np.isfinite(values)).argmax())
        raise InputError(
            f"{columns.place}: trial {columns.name(row)!r}: score is {values[row]}, "
            "expected a number"
        )
    return torch.from_numpy(values if values.flags.writeable else values.copy())


def inverted(columns: Columns, trials: ScoredTrials, rate: float) -> str:
    """What is said where more than half of the decisions at the EER are wrong, or nothing."""
    if rate <= 0.5:
        return ""
    worst = torch.where(trials.labels == 0, trials.scores, -torch.inf).argmax()
    least = torch.where(trials.labels == 1, trials.scores, torch.inf).argmin()
    shown = [
        f"trial {columns.name(int(row))!r} ({KEYS[int(trials.keys[row])]}) scores "
        f"{float(trials.scores[row]):.4g}"
        for row in (worst, least)
    ]
    return (
        f"{columns.place}: the equal error rate is {rate:.2%}: are the scores inverted? Higher "
        f"must be more bona fide or target, but {shown[0]}, and {shown[1]}"
    )


def measure(trials: ScoredTrials, choices: Choices, rounds: int = 200) -> dict[str, Any]:
    """All metrics as JSON has them.

    Raises:
        InputError: if a cost makes no sense.
    """
    scores, llrs, labels = trials.scores, trials.llrs, trials.labels
    costs, convention = choices.costs, choices.convention
    # Resampling sorts anew each time: on very many trials the interval is narrow anyway.
    rounds = rounds if len(scores) <= _MANY else 0
    try:
        found: dict[str, Any] = {
            "trials": len(labels),
            "counts": trials.counts,
            "llr": "column llr" if trials.calibrated else "the score, taken as an LLR",
            "convention": convention,
            "costs": costs._asdict(),
            "eer": _value(
                lambda s, y: equal_error_rate(s, y, convention), scores, labels, "rate", rounds
            ),
            "eer_convex_hull": _value(
                convex_hull_equal_error_rate, scores, labels, "rate", rounds // 4
            ),
            "min_dcf": _value(
                lambda s, y: min_dcf(s, y, *costs, convention), scores, labels, "cost", rounds
            ),
            "act_dcf": _value(lambda s, y: actual_dcf(s, y, *costs), llrs, labels, "cost", rounds),
            "cllr": _value(cllr, llrs, labels, "bits", rounds),
            "min_cllr": _value(min_cllr, scores, labels, "bits", rounds // 4),
        }
        if trials.three:
            three = _THREE[trials.keys.long()]
            found["a_dcf_costs"] = choices.a_dcf._asdict()
            found["min_a_dcf"] = _value(
                lambda s, y: min_a_dcf(s, y, *choices.a_dcf, convention),
                scores,
                three,
                "cost",
                rounds,
            )
            if trials.tandem is not None:
                found["tandem_eer"] = {"rate": tandem_equal_error_rate(*trials.tandem, three)}
        if choices.asv is not None:
            found |= _tandem(trials, choices.asv, convention)
    except ValueError as error:
        raise InputError(str(error)) from error
    return found


def _value(
    metric: Callable[[Tensor, Tensor], Any], scores: Tensor, labels: Tensor, name: str, rounds: int
) -> dict[str, Any]:
    """The metric with its threshold, if it has one, and its 95 % interval."""
    found = metric(scores, labels)
    value = found[0] if isinstance(found, tuple) else found
    shown: dict[str, Any] = {name: value}
    if isinstance(found, tuple):
        # JSON has no infinity; the threshold of rejecting or accepting everything is one.
        shown["threshold"] = found[1] if abs(found[1]) != float("inf") else None
    if rounds >= 2:
        shown["ci"] = list(bootstrap_interval(metric, scores, labels, rounds=rounds))
    return shown


def tandem_rates(tandem: TandemScores, convention: str) -> ASVErrorRates:
    """The error rates of a verification system at the threshold of its own equal error rate.

    Raises:
        InputError: if a class is missing.
    """
    try:
        return asv_error_rates(*tandem, convention=convention)
    except ValueError as error:
        raise InputError(f"asv-scores: {error}") from error


def _tandem(trials: ScoredTrials, rates: ASVErrorRates, convention: str) -> dict[str, Any]:
    """The t-DCF of a countermeasure in front of the given verification system, in both forms."""
    scores, labels = trials.scores, trials.labels
    if trials.three and trials.tandem is not None:
        scores, labels = trials.tandem[1], (trials.keys != _SPOOF).to(torch.int8)
    elif trials.speaker:
        raise InputError(
            "asv-scores: the t-DCF measures a countermeasure, but these are speaker trials"
        )
    return {
        "asv": rates._asdict(),
        **{
            f"min_tdcf_{form}": _value(
                partial(min_tdcf, asv=rates, form=form, convention=convention),
                scores,
                labels,
                "cost",
                0,
            )
            for form in ("2021", "2019")
        },
    }
