"""What a raw score means: calibration to a log-likelihood ratio, and posteriors."""

import math
import warnings
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_number
from scriptable._core.values import check_finite
from scriptable.metrics import check_trials
from scriptable.scoring._logistic import check_prior, logistic_regression


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
        Brümmer, du Preez, "Application-independent evaluation of speaker detection", 2006.

    Example:
        >>> AffineCalibration(scale=2.0, offset=-1.0)(torch.tensor([0.0, 1.5]))
        tensor([-1.,  2.])
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: float = 1.0, offset: float = 0.0) -> None:
        super().__init__()
        check_number("scale", scale)
        check_number("offset", offset)
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
        \min_{a,b}\ \frac{\pi}{N_1}\sum_{i \in 1} \log(1 + e^{-z_i})
                  + \frac{1 - \pi}{N_0}\sum_{i \in 0} \log(1 + e^{z_i}), \qquad
        z_i = a s_i + b + \operatorname{logit}\pi

    Nothing else is added, so that the fit is unbiased at every prior. Only where a threshold
    separates the classes, and a would grow without bound, does each class get one pseudo-trial,
    spread evenly over the scores of the other class: N trials that hold no error show a rate below
    1 / (N + 1) at best, and the LLRs stay below about log(N + 1).

    Args:
        scores: raw scores, shape ``[T]``.
        labels: 1 for bona fide (target), 0 for spoof (non-target), shape ``[T]``.
        prior: probability of bona fide that the fit is weighted to.
        iterations: upper bound on the Newton steps.

    Returns:
        Scale a and offset b.

    Raises:
        ValueError: on NaN or infinite scores, naming the trial; on one class only, constant scores,
            or a prior outside (0, 1).

    Warns:
        UserWarning: if the fitted scale is negative: the scores are inverted, or say nothing.

    Reference:
        Brümmer, Doddington, "Likelihood-ratio calibration using prior-weighted proper scoring
        rules", arXiv 1307.7981.

    Example:
        >>> scores = torch.tensor([0.2, 0.4, 0.5, 0.7, 0.6, 0.9])
        >>> scale, offset = fit_affine_calibration(scores, torch.tensor([0, 0, 1, 1, 0, 1]))
        >>> round(scale, 3), round(offset, 3)
        (10.96, -6.028)
    """
    check_trials(scores, labels)
    check_finite(scores)
    check_prior(prior)
    if bool((scores == scores[0]).all()):
        raise ValueError("scores: expected at least two different values, got constant scores")
    slopes, offset = logistic_regression(scores.double().unsqueeze(1), labels, prior, iterations)
    scale = float(slopes[0])
    if scale < 0:
        highest, lowest = (
            int(torch.where(labels == 0, scores, -torch.inf).argmax()),
            int(torch.where(labels == 1, scores, torch.inf).argmin()),
        )
        warnings.warn(
            f"scores: expected higher ones for label 1, got a scale of {scale:.4g}: inverted? "
            f"Trial {highest} of label 0 scores {float(scores[highest]):.4g}, "
            f"trial {lowest} of label 1 {float(scores[lowest]):.4g}",
            stacklevel=2,
        )
    return Calibration(scale, offset)


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
        Bayes' rule in log-odds form; Brümmer, du Preez, 2006.

    Example:
        >>> posterior(0.0, 0.5)
        0.5
        >>> round(posterior(2.0, 0.05), 4)
        0.28
    """
    check_prior(prior)
    log_odds = llr + math.log(prior / (1.0 - prior))
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    return math.exp(log_odds) / (1.0 + math.exp(log_odds))


class Posterior(nn.Module):
    r"""Log-likelihood ratio → probability of bona fide at a given prior; see :func:`posterior`.

    .. math:: P = \sigma(\mathrm{llr} + \operatorname{logit}\pi)

    Args:
        prior: probability π of bona fide (target) before the audio was heard.

    Shape:
        - llr: any shape, in nats; result: the same, in [0, 1].

    Raises:
        ValueError: if ``prior`` is not inside (0, 1).

    Reference:
        Bayes' rule in log-odds form; Brümmer, du Preez, 2006.

    Example:
        >>> Posterior(0.05)(torch.tensor([0.0, 2.0]))
        tensor([0.0500, 0.2800])
    """

    log_odds: Final[float]

    def __init__(self, prior: float = 0.5) -> None:
        super().__init__()
        check_prior(prior)
        self.log_odds = math.log(prior / (1.0 - prior))

    def forward(self, llr: Tensor) -> Tensor:
        """LLR → posterior, same shape."""
        return torch.sigmoid(llr + self.log_odds)
