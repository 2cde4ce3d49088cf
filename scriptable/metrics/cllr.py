"""The cost of log-likelihood ratios over all operating points, and its calibrated minimum."""

import math

import torch
from torch import Tensor

from scriptable._core.numeric import softplus
from scriptable.metrics._trials import count_trials, trials
from scriptable.metrics.error_rates import hull_of


def cllr(llrs: Tensor, labels: Tensor) -> float:
    r"""Cllr: the cost of log-likelihood ratios over all operating points, in bits.

    .. math::
        C_{llr} = \frac{1}{2}\Big(\frac{1}{N_1}\sum_{target} \log_2(1 + e^{-\ell})
                + \frac{1}{N_0}\sum_{non\text{-}target} \log_2(1 + e^{\ell})\Big)

    Args:
        llrs: log-likelihood ratios in nats, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.

    Returns:
        Bits: 0 for perfect, 1 for LLRs that are all 0, more for misleading ones, infinite when one
        is infinite on the wrong side.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.

    Reference:
        Brümmer, du Preez, "Application-independent evaluation of speaker detection", 2006, the
        definition of Cllr.

    Example:
        >>> round(cllr(torch.tensor([-2.0, 1.0, 3.0]), torch.tensor([0, 1, 1])), 4)
        0.2221
    """
    llrs, labels = trials(llrs, labels)
    x, target = llrs.double(), labels == 1
    loss = softplus(torch.where(target, -x, x))
    targets = int(target.sum())
    zero = torch.zeros_like(loss)
    on_targets = torch.where(target, loss, zero).sum() / targets
    on_others = torch.where(target, zero, loss).sum() / (len(x) - targets)
    return float(on_targets + on_others) / (2.0 * math.log(2.0))


def min_cllr(scores: Tensor, labels: Tensor) -> float:
    r"""The :func:`cllr` left after the best monotone calibration of the scores.

    That calibration is found by pooling adjacent violators: each pool of :math:`t` of the
    :math:`N_1` targets and :math:`n` of the :math:`N_0` non-targets gets the LLR
    :math:`\log\frac{t / N_1}{n / N_0}`. The pools are the edges of :func:`roc_convex_hull`.

    Args:
        scores: higher = more target, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.

    Returns:
        Bits, from 0 (the classes are separated) to 1.

    Raises:
        ValueError: on NaN, one class only, or wrong shapes.

    Reference:
        Brümmer, du Preez, "Application-independent evaluation of speaker detection", 2006; Fawcett,
        Niculescu-Mizil, "PAV and the ROC convex hull", 2007.

    Example:
        >>> round(min_cllr(torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0, 1, 0, 1])), 4)
        0.5
    """
    scores, labels = trials(scores, labels)
    counts = count_trials(scores, labels)
    vertices = hull_of(counts)
    zero = torch.zeros(1, dtype=torch.int64)
    n, t = (
        torch.diff(torch.cat([zero, below])[vertices]).double() / float(below[-1])
        for below in counts.below
    )
    # x·log2(1 + y/x) tends to 0 with x; a pool without the other class adds nothing.
    on_targets = t * torch.log2(1.0 + n / t.clamp(min=1e-300))
    on_others = n * torch.log2(1.0 + t / n.clamp(min=1e-300))
    zero_cost = torch.zeros_like(t)
    total = torch.where(t > 0, on_targets, zero_cost) + torch.where(n > 0, on_others, zero_cost)
    return float(total.sum()) / 2.0
