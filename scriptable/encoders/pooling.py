"""Pooling over time."""

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_rank, check_size


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
