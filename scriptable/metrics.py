"""Error rates of scores, exact on ties, in float64."""

from typing import NamedTuple

import torch
from torch import Tensor


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


def check_trials(scores: Tensor, labels: Tensor) -> None:
    """Raise unless scores and labels make a two-class trial list without NaN.

    Args:
        scores: one score per trial, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.

    Raises:
        ValueError: naming the argument or the first trial that is wrong.

    Example:
        >>> check_trials(torch.tensor([0.5, float("nan")]), torch.tensor([1, 0]))
        Traceback (most recent call last):
        ...
        ValueError: scores: expected numbers, got NaN at trial 1
    """
    if scores.dim() != 1:
        raise ValueError(f"scores: expected shape [T], got {list(scores.shape)}")
    if labels.shape != scores.shape:
        raise ValueError(f"labels: expected shape {list(scores.shape)}, got {list(labels.shape)}")
    bad = torch.isnan(scores).nonzero()
    if len(bad):
        raise ValueError(f"scores: expected numbers, got NaN at trial {int(bad[0])}")
    odd = ((labels != 0) & (labels != 1)).nonzero()
    if len(odd):
        trial = int(odd[0])
        raise ValueError(f"labels: expected 0 or 1, got {labels[trial].item()} at trial {trial}")
    for label, name in ((1, "target (label 1)"), (0, "non-target (label 0)")):
        if not bool((labels == label).any()):
            raise ValueError(f"labels: expected both classes, got no {name} trial")


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
    check_trials(scores, labels)
    ordered, order = torch.sort(scores.double())
    targets_below = torch.cumsum(labels.index_select(0, order).to(torch.int64), 0)
    last_of_tie = torch.ones(len(ordered), dtype=torch.bool)
    last_of_tie[:-1] = ordered[1:] != ordered[:-1]
    ends = last_of_tie.nonzero().squeeze(1)
    values = ordered[ends]
    targets, trials = targets_below[ends], ends + 1
    miss = torch.cat([torch.zeros(1, dtype=torch.float64), targets / targets[-1].double()])
    non_targets = trials - targets
    rejected = non_targets / non_targets[-1].double()
    false_alarm = torch.cat([torch.ones(1, dtype=torch.float64), 1.0 - rejected])
    infinity = torch.full((1,), torch.inf, dtype=torch.float64)
    between = values[:-1] + (values[1:] - values[:-1]) / 2
    return OperatingCurve(torch.cat([-infinity, between, infinity]), miss, false_alarm)


def equal_error_rate(scores: Tensor, labels: Tensor) -> EqualErrorRate:
    r"""The rate at which misses and false alarms are equal, interpolated between two points.

    The ROC is joined by straight lines; the rate is where it crosses
    :math:`P_{miss} = P_{fa}`. The threshold is the one whose two rates differ least.

    Args:
        scores: higher = more target, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.

    Returns:
        Rate in [0, 1] and threshold.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.

    Reference:
        Brümmer, de Villiers, "The BOSARIS Toolkit", arXiv 1304.2865, section 2.

    Example:
        >>> equal_error_rate(torch.tensor([0.1, 0.4, 0.3, 0.8]), torch.tensor([0, 0, 1, 1]))
        EqualErrorRate(rate=0.5, threshold=0.35000...)
    """
    curve = operating_curve(scores, labels)
    gap = curve.miss - curve.false_alarm
    after = int((gap >= 0).nonzero()[0])
    before = after - 1
    step = -gap[before] / (gap[after] - gap[before])
    rate = curve.miss[before] + step * (curve.miss[after] - curve.miss[before])
    nearest = after if bool(gap[after].abs() <= gap[before].abs()) else before
    return EqualErrorRate(float(rate), float(curve.thresholds[nearest]))
