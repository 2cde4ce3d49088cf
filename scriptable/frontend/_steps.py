"""Steps that only some front ends take: before the spectrogram, at the logarithm, after it."""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import check_kinds, check_not_negative, check_positive, check_rank


def over_time(x: Tensor) -> Tensor:
    """``[B, F, T]`` as ``[B, F, 1, T]``, by a view: XNNPACK leaves ``unsqueeze`` outside."""
    return x.view(x.size(0), x.size(1), 1, x.size(2))


def mean_over_time(x: Tensor) -> Tensor:
    """The mean over T of ``[B, F, 1, T]``, kept: the one shape of a mean that XNNPACK takes."""
    return x.mean([2, 3], keepdim=True)


class CepstralNorm(nn.Module):
    r"""Mean and, optionally, variance normalisation of each feature over the window.

    .. math::
        y_{ft} = x_{ft} - \mu_f \quad\text{or}\quad y_{ft} = \frac{x_{ft} - \mu_f}
            {\max(\sigma_f, \epsilon)}, \qquad \mu_f = \frac{1}{T} \sum_t x_{ft}, \quad
        \sigma_f^2 = \frac{1}{T} \sum_t (x_{ft} - \mu_f)^2

    The window is all that the module is given, so the features of a window do not depend on the
    audio around it.

    Args:
        std_norm: whether to divide by the standard deviation, too.
        epsilon: the least standard deviation that is divided by.

    Shape:
        - x: ``[B, F, T]``; result: the same.

    Raises:
        ValueError: if the features have another rank, or epsilon is not above zero.

    Reference:
        Furui, "Cepstral Analysis Technique for Automatic Speaker Verification", IEEE Trans. ASSP
        29(2), 1981. Without ``std_norm`` as ``subtract_mean`` of Kaldi; ``InputNormalization`` of
        SpeechBrain with ``norm_type="sentence"``.

    Example:
        >>> features = torch.tensor([[[1.0, 3.0], [5.0, 5.0]]])
        >>> CepstralNorm()(features)
        tensor([[[-1.,  1.],
                 [ 0.,  0.]]])
        >>> CepstralNorm(std_norm=True)(10 * features)
        tensor([[[-1.,  1.],
                 [ 0.,  0.]]])
    """

    std_norm: Final[bool]
    epsilon: Final[float]

    def __init__(self, std_norm: bool = False, epsilon: float = 1e-10) -> None:
        check_kinds(CepstralNorm.__init__, locals())
        super().__init__()
        check_positive("epsilon", epsilon)
        self.std_norm = std_norm
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        check_rank("x", x, "[B, F, T]", 3)
        y = over_time(x)
        y = y - mean_over_time(y)
        if self.std_norm:
            # Clamped before the root, whose slope at 0 is infinite.
            variance = mean_over_time(y * y).clamp(min=self.epsilon * self.epsilon)
            y = y / variance.sqrt()
        return y.flatten(1, 2)


class PreEmphasis(nn.Module):
    """``x[n] - a x[n - 1]``, the first sample as it is: ``[B, 1, N]``."""

    coefficient: Final[float]

    def __init__(self, coefficient: float) -> None:
        super().__init__()
        check_not_negative("preemph", coefficient)
        self.coefficient = coefficient

    def forward(self, x: Tensor) -> Tensor:
        """Emphasise."""
        n = x.size(2)
        rest = x.narrow(2, 1, n - 1) - self.coefficient * x.narrow(2, 0, n - 1)
        return torch.cat([x.narrow(2, 0, 1), rest], dim=2)


class LogAbove(nn.Module):
    """``log(max(x, floor))``."""

    floor: Final[float]

    def __init__(self, floor: float) -> None:
        super().__init__()
        check_positive("log floor", floor)
        self.floor = floor

    def forward(self, x: Tensor) -> Tensor:
        """Compress."""
        return torch.log(x.clamp(min=self.floor))


class Context(nn.Module):
    """Each feature with its neighbours in time beside it: ``[B, F * (left + 1 + right), T]``.

    Before the first and after the last frame stand zeros.
    """

    kernel: Tensor
    left: Final[int]
    right: Final[int]

    def __init__(self, n_features: int, left: int, right: int) -> None:
        super().__init__()
        check_not_negative("left_frames", left)
        check_not_negative("right_frames", right)
        self.left = left
        self.right = right
        taps = torch.eye(left + 1 + right).unsqueeze(1)
        self.register_buffer("kernel", taps.repeat(n_features, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Gather, as a convolution with one tap for each neighbour."""
        return F.conv1d(F.pad(x, [self.left, self.right]), self.kernel, groups=x.size(1))


class Magnitude(nn.Module):
    """The root of a power; its slope, infinite at 0, becomes 0 there, as that of ``abs``."""

    def forward(self, x: Tensor) -> Tensor:
        """Take the root."""
        return x.clamp(min=1e-36).sqrt()
