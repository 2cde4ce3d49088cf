"""Several scores as one: linear fusion, and speaker and spoof evidence in one number."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_number
from scriptable._core.numeric import at_least_float32
from scriptable.metrics import check_trials
from scriptable.scoring._logistic import check_prior, logistic_regression
from scriptable.scoring.calibration import AffineCalibration


class FusionWeights(NamedTuple):
    """llr = Σ weights·scores + offset, in nats."""

    weights: tuple[float, ...]
    offset: float


class Fusion(nn.Module):
    r"""Scores of K systems → one log-likelihood ratio.

    .. math:: \mathrm{llr} = \sum_k w_k s_k + b

    Args:
        weights: w, one for each system.
        offset: b, in nats.

    Shape:
        - scores: ``[*, K]``; result: ``[*]``, in nats, higher = more target.

    Raises:
        ValueError: if the last axis is not K.

    Reference:
        Brümmer et al., "Fusion of heterogeneous speaker recognition systems in the STBU submission
        for the NIST SRE 2006", 2007.

    Example:
        >>> Fusion([2.0, 0.5], offset=-1.0)(torch.tensor([[1.0, 4.0], [0.0, 0.0]]))
        tensor([ 3., -1.])
    """

    weights: Tensor
    offset: Tensor

    def __init__(self, weights: Sequence[float], offset: float = 0.0) -> None:
        super().__init__()
        for k, weight in enumerate(weights):
            check_number(f"weights[{k}]", weight)
        check_number("offset", offset)
        values = torch.tensor([float(w) for w in weights])
        if len(values) == 0:
            raise ValueError("weights: expected one or more, got none")
        self.register_buffer("weights", values)
        self.register_buffer("offset", torch.tensor(float(offset)))

    def forward(self, scores: Tensor) -> Tensor:
        """Scores ``[*, K]`` → LLR ``[*]``."""
        systems = self.weights.shape[0]
        if scores.dim() < 1 or scores.shape[-1] != systems:
            raise ValueError(f"scores: expected shape [*, {systems}], got {list(scores.shape)}")
        return (at_least_float32(scores) * self.weights).sum(-1) + self.offset


def fit_fusion(
    scores: Tensor, labels: Tensor, prior: float = 0.5, iterations: int = 100
) -> FusionWeights:
    r"""Fit the weights of :class:`Fusion` by prior-weighted logistic regression.

    The objective is that of :func:`fit_affine_calibration`, so that the result is calibrated; for
    one system the two are the same. Systems that say the same share their weight.

    Args:
        scores: one column for each system, ``[T, K]``.
        labels: 1 for bona fide (target), 0 for spoof (non-target), shape ``[T]``.
        prior: probability of bona fide that the fit is weighted to.
        iterations: upper bound on the Newton steps.

    Returns:
        Weights and offset, as ``Fusion(*fit_fusion(...))`` takes them.

    Raises:
        ValueError: on NaN or infinite scores, one class only, a system whose scores are constant,
            or a prior outside (0, 1); naming trial and system.

    Reference:
        Brümmer et al., 2007; Brümmer, Doddington, "Likelihood-ratio calibration using
        prior-weighted proper scoring rules", arXiv 1307.7981.

    Example:
        >>> scores = torch.tensor([[0.2, 1.0], [0.4, 0.0], [0.5, 2.0], [0.3, 3.0], [0.9, 2.0]])
        >>> weights, offset = fit_fusion(scores, torch.tensor([0, 0, 0, 1, 1]))
        >>> [round(w, 2) for w in weights], round(offset, 2)
        ([1.28, 0.6], -1.64)
    """
    if scores.dim() != 2 or scores.shape[1] < 1:
        raise ValueError(f"scores: expected shape [T, K], got {list(scores.shape)}")
    for system, column in enumerate(scores.unbind(1)):
        try:
            check_trials(column, labels)
        except ValueError as error:
            where = f", system {system}" if "NaN" in str(error) else ""
            raise ValueError(f"{error}{where}") from None
        if bool((column == column[0]).all()):
            raise ValueError(
                f"scores: expected at least two different values, got constant scores in system "
                f"{system}"
            )
    if bool(torch.isinf(scores).any()):
        trial, system = torch.isinf(scores).nonzero()[0].tolist()
        raise ValueError(
            f"scores: expected finite numbers, got {scores[trial, system]} at trial {trial}, "
            f"system {system}"
        )
    check_prior(prior)
    slopes, offset = logistic_regression(scores.double(), labels, prior, iterations)
    return FusionWeights(tuple(slopes.tolist()), offset)


def sasv_score(asv_llr: Tensor, cm_llr: Tensor, spoof_prior: float = 0.5) -> Tensor:
    r"""Speaker evidence and spoof evidence → LLR of "this speaker, live" against all else.

    .. math::
        \mathrm{llr} = -\log\big((1 - \rho)\, e^{-\ell_{asv}} + \rho\, e^{-\ell_{cm}}\big)

    Against the target stand two alternatives, another speaker (prior :math:`\pi_{non}`) and a spoof
    (prior :math:`\pi_{spoof}`), so that with :math:`\rho = \pi_{spoof} / (\pi_{non} + \pi_{spoof})`

    .. math::
        \frac{p(x \mid tar)}{(1 - \rho)\, p(x \mid non) + \rho\, p(x \mid spoof)}
        = \Big[(1 - \rho) \frac{p(x \mid non)}{p(x \mid tar)}
             + \rho \frac{p(x \mid spoof)}{p(x \mid tar)}\Big]^{-1}

    The first ratio is :math:`e^{-\ell_{asv}}`. The second is :math:`e^{-\ell_{cm}}` if a spoof
    sounds to the speaker verification like its target, so that only the countermeasure tells them
    apart. The result is at most :math:`\ell_{asv} - \log(1 - \rho)` and
    :math:`\ell_{cm} - \log\rho`: neither evidence can outvote the other, as it can in a sum.

    Args:
        asv_llr: calibrated LLR, target against non-target, in nats.
        cm_llr: calibrated LLR, bona fide against spoof, in nats, of a shape that broadcasts.
        spoof_prior: ρ, the share of spoofs among what should be rejected.

    Returns:
        LLR in nats, of the broadcast shape.

    Raises:
        ValueError: if ``spoof_prior`` is not inside (0, 1).

    Reference:
        Wang et al., "Revisiting and Improving Scoring Fusion for Spoofing-aware Speaker
        Verification Using Compositional Data Analysis", arXiv 2406.10836.

    Example:
        >>> sasv_score(torch.tensor([5.0, 5.0, -5.0]), torch.tensor([5.0, -5.0, 5.0]))
        tensor([ 5.0000, -4.3069, -4.3069])
    """
    if not 0.0 < spoof_prior < 1.0:
        raise ValueError(f"spoof_prior: expected a probability inside (0, 1), got {spoof_prior}")
    asv = math.log(1.0 - spoof_prior) - at_least_float32(asv_llr)
    cm = math.log(spoof_prior) - at_least_float32(cm_llr)
    return -torch.logaddexp(asv, cm)


class SASVScore(nn.Module):
    r"""Raw speaker score and raw spoofing score → one LLR; see :func:`sasv_score`.

    .. math::
        \mathrm{llr} = -\log\big((1 - \rho)\, e^{-(a_1 s_{asv} + b_1)}
                                + \rho\, e^{-(a_2 s_{cm} + b_2)}\big)

    Args:
        asv_scale: a₁, of a calibration on targets and non-targets.
        asv_offset: b₁.
        cm_scale: a₂, of a calibration on bona fide speech and spoofs.
        cm_offset: b₂.
        spoof_prior: ρ, the share of spoofs among what should be rejected.

    Shape:
        - asv_score, cm_score: shapes that broadcast; result: the broadcast shape, in nats, higher =
          more this speaker, live.

    Raises:
        ValueError: if ``spoof_prior`` is not inside (0, 1).

    Reference:
        Wang et al., "Revisiting and Improving Scoring Fusion for Spoofing-aware Speaker
        Verification Using Compositional Data Analysis", arXiv 2406.10836.

    Example:
        >>> from scriptable import Calibration
        >>> asv, cm = Calibration(10.0, -4.0), Calibration(8.0, -2.0)
        >>> SASVScore(*asv, *cm, 0.5)(torch.tensor([0.9, 0.9]), torch.tensor([0.9, -0.1]))
        tensor([ 5.0950, -2.1073])
    """

    spoof_prior: Final[float]

    def __init__(
        self,
        asv_scale: float = 1.0,
        asv_offset: float = 0.0,
        cm_scale: float = 1.0,
        cm_offset: float = 0.0,
        spoof_prior: float = 0.5,
    ) -> None:
        super().__init__()
        check_number("asv_scale", asv_scale)
        check_number("asv_offset", asv_offset)
        check_number("cm_scale", cm_scale)
        check_number("cm_offset", cm_offset)
        check_prior(spoof_prior, "spoof_prior")
        self.asv = AffineCalibration(asv_scale, asv_offset)
        self.cm = AffineCalibration(cm_scale, cm_offset)
        self.spoof_prior = float(spoof_prior)

    def forward(self, asv_score: Tensor, cm_score: Tensor) -> Tensor:
        """Raw scores of shapes that broadcast → LLR."""
        return sasv_score(self.asv(asv_score), self.cm(cm_score), self.spoof_prior)
