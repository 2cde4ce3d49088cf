"""Miss and false-alarm rates at every threshold, their convex hull, and where the two are equal."""

from typing import NamedTuple

import torch
from torch import Tensor

from scriptable.metrics._hull import lower_hull
from scriptable.metrics._trials import (
    Counts,
    count_as,
    count_trials,
    midway,
    trials,
)


class OperatingCurve(NamedTuple):
    """Every operating point of a set of scores, from accepting all to rejecting all.

    ``thresholds [K]`` ascends; a trial is accepted when its score reaches the threshold, and each
    threshold lies midway between two neighbouring scores. ``miss [K]`` and ``false_alarm [K]`` are
    the rates of rejected bona fide and of accepted spoofed trials.
    """

    thresholds: Tensor
    miss: Tensor
    false_alarm: Tensor


class EqualErrorRate(NamedTuple):
    """The equal error rate and the threshold of the operating point nearest to it."""

    rate: float
    threshold: float


def operating_curve(scores: Tensor, labels: Tensor) -> OperatingCurve:
    r"""Miss and false-alarm rates at every threshold.

    .. math::
        P_{miss}(t) = P(s < t \mid target), \qquad P_{fa}(t) = P(s \ge t \mid non\text{-}target)

    Args:
        scores: higher = more target, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.

    Returns:
        The curve; tied scores share one point.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.

    Reference:
        Fawcett, "An introduction to ROC analysis", 2006, algorithm 1.

    Example:
        >>> curve = operating_curve(torch.tensor([0.1, 0.4, 0.4, 0.8]), torch.tensor([0, 0, 1, 1]))
        >>> curve.thresholds
        tensor([  -inf, 0.2500, 0.6000,    inf], dtype=torch.float64)
        >>> curve.miss, curve.false_alarm
        (tensor([0.0000, 0.0000, 0.5000, 1.0000], dtype=torch.float64),
         tensor([1.0000, 0.5000, 0.0000, 0.0000], dtype=torch.float64))
    """
    scores, labels = trials(scores, labels)
    counts = count_trials(scores, labels)
    values = counts.values.double()
    infinity = torch.full((1,), torch.inf, dtype=torch.float64)
    between = midway(values[:-1], values[1:])
    miss, false_alarm = rates(counts)
    return OperatingCurve(torch.cat([-infinity, between, infinity]), miss, false_alarm)


def rates(counts: Counts, rejected_label: int = 0) -> tuple[Tensor, Tensor]:
    """Miss rate, and false-alarm rate of one class, after 0 to K distinct scores."""
    non_targets, targets = counts.below[rejected_label], counts.below[1]
    start = torch.zeros(1, dtype=torch.float64)
    miss = torch.cat([start, targets.double() / targets[-1]])
    accepted = (non_targets[-1] - non_targets).double() / non_targets[-1]
    return miss, torch.cat([start + 1.0, accepted])


def roc_convex_hull(scores: Tensor, labels: Tensor) -> OperatingCurve:
    r"""The vertices of the convex hull of the operating points: what calibration could reach.

    The points between two vertices are reached by choosing at random between them. The slope from
    one vertex to the next is the likelihood ratio that the pool-adjacent-violators algorithm gives
    to the scores between their thresholds.

    Args:
        scores: higher = more target, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.

    Returns:
        The vertices, a subset of :func:`operating_curve`.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.

    Reference:
        Fawcett, Niculescu-Mizil, "PAV and the ROC convex hull", 2007.

    Example:
        >>> scores, labels = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0, 1, 0, 1])
        >>> roc_convex_hull(scores, labels).miss
        tensor([0.0000, 0.0000, 0.5000, 1.0000], dtype=torch.float64)
    """
    scores, labels = trials(scores, labels)
    counts = count_trials(scores, labels)
    vertices = hull_of(counts)
    miss, false_alarm = (rate[vertices] for rate in rates(counts))
    thresholds = [counts.threshold(index) for index in vertices.tolist()]
    return OperatingCurve(torch.tensor(thresholds, dtype=torch.float64), miss, false_alarm)


def hull_of(counts: Counts) -> Tensor:
    """Indices, into 0 to K distinct scores rejected, of the vertices of the convex hull."""
    zero = torch.zeros(1, dtype=torch.int64)
    rejected, missed = (torch.cat([zero, below]) for below in counts.below)
    return lower_hull(rejected, missed)


def equal_error_rate(scores: Tensor, labels: Tensor, convention: str = "exact") -> EqualErrorRate:
    r"""The rate at which misses and false alarms are equal, interpolated between two points.

    The ROC is joined by straight lines; the rate is where it crosses
    :math:`P_{miss} = P_{fa}`. The threshold is the one whose two rates differ least.

    Args:
        scores: higher = more target, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.
        convention: ``"exact"``, or ``"asvspoof"``, digit by digit that of the ASVspoof 2019, 2021
            and 5 packages: the mean of the two rates at the point where they differ least, tied
            targets rejected first; the threshold is the highest rejected score.

    Returns:
        Rate in [0, 1] and threshold.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.

    Reference:
        Brümmer, de Villiers, "The BOSARIS Toolkit", arXiv 1304.2865.

    Example:
        >>> equal_error_rate(torch.tensor([0.1, 0.4, 0.3, 0.8]), torch.tensor([0, 0, 1, 1]))
        EqualErrorRate(rate=0.5, threshold=0.35000...)
    """
    scores, labels = trials(scores, labels)
    counts = count_as(scores, labels, convention)
    if convention == "asvspoof":
        miss, false_alarm = rates(counts)
        nearest = int((miss - false_alarm).abs().argmin())
        rate = float(miss[nearest] + false_alarm[nearest]) / 2.0
        return EqualErrorRate(rate, counts.threshold(nearest))
    # The gap miss − false alarm as an integer: it grows with the threshold, and has no rounding.
    gap = counts.below[1] * counts.total(0) + counts.below[0] * counts.total(1)
    balanced = counts.total(0) * counts.total(1)
    after = int(torch.searchsorted(gap, balanced)) + 1
    return _crossing(counts, after - 1, after)


def convex_hull_equal_error_rate(scores: Tensor, labels: Tensor) -> EqualErrorRate:
    r"""The equal error rate on the convex hull of the ROC: at most :func:`equal_error_rate`.

    It is the largest error that the best threshold has over all priors,
    :math:`\max_\pi \min_t \pi P_{miss}(t) + (1-\pi) P_{fa}(t)`.

    Args:
        scores: higher = more target, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.

    Returns:
        Rate in [0, 0.5], and the threshold of the vertex nearest to it.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.

    Reference:
        Brümmer, de Villiers, "The BOSARIS Toolkit", arXiv 1304.2865.

    Example:
        >>> scores, labels = torch.tensor([0.1, 0.4, 0.3, 0.8]), torch.tensor([0, 0, 1, 1])
        >>> convex_hull_equal_error_rate(scores, labels).rate
        0.25
    """
    scores, labels = trials(scores, labels)
    counts = count_trials(scores, labels)
    vertices = hull_of(counts)
    miss, false_alarm = (rate[vertices] for rate in rates(counts))
    after = int(((miss - false_alarm) >= 0).nonzero()[0])
    return _crossing(counts, int(vertices[after - 1]), int(vertices[after]))


def _crossing(counts: Counts, before: int, after: int) -> EqualErrorRate:
    """Where the line between two operating points has equal rates."""
    points = []
    for index in (before, after):
        targets, others = (int(counts.below[c][index - 1]) if index else 0 for c in (1, 0))
        points.append((targets / counts.total(1), (counts.total(0) - others) / counts.total(0)))
    (miss, false_alarm), (next_miss, next_false_alarm) = points
    gap, next_gap = miss - false_alarm, next_miss - next_false_alarm
    rate = miss - gap / (next_gap - gap) * (next_miss - miss)
    nearest = after if abs(next_gap) <= abs(gap) else before
    return EqualErrorRate(rate, counts.threshold(nearest))
