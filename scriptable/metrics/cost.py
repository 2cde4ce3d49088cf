"""Detection costs at given costs and prior, and the thresholds that go with them."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from scriptable._core.checks import check_positive, check_real
from scriptable._core.values import check_finite
from scriptable.metrics._trials import Counts, count_as, trials
from scriptable.metrics.error_rates import equal_error_rate


class DetectionCosts(NamedTuple):
    """What a task's errors cost: the prior of a target, the cost of a miss and of a false alarm.

    The defaults of everything that takes a prior: ``VERIFICATION_COSTS`` (0.01, 1, 1), those of
    NIST's evaluations, where the task is to verify speakers or nothing is said about it;
    ``SPOOFING_COSTS`` (0.95, 1, 10), those of ASVspoof, where it is to detect spoofs.

    Example:
        >>> SPOOFING_COSTS
        DetectionCosts(prior=0.95, cost_miss=1.0, cost_false_alarm=10.0)
        >>> scores, labels = torch.tensor([0.1, 0.4, 0.3, 0.8]), torch.tensor([0, 0, 1, 1])
        >>> min_dcf(scores, labels, *SPOOFING_COSTS).cost
        0.5
    """

    prior: float
    cost_miss: float = 1.0
    cost_false_alarm: float = 1.0


VERIFICATION_COSTS = DetectionCosts(0.01)
SPOOFING_COSTS = DetectionCosts(0.95, 1.0, 10.0)
_PRIOR, _MISS, _FALSE_ALARM = VERIFICATION_COSTS


class DetectionCost(NamedTuple):
    """A normalised detection cost and its threshold."""

    cost: float
    threshold: float


class OperatingPoint(NamedTuple):
    """A threshold and its two error rates; a score that reaches the threshold is accepted."""

    threshold: float
    miss: float
    false_alarm: float


def check_costs(prior: float, cost_miss: float, cost_false_alarm: float) -> None:
    """Raise unless the prior is inside (0, 1) and both costs are above zero."""
    check_real("prior", prior)
    if not 0.0 < prior < 1.0:
        raise ValueError(f"prior: expected a probability inside (0, 1), got {prior}")
    check_positive("cost_miss", cost_miss)
    check_positive("cost_false_alarm", cost_false_alarm)


def bayes_threshold(prior: float, cost_miss: float = 1.0, cost_false_alarm: float = 1.0) -> float:
    r"""The threshold on a calibrated log-likelihood ratio that costs least.

    .. math:: \tau = \log \frac{C_{fa} (1 - \pi)}{C_{miss} \pi}

    Args:
        prior: probability π of a target.
        cost_miss: cost of rejecting a target.
        cost_false_alarm: cost of accepting a non-target.

    Returns:
        τ in nats.

    Raises:
        ValueError: on a prior outside (0, 1) or a cost that is not above zero.

    Reference:
        Brümmer, du Preez, "Application-independent evaluation of speaker detection", 2006, the
        Bayes threshold.

    Example:
        >>> round(bayes_threshold(0.01), 3)
        4.595
    """
    check_costs(prior, cost_miss, cost_false_alarm)
    return math.log(cost_false_alarm) - math.log(cost_miss) + math.log1p(-prior) - math.log(prior)


def min_dcf(
    scores: Tensor,
    labels: Tensor,
    prior: float = _PRIOR,
    cost_miss: float = _MISS,
    cost_false_alarm: float = _FALSE_ALARM,
    convention: str = "exact",
) -> DetectionCost:
    r"""The least normalised detection cost over all thresholds.

    .. math::
        \min_t \frac{C_{miss}\,\pi\,P_{miss}(t) + C_{fa}(1 - \pi) P_{fa}(t)}
                    {\min(C_{miss}\,\pi,\ C_{fa}(1 - \pi))}

    Args:
        scores: higher = more target, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.
        prior: probability π of a target.
        cost_miss: cost of rejecting a target.
        cost_false_alarm: cost of accepting a non-target.
        convention: ``"exact"`` or ``"asvspoof"``, see :func:`equal_error_rate`.

    Returns:
        Cost in [0, 1] and the lowest threshold that reaches it, ±inf where it is best to accept or
        reject everything.

    Raises:
        ValueError: on NaN, one class only, wrong shapes, priors or costs.

    Reference:
        NIST 2016 Speaker Recognition Evaluation Plan, with one operating point.

    Example:
        >>> scores, labels = torch.tensor([0.1, 0.4, 0.3, 0.8]), torch.tensor([0, 0, 1, 1])
        >>> min_dcf(scores, labels, prior=0.5).cost, min_dcf(scores, labels, prior=0.01).cost
        (0.5, 0.5)
    """
    scores, labels = trials(scores, labels)
    check_costs(prior, cost_miss, cost_false_alarm)
    counts = count_as(scores, labels, convention)
    return least_cost(counts, (cost_false_alarm * (1.0 - prior), cost_miss * prior))


def least_cost(counts: Counts, weights: tuple[float, ...]) -> DetectionCost:
    """Minimum of Σ weight·rate; the class 1 is to be accepted, all others rejected."""
    accepting_all = sum(weights) - weights[1]
    # From accepting everything, each rejected trial adds its share of a miss or saves one of a
    # false alarm.
    change = torch.zeros(len(counts.values), dtype=torch.float64)
    for label, (below, weight) in enumerate(zip(counts.below, weights, strict=True)):
        share = weight / counts.total(label)
        change.add_(below, alpha=share if label == 1 else -share)
    best = int(change.argmin())
    norm = min(accepting_all, weights[1])
    if float(change[best]) >= 0:
        return DetectionCost(accepting_all / norm, counts.threshold(0))
    # Once more from the counts, so that a perfect separation costs exactly nothing.
    cost = sum(
        weight * ((n if label == 1 else counts.total(label) - n) / counts.total(label))
        for label, (n, weight) in enumerate(
            zip((int(below[best]) for below in counts.below), weights, strict=True)
        )
    )
    return DetectionCost(cost / norm, counts.threshold(best + 1))


def actual_dcf(
    llrs: Tensor,
    labels: Tensor,
    prior: float = _PRIOR,
    cost_miss: float = _MISS,
    cost_false_alarm: float = _FALSE_ALARM,
) -> DetectionCost:
    r"""The normalised detection cost at the Bayes threshold: what calibrated scores really cost.

    The cost is that of :func:`min_dcf`, at the threshold of :func:`bayes_threshold`. The difference
    of the two is what is lost by calibration.

    Args:
        llrs: log-likelihood ratios in nats, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.
        prior: probability π of a target.
        cost_miss: cost of rejecting a target.
        cost_false_alarm: cost of accepting a non-target.

    Returns:
        Cost, which a bad calibration drives above 1, and the threshold.

    Raises:
        ValueError: on NaN, one class only, wrong shapes, priors or costs.

    Reference:
        NIST 2016 Speaker Recognition Evaluation Plan, with one operating point.

    Example:
        >>> llrs, labels = torch.tensor([-2.0, 0.4, -0.3, 3.0]), torch.tensor([0, 0, 1, 1])
        >>> actual_dcf(llrs, labels, prior=0.5)
        DetectionCost(cost=1.0, threshold=0.0)
    """
    llrs, labels = trials(llrs, labels)
    threshold = bayes_threshold(prior, cost_miss, cost_false_alarm)
    _, miss, false_alarm = rates_at(llrs, labels, threshold)
    weight, other = cost_miss * prior, cost_false_alarm * (1.0 - prior)
    return DetectionCost((weight * miss + other * false_alarm) / min(weight, other), threshold)


def rates_at(scores: Tensor, labels: Tensor, threshold: float) -> OperatingPoint:
    """Miss and false-alarm rates at one threshold."""
    accepted, target = scores.double() >= threshold, labels == 1
    targets = int(target.sum())
    hits, all_accepted = int((accepted & target).sum()), int(accepted.sum())
    return OperatingPoint(
        threshold, (targets - hits) / targets, (all_accepted - hits) / (len(labels) - targets)
    )


def threshold_at(
    scores: Tensor,
    labels: Tensor,
    point: str = "eer",
    prior: float = _PRIOR,
    cost_miss: float = _MISS,
    cost_false_alarm: float = _FALSE_ALARM,
) -> OperatingPoint:
    """A finite threshold for an operating point, and its error rates.

    Args:
        scores: scores or log-likelihood ratios, higher = more target, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.
        point: ``"eer"``, where the error rates differ least, or ``"min_dcf"``, where
            :func:`min_dcf` is reached.
        prior: probability of a target, for ``"min_dcf"``.
        cost_miss: cost of rejecting a target, for ``"min_dcf"``.
        cost_false_alarm: cost of accepting a non-target, for ``"min_dcf"``.

    Returns:
        The threshold and its rates. Where it is best to accept or reject everything, the threshold
        lies beyond the last score by the range of the scores (by 1 if they are all equal).

    Raises:
        ValueError: on NaN or infinite scores, one class only, an unknown point, wrong priors or
            costs.

    Reference:
        As :func:`equal_error_rate` and :func:`min_dcf`.

    Example:
        >>> scores, labels = torch.tensor([0.25, 0.5, 0.75, 1.0]), torch.tensor([0, 0, 1, 1])
        >>> threshold_at(scores, labels)
        OperatingPoint(threshold=0.625, miss=0.0, false_alarm=0.0)
    """
    scores, labels = trials(scores, labels)
    check_finite(scores)
    check_costs(prior, cost_miss, cost_false_alarm)
    lowest, highest = (float(x) for x in scores.aminmax())
    if point == "eer":
        threshold = equal_error_rate(scores, labels).threshold
    elif point == "min_dcf":
        threshold = min_dcf(scores, labels, prior, cost_miss, cost_false_alarm).threshold
    else:
        raise ValueError(f"point: expected one of ['eer', 'min_dcf'], got {point}")
    reach = highest - lowest if highest > lowest else 1.0
    threshold = min(max(threshold, lowest - reach), highest + reach)
    return rates_at(scores, labels, threshold)
