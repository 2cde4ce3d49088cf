"""SI-SNR and SNR under the best assignment of sources."""

from typing import List

import torch
from torch import Tensor

from scriptable._core.checks import check_shape
from scriptable._core.numeric import unit
from scriptable.losses.separation._assignment import (
    best_permutation,
    inverse_permutation,
    sources_first,
    take_sources,
)
from scriptable.losses.separation.snr import (
    FrozenEps,
    centred,
    check_guard,
    negative_si_snr,
    negative_snr,
    signal,
)


def _each_source(
    source: Tensor, estimate: Tensor, eps: float, relative_eps: bool, scale_invariant: bool
) -> Tensor:
    """Mean loss of each source over its channels: ``[B, S, T, ...]`` → ``[B, S]``."""
    if scale_invariant:
        loss = negative_si_snr(source, estimate, 2, eps)
    else:
        loss = negative_snr(source, estimate, 2, eps, relative_eps)
    return loss.unsqueeze(2).flatten(2).mean(2)


def _pit(
    source: Tensor, estimate_source: Tensor, eps: float, relative_eps: bool, scale_invariant: bool
) -> Tensor:
    check_guard(eps, relative_eps)
    if source.dim() < 3:
        raise ValueError(f"source: expected shape [B, T, ..., C], got {list(source.shape)}")
    check_shape("estimate_source", estimate_source, list(source.shape))
    if source.shape[-1] > 16:
        raise ValueError(f"source: expected at most 16 sources, got {source.shape[-1]}")
    references = centred(sources_first(signal(source)), 2)
    estimates = centred(sources_first(signal(estimate_source)), 2)
    if relative_eps and scale_invariant:
        references, estimates = unit(references, 2), unit(estimates, 2)
    candidates, wanted = references.detach(), estimates.detach()
    costs: List[Tensor] = []
    for i in range(source.shape[-1]):
        one = wanted[:, i : i + 1]
        costs.append(_each_source(candidates, one, eps, relative_eps, scale_invariant))
    perms = best_permutation(torch.stack(costs, 1))
    matched = take_sources(estimates, inverse_permutation(perms))
    return _each_source(references, matched, eps, relative_eps, scale_invariant).mean(1)


def get_si_snr_with_pitwrapper(
    source: Tensor, estimate_source: Tensor, eps: float = 1e-8, relative_eps: bool = False
) -> Tensor:
    r"""Negative SI-SNR of each item under the best assignment of its sources.

    .. math:: \ell_b = \min_\pi \frac{1}{C} \sum_i
        -\text{SI-SNR}(s_{b\pi_i}, \hat s_{bi})

    Args:
        source: reference signals, shape ``[B, T, C]`` (or ``[B, T, ..., C]``).
        estimate_source: estimated signals, the same shape.
        eps: guards the quotients, see :func:`cal_si_snr`.
        relative_eps: bring both signals to unit energy first.

    Returns:
        The loss in dB, shape ``[B]``.

    Raises:
        ValueError: on mismatched shapes or more than 16 sources.

    Reference:
        Kolbæk et al., arXiv 1703.06284; Le Roux et al., arXiv 1811.02508, the definition of the
        SI-SDR.

    Example:
        >>> x = torch.arange(600).reshape(3, 100, 2)
        >>> xhat = x[:, :, (1, 0)]
        >>> si_snr = -get_si_snr_with_pitwrapper(x, xhat)
        >>> print(si_snr)
        tensor([135.2284, 135.2284, 135.2284])
    """
    return _pit(source, estimate_source, eps, relative_eps, True)


def get_snr_with_pitwrapper(
    source: Tensor, estimate_source: Tensor, eps: float = 1e-8, relative_eps: bool = False
) -> Tensor:
    r"""Negative SNR of each item under the best assignment of its sources.

    .. math:: \ell_b = \min_\pi \frac{1}{C E} \sum_{i, e}
        -\text{SNR}(s_{be\pi_i}, \hat s_{bei})

    Args:
        source: reference signals, shape ``[B, T, E, C]`` (or ``[B, T, ..., C]``).
        estimate_source: estimated signals, the same shape.
        eps: guards the quotients, see :func:`cal_snr`.
        relative_eps: divide both signals by the norm of the source first.

    Returns:
        The loss in dB, shape ``[B]``.

    Raises:
        ValueError: on mismatched shapes or more than 16 sources.

    Reference:
        Kolbæk et al., arXiv 1703.06284; ``speechbrain.nnet.losses.cal_snr``.

    Example:
        >>> left, right = torch.tensor([1.0, -1.0, 1.0, -1.0]), torch.tensor([2.0, 2.0, 0.0, 0.0])
        >>> x = torch.stack([left, right], 1).reshape(1, 4, 1, 2)
        >>> get_snr_with_pitwrapper(x, 0.9 * x[..., (1, 0)])
        tensor([-20.0000])
    """
    return _pit(source, estimate_source, eps, relative_eps, False)


class PITSISNRLoss(FrozenEps):
    """:func:`get_si_snr_with_pitwrapper` with its configuration frozen.

    Args:
        eps: guards the quotients.
        relative_eps: bring both signals to unit energy first.

    Shape:
        - source, estimate_source: ``[B, T, C]`` (or ``[B, T, ..., C]``); loss: ``[B]``, in dB.

    Raises:
        ValueError: on mismatched shapes, more than 16 sources, or an ``eps`` not above 0.

    Example:
        >>> x = torch.arange(200.0).reshape(1, 100, 2)
        >>> PITSISNRLoss()(x, x[:, :, (1, 0)])
        tensor([-135.2284])
    """

    def forward(self, source: Tensor, estimate_source: Tensor) -> Tensor:
        """Loss of each item, see :func:`get_si_snr_with_pitwrapper`."""
        return get_si_snr_with_pitwrapper(source, estimate_source, self.eps, self.relative_eps)


class PITSNRLoss(FrozenEps):
    """:func:`get_snr_with_pitwrapper` with its configuration frozen.

    Args:
        eps: guards the quotients.
        relative_eps: divide both signals by the norm of the source first.

    Shape:
        - source, estimate_source: ``[B, T, E, C]`` (or ``[B, T, ..., C]``); loss: ``[B]``, in dB.

    Raises:
        ValueError: on mismatched shapes, more than 16 sources, or an ``eps`` not above 0.

    Example:
        >>> x = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(1, 4, 1, 1)
        >>> PITSNRLoss()(x, 0.9 * x)
        tensor([-20.0000])
    """

    def forward(self, source: Tensor, estimate_source: Tensor) -> Tensor:
        """Loss of each item, see :func:`get_snr_with_pitwrapper`."""
        return get_snr_with_pitwrapper(source, estimate_source, self.eps, self.relative_eps)
