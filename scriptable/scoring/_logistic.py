"""Prior-weighted logistic regression, shared by calibration and fusion."""

import math

import torch
from torch import Tensor

from scriptable._core.checks import check_real
from scriptable._core.numeric import softplus


def check_prior(prior: float, name: str = "prior") -> None:
    """Raise unless the prior is inside (0, 1)."""
    check_real(name, prior)
    if not 0.0 < prior < 1.0:
        raise ValueError(f"{name}: expected a probability inside (0, 1), got {prior}")


def logistic_regression(
    features: Tensor, labels: Tensor, prior: float, iterations: int
) -> tuple[Tensor, float]:
    """Slopes ``[K]`` and offset of the LLR for features ``[T, K]`` that are not constant.

    Each class is weighted to the prior. Classes that a threshold on the fitted score separates have
    no finite optimum: they are fitted once more with one pseudo-trial in each class.
    """
    # Newton's method is scale-free only in exact arithmetic: standardise first.
    centre, spread = features.mean(0), features.std(0, unbiased=False)
    ones = torch.ones(len(features), 1, dtype=torch.float64)
    design = torch.cat([(features - centre) / spread, ones], 1)
    positive = labels == 1
    shift = math.log(prior / (1.0 - prior))
    weights, targets = _hard(positive, prior)
    theta = _newton(design, targets, weights, shift, iterations)
    fitted = features @ (theta[:-1] / spread)
    if bool(fitted[positive].min() >= fitted[~positive].max()) or bool(
        fitted[positive].max() <= fitted[~positive].min()
    ):
        weights, targets = _with_pseudo_trials(positive, prior)
        theta = _newton(design, targets, weights, shift, iterations)
    slopes = theta[:-1] / spread
    return slopes, float(theta[-1] - (slopes * centre).sum())


def _hard(positive: Tensor, prior: float) -> tuple[Tensor, Tensor]:
    """Weight and target of each trial: a class shares what the prior gives it."""
    n_positive = int(positive.sum())
    weights = torch.where(
        positive, prior / n_positive, (1.0 - prior) / (len(positive) - n_positive)
    )
    return weights.double(), positive.double()


def _with_pseudo_trials(positive: Tensor, prior: float) -> tuple[Tensor, Tensor]:
    """The same with one trial more in each class, spread evenly over the scores of the other.

    N trials cannot show an error rate below 1 / (N + 1), so that no LLR may claim more than about
    log(N + 1); unlike smoothed targets, that holds at every prior.
    """
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    each_positive, each_negative = prior / (n_positive + 1), (1.0 - prior) / (n_negative + 1)
    as_positive = torch.where(positive, each_positive, each_positive / n_negative).double()
    as_negative = torch.where(positive, each_negative / n_positive, each_negative).double()
    weights = as_positive + as_negative
    return weights, as_positive / weights


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
        hessian = design.T @ (curvature[:, None] * design)
        # Of systems that say the same, the least step moves all alike.
        step = torch.linalg.pinv(hessian, hermitian=True) @ gradient
        size = 1.0
        while size > 1e-8 and bool(objective(theta - size * step) > value):
            size /= 2
        theta = theta - size * step
        value = objective(theta)
    return theta
