"""The report's sections on held-out trials: error rates, plots, and the ladder of decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from export.parity.decisions import Rung
from export.report import plots
from scriptable.metrics import check_trials, cllr, equal_error_rate, min_cllr

if TYPE_CHECKING:
    from export.runtime.contract import AnyContract


@dataclass(frozen=True)
class Trials:
    """Held-out trials: raw scores, calibrated LLRs, and labels with 1 for bona fide, or same."""

    scores: Tensor
    llrs: Tensor
    labels: Tensor
    thresholds: Tensor | None = None
    """Of each trial, where cross-validation put a threshold for each fold; None: the contract's."""
    figures: tuple[plots.Plot, ...] = ()
    """More of them, after those of the trials."""
    lines: tuple[tuple[str, str], ...] = ()
    """More error rates, with their names."""


def held_out(trials: Trials | None, contract: "AnyContract | None") -> dict[str, Any] | None:
    """Error rates and plots of the held-out trials, as far as the trials allow any."""
    if trials is None:
        return None
    scores, llrs, labels = (x.detach().cpu() for x in (trials.scores, trials.llrs, trials.labels))
    decision = contract.decision if contract is not None else None
    threshold = decision.threshold if decision is not None else None
    prior = decision.prior if decision is not None else 0.5
    speaker = contract is not None and contract.task in ("verification", "sasv")
    names = plots.Names("same", "different") if speaker else plots.SPOOFING
    counts = [int((labels == label).sum()) for label in (0, 1)]
    what = "bona fide and {} spoofed recordings"
    if speaker:
        what = "trials of the same speaker, live, and {} others"
    shown: dict[str, Any] = {
        "title": "Held-out trials" if speaker else "Held-out recordings",
        "counts": f"{counts[1]} {what.format(counts[0])}",
        "few": min(counts) < 100,
    }
    try:
        check_trials(scores, labels)
        check_trials(llrs, labels)
    except ValueError as error:
        figures = []
        if llrs.shape == labels.shape and bool(torch.isfinite(llrs).any()):
            figures = [plots.histogram(llrs, labels, threshold, names)]
        return {**shown, "problem": str(error), "rates": [], "figures": figures}
    figures = [
        plots.det(llrs, labels, threshold, names),
        plots.histogram(llrs, labels, threshold, names),
        plots.reliability(scores, llrs, labels, prior, names),
        *trials.figures,
    ]
    rates = _rates(scores, llrs, labels, threshold, names, trials.thresholds)
    rates += [{"name": name, "value": value} for name, value in trials.lines]
    return {**shown, "problem": "", "rates": rates, "figures": figures}


def _rates(
    scores: Tensor,
    llrs: Tensor,
    labels: Tensor,
    threshold: float | None,
    names: plots.Names,
    thresholds: Tensor | None,
) -> list[dict[str, str]]:
    """Error rates in words."""
    lines = [
        ("Equal error rate", f"{equal_error_rate(scores, labels).rate:.2%}"),
        ("Cllr of the raw score, taken as an LLR", f"{cllr(scores, labels):.3f} bit"),
        ("Cllr of the calibrated LLR", f"{cllr(llrs, labels):.3f} bit"),
        ("Cllr of the best monotone calibration", f"{min_cllr(scores, labels):.3f} bit"),
    ]
    if threshold is not None:
        whose = "the contract's threshold" if thresholds is None else "its fold's threshold"
        above = llrs - (threshold if thresholds is None else thresholds)
        miss, false_alarm = plots.rates_at(above, labels, 0.0)
        for name, rate, label in (
            (f"{names.positive.capitalize()} rejected at {whose}", miss, 1),
            (f"{names.negative.capitalize()} accepted at {whose}", false_alarm, 0),
        ):
            count = int((labels == label).sum())
            lines.append((name, f"{rate:.2%} ({round(rate * count)} of {count})"))
    return [{"name": name, "value": value} for name, value in lines]


def ladder_lines(rungs: Sequence[Rung]) -> list[dict[str, Any]]:
    """One line for each artefact: how its scores and decisions compare with the reference's."""
    return [
        {
            "backend": rung.backend,
            "artifact": rung.artifact,
            "trials": rung.trials,
            "error": f"{rung.max_score_error:.1e}",
            "rank": f"{rung.rank_correlation:.6f}",
            "flips": rung.flips,
            "differs": not rung.decides_alike,
            "eer": change_of_eer(rung),
            "at_threshold": ", ".join(rung.at_threshold),
        }
        for rung in rungs
    ]


def change_of_eer(rung: Rung) -> str:
    """In percent points, with its interval."""
    if rung.delta_eer is None or rung.delta_eer_ci is None:
        return "one class"
    low, high = rung.delta_eer_ci
    return f"{rung.delta_eer:+.2%} [{low:+.2%}, {high:+.2%}]"
