"""Plots of held-out trials, as matplotlib figures and as SVG that follows the page's theme."""

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from export.extras import require
from export.report.probit import point, probit, rate_axis
from scriptable.metrics import equal_error_rate, operating_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Drawn as they are in a PNG; in an inline SVG each becomes a variable that the page's theme sets.
INK, MUTED, GRID = "#1c2127", "#59626c", "#d3d9df"
BONAFIDE, SPOOF, MARK = "#0b6a8f", "#b3470e", "#6b2fa0"
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    BONAFIDE: "--bonafide",
    SPOOF: "--spoof",
    MARK: "--mark",
}
_RC = {
    "svg.fonttype": "none",  # text stays text: small, searchable, in the page's font
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
}
_SIZE = (4.4, 3.7)  # inches: at a phone's width the text is still about 10 px high


class Names(NamedTuple):
    """What labels 1 and 0 are called."""

    positive: str = "bona fide"
    negative: str = "spoof"


SPOOFING = Names()


@dataclass(frozen=True)
class Plot:
    """A plot for the page: an ``<svg>`` element and its caption."""

    svg: str
    title: str
    caption: str


def det(llrs: Tensor, labels: Tensor, threshold: float | None, names: Names = SPOOFING) -> Plot:
    """DET curve, see :func:`det_figure`."""
    rate = equal_error_rate(llrs, labels).rate
    words = f"Equal error rate {rate:.2%}."
    caption = "Both axes are probit; closer to the lower left is better."
    if rate == 0:
        caption += " The classes are fully separated, so the curve runs along the zeros."
    if threshold is not None:
        miss, false_alarm = rates_at(llrs, labels, threshold)
        words += (
            f" The contract's threshold rejects {miss:.2%} of {names.positive} "
            f"and accepts {false_alarm:.2%} of {names.negative}."
        )
    figure = det_figure(llrs, labels, threshold, names)
    return Plot(to_svg(figure, "det", "DET curve", words), "DET curve", caption)


def histogram(
    llrs: Tensor, labels: Tensor, threshold: float | None, names: Names = SPOOFING
) -> Plot:
    """Histogram of LLRs, see :func:`histogram_figure`."""
    words = "Histogram of the LLRs."
    for label, name in ((1, names.positive.capitalize()), (0, names.negative.capitalize())):
        values = llrs[(labels == label) & torch.isfinite(llrs)].double()
        if len(values):
            words += (
                f" {name}: {float(values.min()):.2f} to {float(values.max()):.2f}, "
                f"median {float(values.median()):.2f}."
            )
    caption = "LLRs of the held-out recordings"
    drawn = threshold is not None and math.isfinite(threshold)
    caption += "; the contract accepts to the right of the dashed line." if drawn else "."
    left_out = int((~torch.isfinite(llrs)).sum())
    if left_out:
        caption += f" {left_out} without a finite LLR are not drawn."
    figure = histogram_figure(llrs, labels, threshold, names)
    return Plot(to_svg(figure, "scores", "Score histogram", words), "Scores", caption)


def reliability(
    scores: Tensor, llrs: Tensor, labels: Tensor, prior: float, names: Names = SPOOFING
) -> Plot:
    """Calibration before and after, see :func:`reliability_figure`."""
    title = "Calibration before and after"
    words = f"Stated probability of {names.positive} against its observed share, before and after."
    caption = f"At a prior of {prior:g}; a calibrated score follows the diagonal."
    figure = reliability_figure(scores, llrs, labels, prior, names)
    return Plot(to_svg(figure, "calibration", title, words), title, caption)


def rates_at(scores: Tensor, labels: Tensor, threshold: float) -> tuple[float, float]:
    """Miss and false-alarm rates when scores at or above the threshold are accepted."""
    accepted = scores.double() >= threshold
    miss = 1.0 - float(accepted[labels == 1].double().mean())
    return miss, float(accepted[labels == 0].double().mean())


def to_svg(figure: "Figure", key: str, title: str, description: str) -> str:
    """A figure as inline SVG: no background, colours from the page, the same text at every call.

    Args:
        figure: made by this module.
        key: prefix of all ids, so that several SVGs share one page.
        title: short name for screen readers.
        description: what the plot shows, in words.

    Returns:
        An ``<svg>`` element.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with style({"svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', text)
    text = re.sub(r'href="#', rf'href="#{key}-', text).replace("url(#", f"url(#{key}-")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    named = (
        f'<svg role="img" aria-labelledby="{key}-title {key}-description"',
        f'<title id="{key}-title">{escape(title)}</title>'
        f'<desc id="{key}-description">{escape(description)}</desc>',
    )
    text = text.replace("<svg", named[0], 1)
    end = text.index(">") + 1
    return text[:end] + named[1] + text[end:]


def det_figure(
    scores: Tensor, labels: Tensor, threshold: float | None = None, names: Names = SPOOFING
) -> "Figure":
    r"""Detection error trade-off: miss against false alarm, both on probit axes.

    .. math:: x = \Phi^{-1}(P_{fa}), \qquad y = \Phi^{-1}(P_{miss})

    A rate of 0 or 1 has no place on a probit axis; it is drawn at half a trial from it, and the
    axis says "0" there.

    Args:
        scores: scores or LLRs, higher = more bona fide, shape ``[T]``.
        labels: 1 for bona fide, 0 for spoof, shape ``[T]``.
        threshold: on ``scores``; its operating point is marked.
        names: of the labels.

    Returns:
        The figure.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.

    Reference:
        Martin et al., "The DET curve in assessment of detection task performance", 1997.
    """
    curve = operating_curve(scores, labels)
    rate = equal_error_rate(scores, labels).rate
    floors = [0.5 / max(int((labels == label).sum()), 2) for label in (0, 1)]
    ceiling = 0.6 if rate < 0.4 else 1 - min(floors)
    with style():
        figure, axes = new_axes()
        x, y = probit(curve.false_alarm, floors[0]), probit(curve.miss, floors[1])
        diagonal = [point(min(floors), 0.0), point(ceiling, 0.0)]
        axes.plot(diagonal, diagonal, color=MUTED, linewidth=1.3, linestyle=":")
        axes.plot(x, y, color=BONAFIDE, linewidth=1.8, clip_on=True)
        axes.plot(
            [point(rate, floors[0])],
            [point(rate, floors[1])],
            "o",
            color=INK,
            label=f"EER {rate:.2%}",
        )
        if threshold is not None:
            miss, false_alarm = rates_at(scores, labels, threshold)
            axes.plot(
                [point(false_alarm, floors[0])],
                [point(miss, floors[1])],
                "D",
                color=MARK,
                fillstyle="none",
                markersize=9,
                label="contract's threshold",
            )
        rate_axis(axes, "x", floors[0], ceiling)
        rate_axis(axes, "y", floors[1], ceiling)
        axes.set_xlabel(f"{names.negative} accepted")
        axes.set_ylabel(f"{names.positive} rejected")
        legend(axes)
    return figure


def histogram_figure(
    llrs: Tensor, labels: Tensor, threshold: float | None = None, names: Names = SPOOFING
) -> "Figure":
    """Histogram of LLRs by class, with the threshold.

    Args:
        llrs: calibrated LLRs in nats, shape ``[T]``; those that are not finite are left out.
        labels: 1 for bona fide, 0 for spoof, shape ``[T]``.
        threshold: on the LLR; left out when it is not finite.
        names: of the labels.

    Returns:
        The figure.
    """
    finite = torch.isfinite(llrs)
    llrs, labels = llrs[finite].double(), labels[finite]
    edges = _edges(llrs)
    with style():
        from matplotlib.ticker import MaxNLocator

        figure, axes = new_axes()
        for label, name, colour, hatch in (
            (0, names.negative, SPOOF, "////"),
            (1, names.positive, BONAFIDE, None),
        ):
            counts = torch.histogram(llrs[labels == label], edges).hist
            axes.stairs(
                counts.tolist(),
                edges.tolist(),
                fill=True,
                facecolor=colour if hatch is None else "none",
                alpha=0.4 if hatch is None else 1.0,
                linewidth=1.2,
                label=f"{name} ({int(counts.sum())})",
                edgecolor=colour,
                hatch=hatch,
            )
        if threshold is not None and math.isfinite(threshold):
            axes.axvline(
                threshold,
                color=MARK,
                linewidth=1.6,
                linestyle="--",
                label=f"threshold {threshold:.3g}",
            )
        axes.set_xlabel(f"LLR in nats (higher = more {names.positive})")
        axes.set_ylabel("recordings")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=0)
        legend(axes)
    return figure


def reliability_figure(
    scores: Tensor, llrs: Tensor, labels: Tensor, prior: float = 0.5, names: Names = SPOOFING
) -> "Figure":
    """Reliability before and after calibration: stated against observed probability of bona fide.

    Trials are weighted so that the classes have the prior's proportion, sorted, and put into bins
    of equal size. "Before" takes the raw score for an LLR.

    Args:
        scores: raw scores, shape ``[T]``.
        llrs: calibrated LLRs in nats, shape ``[T]``.
        labels: 1 for bona fide, 0 for spoof, shape ``[T]``.
        prior: probability of label 1.
        names: of the labels.

    Returns:
        The figure.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.
    """
    with style():
        figure, axes = new_axes()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.3, linestyle=":", label="ideal")
        for values, name, colour, marker, line in (
            (scores, "raw score taken as LLR", SPOOF, "s", "--"),
            (llrs, "calibrated LLR", BONAFIDE, "o", "-"),
        ):
            stated, observed = _reliability(values, labels, prior)
            axes.plot(
                stated,
                observed,
                marker=marker,
                linestyle=line,
                color=colour,
                markersize=5,
                label=name,
            )
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel(f"stated probability of {names.positive}")
        axes.set_ylabel(f"observed share of {names.positive}")
        legend(axes)
    return figure


@contextmanager
def style(more: dict[str, Any] | None = None) -> Iterator[None]:
    """Matplotlib's settings for these plots, and the error when it is not installed."""
    matplotlib = require("matplotlib")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc says
        settings: Any = {**_RC, **(more or {})}
        matplotlib.rcParams.update(settings)
        yield


def new_axes() -> "tuple[Figure, Axes]":
    """A figure of the page's size, and its axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def legend(axes: "Axes") -> None:
    """Above the axes, where it covers no data."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.02), borderaxespad=0, ncols=2, columnspacing=1.2
    )


def _edges(values: Tensor) -> Tensor:
    """Bin edges that hold all values; one wide bin when they are all alike."""
    if not len(values):
        return torch.linspace(-1, 1, 9, dtype=torch.float64)
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    bins = min(40, max(8, int(2 * len(values) ** 0.5)))
    return torch.linspace(low, high, bins + 1, dtype=torch.float64)


def _reliability(llrs: Tensor, labels: Tensor, prior: float) -> tuple[list[float], list[float]]:
    """Mean stated and observed probability in bins of equal numbers of trials."""
    log_odds = torch.logit(torch.tensor(prior, dtype=torch.float64))
    stated, order = torch.sort(torch.sigmoid(llrs.double() + log_odds))
    target = (labels[order] == 1).double()
    weight = target * prior / target.sum() + (1 - target) * (1 - prior) / (1 - target).sum()
    bins = max(2, min(10, len(stated) // 8))  # two trials, one of each class, are the least
    columns = [[float(x.sum()) for x in (weight * y).tensor_split(bins)] for y in (stated, target)]
    mass = [float(x.sum()) for x in weight.tensor_split(bins)]
    means = [[x / m for x, m in zip(column, mass, strict=True)] for column in columns]
    return means[0], means[1]
