"""What a raw score means: calibration to a log-likelihood ratio, and posteriors."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from scriptable._numeric import softplus
from scriptable.metrics import check_trials


class Calibration(NamedTuple):
    """llr = scale·score + offset, in nats."""

    scale: float
    offset: float


class AffineCalibration(nn.Module):
    r"""Raw score → log-likelihood ratio.

    .. math:: \mathrm{llr} = a s + b

    Args:
        scale: a.
        offset: b, in nats.

    Shape:
        - score: any shape; result: the same, in nats, higher = more bona fide for a > 0.

    Reference:
        Brümmer, du Preez, "Application-independent evaluation of speaker detection", 2006,
        section 6.

    Example:
        >>> AffineCalibration(scale=2.0, offset=-1.0)(torch.tensor([0.0, 1.5]))
        tensor([-1.,  2.])
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(scale)))
        self.register_buffer("offset", torch.tensor(float(offset)))

    def forward(self, score: Tensor) -> Tensor:
        """Score → LLR, same shape."""
        return self.scale * score + self.offset


def fit_affine_calibration(
    scores: Tensor, labels: Tensor, prior: float = 0.5, iterations: int = 100
) -> Calibration:
    r"""Fit llr = a·s + b by prior-weighted logistic regression.

    .. math::
        \min_{a,b}\ \frac{\pi}{N_1}\sum_i t_1 \log(1 + e^{-z_i}) + \ldots, \qquad
        z_i = a s_i + b + \operatorname{logit}\pi

    Each class is weighted to the prior, and the targets are Platt's,
    :math:`(N_1 + 1)/(N_1 + 2)` and :math:`1/(N_0 + 2)`, without which perfectly separated scores
    would drive a to infinity.

    Args:
        scores: raw scores, shape ``[T]``.
        labels: 1 for bona fide (target), 0 for spoof (non-target), shape ``[T]``.
        prior: probability of bona fide that the fit is weighted to.
        iterations: upper bound on the Newton steps.

    Returns:
        Scale a and offset b.

    Raises:
        ValueError: on NaN, one class only, constant scores, or a prior outside (0, 1).

    Reference:
        Brümmer, Doddington, "Likelihood-ratio calibration using prior-weighted proper scoring
        rules", arXiv 1307.7981, eq. 2; targets: Platt, "Probabilistic outputs for support vector
        machines", 1999, section 2.2.

    Example:
        >>> scores = torch.tensor([0.2, 0.4, 0.5, 0.7, 0.6, 0.9])
        >>> scale, offset = fit_affine_calibration(scores, torch.tensor([0, 0, 0, 1, 1, 1]))
        >>> round(scale, 3), round(offset, 3)
        (5.598, -3.079)
    """
    check_trials(scores, labels)
    if not 0.0 < prior < 1.0:
        raise ValueError(f"prior: expected a probability inside (0, 1), got {prior}")
    centre, spread = scores.double().mean(), scores.double().std(unbiased=False)
    if not bool(spread > 0):
        raise ValueError("scores: expected at least two different values, got constant scores")
    # Newton's method is scale-free only in exact arithmetic: standardise first.
    design = torch.stack([(scores.double() - centre) / spread, torch.ones(len(scores)).double()], 1)
    positive = labels == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    targets = torch.where(positive, (n_positive + 1.0) / (n_positive + 2.0), 1 / (n_negative + 2.0))
    weights = torch.where(positive, prior / n_positive, (1.0 - prior) / n_negative).double()
    shift = math.log(prior / (1.0 - prior))
    theta = _newton(design, targets.double(), weights, shift, iterations)
    scale = float(theta[0] / spread)
    return Calibration(scale, float(theta[1] - theta[0] * centre / spread))


def _newton(
    design: Tensor, targets: Tensor, weights: Tensor, shift: float, iterations: int
) -> Tensor:
    """Minimise the weighted cross-entropy of sigmoid(design·θ + shift) by damped Newton steps."""
    theta = torch.zeros(design.shape[1], dtype=torch.float64)

    def objective(point: Tensor) -> Tensor:
        logits = design @ point + shift
        return (weights * (softplus(logits) - targets * logits)).sum()

    value = objective(theta)
    for _ in range(iterations):
        probability = torch.sigmoid(design @ theta + shift)
        gradient = design.T @ (weights * (probability - targets))
        if float(gradient.abs().max()) < 1e-12:
            break
        curvature = (weights * probability * (1.0 - probability)).clamp(min=1e-12)
        step = torch.linalg.solve(design.T @ (curvature[:, None] * design), gradient)
        size = 1.0
        while size > 1e-8 and bool(objective(theta - size * step) > value):
            size /= 2
        theta = theta - size * step
        value = objective(theta)
    return theta


def posterior(llr: float, prior: float) -> float:
    r"""Probability of bona fide given a log-likelihood ratio and a prior.

    .. math:: P = \sigma(\mathrm{llr} + \operatorname{logit}\pi)

    Args:
        llr: log-likelihood ratio in nats.
        prior: probability of bona fide before the audio was heard.

    Returns:
        The posterior in [0, 1].

    Raises:
        ValueError: if ``prior`` is not inside (0, 1).

    Reference:
        Bayes' rule in log-odds form; Brümmer, du Preez, 2006, eq. 4.

    Example:
        >>> posterior(0.0, 0.5)
        0.5
        >>> round(posterior(2.0, 0.05), 4)
        0.28
    """
    if not 0.0 < prior < 1.0:
        raise ValueError(f"prior: expected a probability inside (0, 1), got {prior}")
    log_odds = llr + math.log(prior / (1.0 - prior))
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    return math.exp(log_odds) / (1.0 + math.exp(log_odds))
