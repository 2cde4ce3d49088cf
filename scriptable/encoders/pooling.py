"""Pooling over time."""

import math
from typing import Final, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_not_negative, check_rank, check_size

_GRID = 2**17


class AttentiveStatisticsPooling(nn.Module):
    r"""Weighted mean and standard deviation over time, the weights learnt per channel.

    .. math::
        \alpha_{ct} &= \mathrm{softmax}_t(e_{ct}), \quad e = V \tanh(W x + g) + k \\
        \mu_c &= \sum_t \alpha_{ct} x_{ct}, \qquad
        \sigma_c = \sqrt{\max(\textstyle\sum_t \alpha_{ct} (x_{ct} - \mu_c)^2, \epsilon)}

    Args:
        channels: number of channels C.
        bottleneck: width of the attention's hidden layer.

    Shape:
        - x: ``[B, C, T]``; result: ``[B, 2C]``, means then standard deviations.

    Reference:
        Okabe et al., "Attentive Statistics Pooling for Deep Speaker Embedding", arXiv 1803.10963.

    Example:
        >>> AttentiveStatisticsPooling(channels=4)(torch.randn(2, 4, 9)).shape
        torch.Size([2, 8])
    """

    def __init__(self, channels: int, bottleneck: int = 32) -> None:
        super().__init__()
        check_size("channels", channels)
        check_size("bottleneck", bottleneck)
        self.hidden = nn.Conv1d(channels, bottleneck, 1)
        self.attention = nn.Conv1d(bottleneck, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` → ``[B, 2C]``."""
        check_rank("x", x, "[B, C, T]", 3)
        weights = torch.softmax(self.attention(torch.tanh(self.hidden(x))), dim=2)
        mean = (weights * x).sum(2)
        variance = (weights * (x - mean.unsqueeze(2)).square()).sum(2)
        return torch.cat([mean, variance.clamp(min=1e-5).sqrt()], dim=1)


class RunningStatisticsPooling(AttentiveStatisticsPooling):
    r"""The statistics of :class:`AttentiveStatisticsPooling` over all frames heard so far.

    A part of a recording is pooled by itself, and its statistics are merged with those of what came
    before: weights by their sum at a common reference R of the exponent, mean and sum of squared
    deviations by Chan's formula. With A and W the weights of what came before and of the part,

    .. math::
        \mu &= \mu_A + \frac{W}{A + W} (\mu_W - \mu_A), \qquad
        M = M_A + M_W + \frac{A W}{A + W} (\mu_W - \mu_A)^2, \qquad
        \sigma = \sqrt{\max(M / (A + W), \epsilon)}

    With a half-life h the weight of a frame halves every h frames, so that a change is heard after
    any time: :math:`e_{ct}` sinks by :math:`\log 2 / h` with every frame.

    The state holds, channel by channel, R + 100, A, μ and M; all zeros is a stream that has not
    begun, and R is then −100: a number, where −∞ would make NaN.

    Args:
        channels: number of channels C.
        bottleneck: width of the attention's hidden layer.
        half_life: frames h after which a frame counts half; 0: all count alike for ever.

    Shape:
        - x: ``[B, C, T]``; result: ``[B, 2C]``, means then standard deviations.
        - ``step``: x ``[B, C, T]``, known ``[B, T]``, 1 for a frame and 0 for what is to be left
          out, state ``[B, 4C]`` → result ``[B, 2C]``, state ``[B, 4C]``.

    Raises:
        ValueError: if a size is below 1, or the half-life below 0.

    Reference:
        Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
        Variances", 1979, eq. 2.1; Milakov and Gimelshein, "Online normalizer calculation for
        softmax", arXiv 1805.02867, algorithm 3.

    Example:
        >>> pooling = RunningStatisticsPooling(channels=4).eval()
        >>> x = torch.randn(2, 4, 9)
        >>> known, state = torch.ones(2, 9), torch.zeros(2, pooling.state_size)
        >>> _, state = pooling.step(x[:, :, :5], known[:, :5], state)
        >>> running, state = pooling.step(x[:, :, 5:], known[:, 5:], state)
        >>> torch.allclose(running, pooling(x), atol=1e-6)
        True
    """

    channels: Final[int]
    state_size: Final[int]
    forgetting: Final[float]

    def __init__(self, channels: int, bottleneck: int = 32, half_life: float = 0.0) -> None:
        super().__init__(channels, bottleneck)
        check_not_negative("half_life", half_life)
        self.channels = channels
        self.state_size = 4 * channels
        # On the grid of float32 beside 100, so that the reference sinks without being rounded.
        per_frame = math.log(2.0) / half_life if half_life > 0 else 0.0
        self.forgetting = round(per_frame * _GRID) / _GRID

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, T]`` → ``[B, 2C]``."""
        check_rank("x", x, "[B, C, T]", 3)
        known = torch.ones(x.size(0), x.size(2), dtype=x.dtype, device=x.device)
        empty = torch.zeros(x.size(0), self.state_size, dtype=x.dtype, device=x.device)
        return self.step(x, known, empty)[0]

    def step(self, x: Tensor, known: Tensor, state: Tensor) -> Tuple[Tensor, Tensor]:
        """The statistics with some frames more, ``[B, 2C]``, and the new state ``[B, 4C]``."""
        energies = self.attention(torch.tanh(self.hidden(x)))
        frames, known = x.size(2), known.unsqueeze(1)
        reference, before, mean, squares = [
            state.narrow(1, i * self.channels, self.channels).unsqueeze(2) for i in range(4)
        ]
        if self.forgetting > 0.0:
            ages = torch.arange(1 - frames, 1, dtype=x.dtype, device=x.device)
            energies = energies + self.forgetting * ages
            reference = reference - self.forgetting * frames
        highest = ((energies + 100.0) * known).amax(2, keepdim=True)
        highest = torch.maximum(highest, reference)
        # Masked before, too: far below the reference of a stream that has not begun is no number.
        weights = torch.exp((energies - (highest - 100.0)) * known) * known
        kept = torch.exp(reference - highest)
        before, squares = before * kept, squares * kept

        weight = weights.sum(2, keepdim=True)
        part = (weights * x).sum(2, keepdim=True) / weight.clamp(min=1e-30)
        spread = (weights * (x - part).square()).sum(2, keepdim=True)
        total = before + weight
        share = weight / total.clamp(min=1e-30)
        change = part - mean
        mean = mean + change * share
        squares = squares + spread + change.square() * before * share
        variance = squares / total.clamp(min=1e-30)
        pooled = torch.cat([mean, variance.clamp(min=1e-5).sqrt()], dim=1)
        return pooled.flatten(1), torch.cat([highest, total, mean, squares], dim=1).flatten(1)
