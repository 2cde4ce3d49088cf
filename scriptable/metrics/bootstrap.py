"""Bootstrap confidence intervals of metrics."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple, Union

import torch
from torch import Tensor

from scriptable.metrics._trials import check_classes, tensor_of

Metric = Callable[[Tensor, Tensor], Union[float, tuple[float, ...]]]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def bootstrap_interval(
    metric: Metric,
    scores: Tensor,
    labels: Tensor,
    level: float = 0.95,
    rounds: int = 1000,
    seed: int = 0,
) -> Interval:
    r"""Confidence interval of a metric by resampling the trials of each class.

    Where a threshold separates the targets from the rest, no resampled list holds an error, and the
    percentiles would be one point. The interval then reaches to the metric of a system whose error
    rates are the exact binomial bound :math:`u = 1 - ((1 - level) / 2)^{1/n}` on both sides, n
    being the size of the smallest class; at 95 % that is about 3.7 / n. The same holds, from the
    other end, where every target scores below the rest.

    Args:
        metric: ``metric(scores, labels)``, a number or a tuple whose first element is the metric,
            such as :func:`equal_error_rate`; other arguments by a ``lambda``.
        scores: one score per trial, shape ``[T]``, or several, ``[T, K]``, as the metric takes
            them.
        labels: 0, 1 (and 2), shape ``[T]``; every class keeps its number of trials.
        level: probability that the interval is to hold.
        rounds: number of resampled trial lists.
        seed: of the generator that draws them; the global random state is left alone.

    Returns:
        The percentiles (1 − level)/2 and (1 + level)/2, or as above.

    Raises:
        ValueError: on NaN, a missing class, wrong shapes, level or rounds.

    Reference:
        Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, the percentile interval;
        Clopper, Pearson, "The use of confidence or fiducial limits illustrated in the case of the
        binomial", 1934.

    Example:
        >>> from scriptable.metrics import equal_error_rate
        >>> scores, labels = torch.arange(40.0) % 13, torch.arange(40) % 2
        >>> low, high = bootstrap_interval(equal_error_rate, scores, labels, rounds=100)
        >>> low <= equal_error_rate(scores, labels).rate <= high
        True
        >>> bootstrap_interval(equal_error_rate, torch.arange(40.0), torch.arange(40) // 20)
        Interval(low=0.0, high=0.1684...)
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: expected a probability inside (0, 1), got {level}")
    if rounds < 2:
        raise ValueError(f"rounds: expected 2 or more, got {rounds}")
    scores, labels = tensor_of(scores), tensor_of(labels)
    names = ("non-target (label 0)", "target (label 1)", "spoof (label 2)")
    three = len(labels) > 0 and bool((labels == 2).any())
    for column in scores.unbind(1) if scores.dim() == 2 else (scores,):
        check_classes(column, labels, names if three else names[:2])
    generator = torch.Generator().manual_seed(seed)
    groups = [(labels == label).nonzero().squeeze(1) for label in range(3 if three else 2)]
    values = []
    for _ in range(rounds):
        drawn = torch.cat(
            [g[torch.randint(len(g), (len(g),), generator=generator)] for g in groups]
        )
        values.append(_value(metric(scores[drawn], labels[drawn])))
    tails = torch.tensor([(1.0 - level) / 2.0, (1.0 + level) / 2.0], dtype=torch.float64)
    low, high = torch.tensor(values, dtype=torch.float64).quantile(tails).tolist()
    if low == high and scores.dim() == 1:
        edge = _at_the_edge(metric, scores, [scores[group] for group in groups], float(tails[0]))
        low, high = min(low, edge), max(high, edge)
    return Interval(low, high)


def _value(found: Union[float, tuple[float, ...]]) -> float:
    return float(found[0] if isinstance(found, tuple) else found)


def _at_the_edge(metric: Metric, scores: Tensor, groups: list[Tensor], tail: float) -> float:
    """The metric of the least separated system that these separated classes do not rule out.

    Classes that overlap give NaN, which moves neither end of an interval.
    """
    targets, others = groups[1], torch.cat([groups[0], *groups[2:]])
    if float(others.max()) < float(targets.min()):
        rate = 1.0 - tail ** (1.0 / min(map(len, groups)))
    elif float(targets.max()) < float(others.min()):
        rate = tail ** (1.0 / min(map(len, groups)))
    else:
        return math.nan
    # Whole trials that have this error rate to nine digits.
    share = Fraction(rate).limit_denominator(20_000)
    low, high = scores.aminmax()
    labels = torch.arange(len(groups)).repeat_interleave(share.denominator)
    wrong = torch.arange(share.denominator) < share.numerator
    accepted = torch.cat([~wrong if label == 1 else wrong for label in range(len(groups))])
    return _value(metric(torch.where(accepted, high, low), labels))
