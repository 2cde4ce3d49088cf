"""Signal-to-noise ratios of separated sources, negative as losses; the layout has time first."""

from typing import Final

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_flag,
    check_not_negative,
    check_positive,
    check_shape,
)
from scriptable._core.numeric import at_least_float32, inverse_norm, unit


def signal(x: Tensor) -> Tensor:
    """Samples as float32 or wider; whole numbers are taken for amplitudes."""
    if x.is_floating_point():
        return at_least_float32(x)
    return x.to(torch.float32)


def centred(x: Tensor, dim: int) -> Tensor:
    """The signal without its mean along ``dim``."""
    return x - x.mean(dim, keepdim=True)


def _decibels(ratio: Tensor, eps: float) -> Tensor:
    """10 log10(ratio + eps)."""
    return 10.0 * torch.log10(ratio + eps)


def check_guard(eps: float, relative_eps: bool) -> None:
    """Raise unless the guard of the quotients is a number, and its kind a flag."""
    check_not_negative("eps", eps)
    check_flag("relative_eps", relative_eps)


def negative_si_snr(source: Tensor, estimate: Tensor, dim: int, eps: float) -> Tensor:
    """−SI-SNR along ``dim`` of centred signals that broadcast."""
    energy = source.square().sum(dim, keepdim=True)
    dot = (estimate * source).sum(dim, keepdim=True)
    # The order of the printed example: its 144.1789 is the rounding of this product.
    projection = dot * source / (energy + eps)
    noise = (estimate - projection).square().sum(dim)
    return -_decibels(projection.square().sum(dim) / (noise + eps), eps)


def negative_snr(
    source: Tensor, estimate: Tensor, dim: int, eps: float, relative_eps: bool
) -> Tensor:
    """−SNR along ``dim`` of centred signals that broadcast."""
    noise = estimate - source
    if relative_eps:
        scale = inverse_norm(source, dim)
        source, noise = source * scale, noise * scale
    return -_decibels(source.square().sum(dim) / (noise.square().sum(dim) + eps), eps)


def _check_pair(source: Tensor, estimate_source: Tensor) -> None:
    if source.dim() < 1:
        raise ValueError(f"source: expected shape [T, ...], got {list(source.shape)}")
    check_shape("estimate_source", estimate_source, list(source.shape))


def cal_si_snr(
    source: Tensor, estimate_source: Tensor, eps: float = 1e-8, relative_eps: bool = False
) -> Tensor:
    r"""Negative scale-invariant signal-to-noise ratio of each source.

    With centred signals,

    .. math:: \alpha = \frac{\langle \hat s, s\rangle}{\lVert s\rVert^2 + \epsilon}, \qquad
        \ell = -10 \log_{10}\left(\frac{\lVert \alpha s\rVert^2}
        {\lVert \hat s - \alpha s\rVert^2 + \epsilon} + \epsilon\right)

    A silent source or estimate gives :math:`-10\log_{10}\epsilon` (80 dB) and no gradient.

    Args:
        source: reference signals, shape ``[T, B, C]`` (or ``[T, ...]``).
        estimate_source: estimated signals, the same shape.
        eps: guards the quotients; absolute, so quiet signals (amplitudes near 1e-4) score lower
            than the same signals louder.
        relative_eps: bring both signals to unit energy first, so that no amplitude matters.

    Returns:
        The loss in dB, shape ``[1, B, C]``.

    Raises:
        ValueError: if the shapes differ.

    Reference:
        Le Roux et al., "SDR – half-baked or well done?", arXiv 1811.02508, the definition of the
        SI-SDR.

    Example:
        >>> x = torch.Tensor([[1, 0], [123, 45], [34, 5], [2312, 421]])
        >>> xhat = x[:, (1, 0)]
        >>> x = x.unsqueeze(-1).repeat(1, 1, 2)
        >>> xhat = xhat.unsqueeze(1).repeat(1, 2, 1)
        >>> print(-cal_si_snr(x, xhat))
        tensor([[[ 25.2142, 144.1789],
                 [130.9283,  25.2142]]])
    """
    check_guard(eps, relative_eps)
    _check_pair(source, estimate_source)
    reference = centred(signal(source), 0)
    estimate = centred(signal(estimate_source), 0)
    if relative_eps:
        reference, estimate = unit(reference, 0), unit(estimate, 0)
    return negative_si_snr(reference, estimate, 0, eps).unsqueeze(0)


def cal_snr(
    source: Tensor, estimate_source: Tensor, eps: float = 1e-8, relative_eps: bool = False
) -> Tensor:
    r"""Negative signal-to-noise ratio of each source and channel.

    With centred signals,

    .. math:: \ell = -10 \log_{10}\left(\frac{\lVert s\rVert^2}
        {\lVert \hat s - s\rVert^2 + \epsilon} + \epsilon\right)

    A silent source gives :math:`-10\log_{10}\epsilon` (80 dB) and no gradient.

    Args:
        source: reference signals, shape ``[T, E, B, C]`` (or ``[T, ...]``).
        estimate_source: estimated signals, the same shape.
        eps: guards the quotients; absolute, so quiet signals (amplitudes near 1e-4) score lower
            than the same signals louder.
        relative_eps: divide both signals by the norm of the source first, so that a common
            amplitude does not matter.

    Returns:
        The loss in dB, shape ``[1, E, B, C]``.

    Raises:
        ValueError: if the shapes differ.

    Reference:
        ``speechbrain.nnet.losses.cal_snr``; Le Roux et al., arXiv 1811.02508, the definition of the
        SNR.

    Example:
        >>> x = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1, 1)
        >>> print(cal_snr(x, 0.9 * x))
        tensor([[[[-20.0000]]]])
    """
    check_guard(eps, relative_eps)
    _check_pair(source, estimate_source)
    reference = centred(signal(source), 0)
    estimate = centred(signal(estimate_source), 0)
    return negative_snr(reference, estimate, 0, eps, relative_eps).unsqueeze(0)


def get_mask(source: Tensor, source_lengths: Tensor) -> Tensor:
    r"""Ones for the samples within the length of their source.

    .. math:: m_{tb} = [t < n_b]

    Args:
        source: signals, shape ``[T, B, C]`` (or ``[T, ..., B, C]``).
        source_lengths: samples of each item, integer, shape ``[B]``.

    Returns:
        The mask in the dtype of ``source``, shape ``[T, B, 1]`` (or ``[T, ..., B, 1]``).

    Raises:
        ValueError: on a wrong shape or dtype.

    Reference:
        ``speechbrain.nnet.losses.get_mask``.

    Example:
        >>> source = torch.randn(4, 3, 2)
        >>> source_lengths = torch.Tensor([2, 1, 4]).int()
        >>> mask = get_mask(source, source_lengths)
        >>> print(mask)
        tensor([[[1.],
                 [1.],
                 [1.]],
        <BLANKLINE>
                [[1.],
                 [0.],
                 [1.]],
        <BLANKLINE>
                [[0.],
                 [0.],
                 [1.]],
        <BLANKLINE>
                [[0.],
                 [0.],
                 [1.]]])
    """
    if source.dim() < 3:
        raise ValueError(f"source: expected shape [T, B, C], got {list(source.shape)}")
    check_shape("source_lengths", source_lengths, [source.shape[-2]])
    if source_lengths.is_floating_point() or source_lengths.dtype == torch.bool:
        raise ValueError(
            f"source_lengths: expected numbers of samples of an integer dtype, "
            f"got {source_lengths.dtype}"
        )
    samples = source.shape[0]
    # Whole numbers are exact: their difference, cut to [0, 1], is the comparison without a boolean.
    exact = torch.float32 if samples < (1 << 24) else torch.float64
    time = torch.arange(samples, dtype=exact, device=source.device)
    mask = (source_lengths.to(exact).unsqueeze(1) - time).clamp(0.0, 1.0).to(source.dtype).t()
    for _ in range(source.dim() - 3):
        mask = mask.unsqueeze(1)
    return mask.expand(source.shape[:-1]).unsqueeze(-1)


class FrozenEps(nn.Module):
    """The configuration that the modules of this family share."""

    eps: Final[float]
    relative_eps: Final[bool]

    def __init__(self, eps: float = 1e-8, relative_eps: bool = False) -> None:
        super().__init__()
        check_positive("eps", eps)
        check_flag("relative_eps", relative_eps)
        self.eps = float(eps)
        self.relative_eps = bool(relative_eps)


class SISNRLoss(FrozenEps):
    """:func:`cal_si_snr` with its configuration frozen.

    Args:
        eps: guards the quotients.
        relative_eps: bring both signals to unit energy first.

    Shape:
        - source, estimate_source: ``[T, B, C]`` (or ``[T, ...]``); loss: ``[1, B, C]``, in dB.

    Raises:
        ValueError: if the shapes differ, or ``eps`` is not above 0.

    Example:
        >>> x = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1)
        >>> noise = torch.tensor([0.1, 0.1, -0.1, -0.1]).reshape(4, 1, 1)
        >>> SISNRLoss()(x, x + noise)
        tensor([[[-20.0000]]])
    """

    def forward(self, source: Tensor, estimate_source: Tensor) -> Tensor:
        """Loss of each source, see :func:`cal_si_snr`."""
        return cal_si_snr(source, estimate_source, self.eps, self.relative_eps)


class SNRLoss(FrozenEps):
    """:func:`cal_snr` with its configuration frozen.

    Args:
        eps: guards the quotients.
        relative_eps: divide both signals by the norm of the source first.

    Shape:
        - source, estimate_source: ``[T, E, B, C]`` (or ``[T, ...]``).
        - loss: ``[1, E, B, C]``, in dB.

    Raises:
        ValueError: if the shapes differ, or ``eps`` is not above 0.

    Example:
        >>> x = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1, 1)
        >>> SNRLoss()(x, 0.9 * x)
        tensor([[[[-20.0000]]]])
    """

    def forward(self, source: Tensor, estimate_source: Tensor) -> Tensor:
        """Loss of each source, see :func:`cal_snr`."""
        return cal_snr(source, estimate_source, self.eps, self.relative_eps)
