"""Everything that ``python -m export metrics`` says about a list of scored trials."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from export.errors import InputError
from export.metrics.score_files import Line
from scriptable import (
    ASVErrorRates,
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
)

_LABELS = {"bonafide": 1, "target": 1, "spoof": 0, "nontarget": 0}
_THREE = {"target": 1, "nontarget": 0, "spoof": 2}
_MANY = 100_000


@dataclass(frozen=True)
class Costs:
    """Of the detection costs."""

    prior: float
    cost_miss: float = 1.0
    cost_false_alarm: float = 1.0


@dataclass(frozen=True)
class ScoredTrials:
    """Scores with their labels, checked."""

    names: tuple[str, ...]
    scores: Tensor
    llrs: Tensor
    labels: Tensor
    """1 for bona fide or target; 0 for spoof or nontarget, and for both where there are both."""
    keys: tuple[str, ...]
    calibrated: bool
    """Whether the file had LLRs; else the scores are taken for them."""

    @property
    def speaker(self) -> bool:
        """Whether the trials are of speaker verification."""
        return "target" in self.keys

    @property
    def three(self) -> bool:
        """Whether there are targets, nontargets and spoofs."""
        return set(self.keys) == {"target", "nontarget", "spoof"}


def scored_trials(lines: Sequence[Line], place: str) -> ScoredTrials:
    """Turn the lines of a score file into tensors.

    Raises:
        InputError: naming the trial without a key or with a score that is not finite, or the class
            that is missing.
    """
    for line in lines:
        if not line.key:
            raise InputError(f"{place}: trial {line.name!r} has no key; give --protocol")
    keys = tuple(line.key for line in lines)
    if "bonafide" in keys and {"target", "nontarget"} & set(keys):
        raise InputError(f"{place}: keys of two tasks: bonafide, and target or nontarget")
    speaker = {"target", "nontarget"} & set(keys)
    labels = torch.tensor([_LABELS[key] for key in keys])
    for label, name in ((1, "target" if speaker else "bonafide"), (0, "")):
        if not bool((labels == label).any()):
            absent = name or ("nontarget or spoof" if speaker else "spoof")
            raise InputError(f"{place}: no {absent} trial; both classes are needed")
    scores = torch.tensor([_number(line.score, line, place) for line in lines], dtype=torch.float64)
    if bool((scores == scores[0]).all()):
        raise InputError(f"{place}: all {len(scores)} scores are {float(scores[0])}: constant")
    calibrated = all(line.llr is not None for line in lines)
    llrs = scores
    if calibrated:
        llrs = torch.tensor([_number(line.llr, line, place) for line in lines], dtype=torch.float64)
    return ScoredTrials(tuple(line.name for line in lines), scores, llrs, labels, keys, calibrated)


def _number(value: float | None, line: Line, place: str) -> float:
    if value is None or value != value or abs(value) == float("inf"):
        raise InputError(f"{place}: trial {line.name!r}: score is {value}, expected a number")
    return value


def measure(
    trials: ScoredTrials, costs: Costs, tandem: Sequence[Line] = (), rounds: int = 200
) -> dict[str, Any]:
    """All metrics as JSON has them; ``tandem`` are a verification system's scores, for the t-DCF.

    Raises:
        InputError: if a cost or the tandem scores make no sense.
    """
    scores, llrs, labels = trials.scores, trials.llrs, trials.labels
    chosen = (costs.prior, costs.cost_miss, costs.cost_false_alarm)
    # Resampling sorts anew each time: on very many trials the interval is narrow anyway.
    rounds = rounds if len(scores) <= _MANY else 0
    try:
        found: dict[str, Any] = {
            "trials": len(labels),
            "counts": {key: trials.keys.count(key) for key in sorted(set(trials.keys))},
            "llr": "column llr" if trials.calibrated else "the score, taken as an LLR",
            "costs": dict(zip(("prior", "cost_miss", "cost_false_alarm"), chosen, strict=True)),
            "eer": _value(equal_error_rate, scores, labels, "rate", rounds),
            "eer_convex_hull": _value(
                convex_hull_equal_error_rate, scores, labels, "rate", rounds // 4
            ),
            "min_dcf": _value(lambda s, y: min_dcf(s, y, *chosen), scores, labels, "cost", rounds),
            "act_dcf": _value(lambda s, y: actual_dcf(s, y, *chosen), llrs, labels, "cost", rounds),
            "cllr": _value(cllr, llrs, labels, "bits", rounds),
            "min_cllr": _value(min_cllr, scores, labels, "bits", rounds // 4),
        }
        if trials.three:
            three = torch.tensor([_THREE[key] for key in trials.keys])
            found["min_a_dcf"] = _value(min_a_dcf, scores, three, "cost", rounds)
        if tandem:
            found |= _tandem(trials, tandem)
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


def _tandem(trials: ScoredTrials, tandem: Sequence[Line]) -> dict[str, Any]:
    """The t-DCF of a countermeasure in front of the given verification system, in both forms."""
    if trials.speaker:
        raise InputError("asv-scores: the t-DCF is of a countermeasure; these are speaker trials")
    scores = torch.tensor([line.score for line in tandem], dtype=torch.float64)
    labels = torch.tensor([_THREE[line.key] for line in tandem])
    rates: ASVErrorRates = asv_error_rates(scores, labels)
    return {
        "asv": rates._asdict(),
        **{
            f"min_tdcf_{form}": _value(
                lambda s, y, form=form: min_tdcf(s, y, rates, form),  # type: ignore[misc]
                trials.scores,
                trials.labels,
                "cost",
                0,
            )
            for form in ("2021", "2019")
        },
    }
