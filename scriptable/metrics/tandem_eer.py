"""The equal error rate of a countermeasure and a verification system in tandem."""

from collections.abc import Callable

import torch
from torch import Tensor

from scriptable.metrics._trials import count_as, trials
from scriptable.metrics.error_rates import rates


def tandem_equal_error_rate(asv_scores: Tensor, cm_scores: Tensor, labels: Tensor) -> float:
    r"""The rate at which a tandem misses targets and accepts non-targets and spoofs alike.

    A trial passes if both systems accept it. With the thresholds t of the verification system and u
    of the countermeasure, the concurrent t-EER is where

    .. math::
        P_{miss}^{cm} + (1 - P_{miss}^{cm}) P_{miss}^{asv}
        = (1 - P_{miss}^{cm}) P_{fa}^{asv} = P_{fa}^{cm} P_{fa,spoof}^{asv}

    As in the ASVspoof 5 package, each t is paired with the u at which misses and the mean of both
    false-alarm rates are nearest, the pair is taken whose two false-alarm rates are nearest, and
    the rate is the last of the three above. All pairs are looked at; above 3000 trials the package
    looks at a part of them.

    Args:
        asv_scores: of the verification system, higher = more the same speaker, ``[T]``.
        cm_scores: of the countermeasure for the same trials, higher = more bona fide, ``[T]``.
        labels: 1 for target, 0 for non-target, 2 for spoof, ``[T]``.

    Returns:
        The rate in [0, 1]; NaN if no pair of thresholds qualifies.

    Raises:
        ValueError: on NaN, a missing class or wrong shapes.

    Reference:
        Kinnunen et al., "t-EER: Parameter-Free Tandem Evaluation of Countermeasures and Biometric
        Comparators", arXiv 2309.12237.

    Example:
        >>> asv = torch.tensor([3.0, 2.0, 0.0, 1.0, 2.5, 0.5])
        >>> cm = torch.tensor([3.0, 1.0, 2.0, 1.0, 0.0, 2.0])
        >>> tandem_equal_error_rate(asv, cm, torch.tensor([1, 1, 0, 0, 2, 2]))
        0.5
    """
    asv_scores, _ = trials(asv_scores, labels, 3)
    cm_scores, labels = trials(cm_scores, labels, 3)
    asv = count_as(asv_scores, labels, "asvspoof", 3)
    asv_miss, asv_false = rates(asv)
    asv_spoof = rates(asv, 2)[1]
    cm_miss, cm_false = rates(count_as(cm_scores, (labels != 2).long(), "asvspoof"))

    def gap(at: Tensor) -> Tensor:
        """Misses less the mean of both false-alarm rates: it grows along the countermeasure."""
        miss, live = cm_miss[at], 1.0 - cm_miss[at]
        return miss + live * asv_miss - 0.5 * (live * asv_false + cm_false[at] * asv_spoof)

    above = _first(lambda at: gap(at) >= 0, len(cm_miss), len(asv_miss))
    below = (above - 1).clamp(min=0)
    above = above.clamp(max=len(cm_miss) - 1)
    at = torch.where(gap(below).abs() <= gap(above).abs(), below, above)
    apart = (asv_false / asv_spoof - cm_false[at] / (1.0 - cm_miss[at])).abs()
    apart[(asv_miss >= 0.5 * (asv_false + asv_spoof)) | apart.isnan()] = torch.inf
    best = int(apart.argmin())
    if apart[best] == torch.inf:
        return float("nan")
    return float(asv_spoof[best] * cm_false[at[best]])


def _first(holds: Callable[[Tensor], Tensor], size: int, count: int) -> Tensor:
    """For each of ``count``, the first of 0 to size - 1 from which it holds on, or ``size``."""
    low, high = torch.zeros(count, dtype=torch.int64), torch.full((count,), size)
    while bool((low < high).any()):
        middle = (low + high) // 2
        found = holds(middle.clamp(max=size - 1)) | (middle >= size)
        low, high = torch.where(found, low, middle + 1), torch.where(found, middle, high)
    return low
