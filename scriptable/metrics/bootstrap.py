"""How far a metric would move on another set of trials."""

from collections.abc import Callable
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
    """Confidence interval of a metric by resampling the trials of each class.

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
        The percentiles (1 − level)/2 and (1 + level)/2.

    Raises:
        ValueError: on NaN, a missing class, wrong shapes, level or rounds.

    Reference:
        Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, the percentile interval.

    Example:
        >>> from scriptable.metrics import equal_error_rate
        >>> scores, labels = torch.arange(40.0) % 13, torch.arange(40) % 2
        >>> low, high = bootstrap_interval(equal_error_rate, scores, labels, rounds=100)
        >>> low <= equal_error_rate(scores, labels).rate <= high
        True
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
        value = metric(scores[drawn], labels[drawn])
        values.append(float(value[0] if isinstance(value, tuple) else value))
    tails = torch.tensor([(1.0 - level) / 2.0, (1.0 + level) / 2.0], dtype=torch.float64)
    low, high = torch.tensor(values, dtype=torch.float64).quantile(tails).tolist()
    return Interval(low, high)
