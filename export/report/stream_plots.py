"""Plots of streams: LLR and error rate over the time that was heard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from export.report.plots import (
    BONAFIDE,
    MARK,
    SPOOF,
    Plot,
    legend,
    new_axes,
    style,
    to_svg,
)
from scriptable import bootstrap_interval, equal_error_rate


@dataclass(frozen=True)
class RateAt:
    """Equal error rate after some time, with its 95 % interval."""

    seconds: float
    rate: float
    low: float
    high: float


def rate_at(seconds: float, scores: Tensor, labels: Tensor) -> RateAt:
    """The equal error rate of scores ``[U]``, resampling recordings within each class."""

    def rate(values: Tensor, of: Tensor) -> float:
        return equal_error_rate(values, of).rate

    low, high = bootstrap_interval(rate, scores, labels, rounds=200)
    return RateAt(seconds, rate(scores, labels), low, high)


def llr_over_time(seconds: Sequence[float], llrs: Tensor, labels: Tensor, threshold: float) -> Plot:
    """Median LLR of each class over time with the middle 80 %, and the threshold.

    Args:
        seconds: heard, ``[K]``.
        llrs: ``[U, K]``.
        labels: 1 for bona fide, ``[U]``.
        threshold: on the LLR.
    """
    with style():
        figure, axes = new_axes()
        for label, name, colour in ((0, "spoof", SPOOF), (1, "bona fide", BONAFIDE)):
            values = llrs[labels == label].double()
            low, middle, high = (values.quantile(q, dim=0).tolist() for q in (0.1, 0.5, 0.9))
            axes.fill_between(seconds, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(seconds, middle, color=colour, linewidth=1.8, label=name)
        axes.axhline(
            threshold, color=MARK, linewidth=1.6, linestyle="--", label=f"threshold {threshold:.3g}"
        )
        axes.set_xlabel("seconds heard")
        axes.set_ylabel("LLR in nats")
        legend(axes)
    title = "LLR over time"
    ends = [float(llrs[labels == label][:, -1].double().median()) for label in (1, 0)]
    words = (
        f"Median LLR at the end: {ends[0]:.2f} of bona fide, {ends[1]:.2f} of spoofs; "
        f"the threshold is {threshold:.2f}."
    )
    caption = "Median and middle 80 % of the held-out recordings; a shorter one keeps its last LLR."
    return Plot(to_svg(figure, "stream-llr", title, words), title, caption)


def rate_over_time(curve: Mapping[float, float], marked: Sequence[RateAt]) -> Plot:
    """Equal error rate after each chunk, with intervals at some times."""
    with style():
        figure, axes = new_axes()
        axes.plot(list(curve), [100 * rate for rate in curve.values()], color=BONAFIDE)
        # The bootstrap's interval need not hold the rate itself where that is 0.
        below = [100 * max(0.0, at.rate - at.low) for at in marked]
        above = [100 * max(0.0, at.high - at.rate) for at in marked]
        axes.errorbar(
            [at.seconds for at in marked],
            [100 * at.rate for at in marked],
            yerr=[below, above],
            fmt="o",
            color=MARK,
            capsize=3,
            label="95 % interval",
        )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("seconds heard")
        axes.set_ylabel("equal error rate in %")
        legend(axes)
    title = "Equal error rate over time"
    words = "; ".join(f"{at.rate:.2%} after {at.seconds:.3g} s" for at in marked) + "."
    caption = "Of the held-out recordings; a shorter one keeps its last score."
    return Plot(to_svg(figure, "stream-eer", title, words), title, caption)


def on_a_grid(scores: Sequence[Tensor], chunks: int) -> Tensor:
    """``[U, chunks]`` of sequences ``[K]`` each; a shorter one keeps its last value."""
    rows = [torch.cat([s[:chunks], s[-1:].expand(max(0, chunks - len(s)))]) for s in scores]
    return torch.stack(rows)
