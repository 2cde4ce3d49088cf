"""What AASIST hears with: fixed sinc filters and residual blocks over frequency and time."""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.defaults import KeepsDefaults


def selu(x: Tensor) -> Tensor:
    """``selu``, written as a scaled ELU: mobile delegates know ELU, and drop the scale of selu."""
    return 1.0507009873554805 * F.elu(x, 1.6732632423543772)


def sinc_filters(n_filters: int, width: int, sample_rate: int) -> Tensor:
    """Band-pass filters ``[n_filters, 1, width]``, adjacent on the mel scale from 0 Hz up.

    A band between f and g is the difference of the two ideal low-pass responses,
    ``2 g sinc(2 g n) - 2 f sinc(2 f n)`` in cycles per sample, under a Hamming window. The sines
    are those of float32, which the published networks were trained with: what their arguments lose
    shows in the fourth decimal of the logits.
    """
    top = 2595.0 * math.log10(1.0 + sample_rate / 2 / 700.0)
    mel = torch.linspace(0.0, top, n_filters + 1, dtype=torch.float64)
    edges = (2.0 / sample_rate * 700.0 * (10.0 ** (mel / 2595.0) - 1.0)).float().unsqueeze(1)
    taps = torch.arange(width, dtype=torch.float32) - (width - 1) / 2
    low_pass = edges * torch.sinc(edges * taps)
    window = torch.hamming_window(width, periodic=False, dtype=torch.float32)
    return ((low_pass[1:] - low_pass[:-1]) * window).unsqueeze(1)


class SincConvolution(KeepsDefaults):
    """A fixed filterbank over the waveform: ``[B, N]`` to ``[B, n_filters, N - width + 1]``.

    The filters are computed once; published weights do not hold them.
    """

    filters: Tensor

    def __init__(self, n_filters: int, width: int, sample_rate: int) -> None:
        super().__init__()
        filters = sinc_filters(n_filters, width, sample_rate).to(torch.get_default_dtype())
        self.register_buffer("filters", filters)

    def forward(self, waveform: Tensor) -> Tensor:
        """Filter."""
        return F.conv1d(waveform.unsqueeze(1), self.filters)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut, then a third of the time: ``[B, C, F, T]``.

    ``bn1`` stands for what the published networks hold and were never run through: their first
    convolution takes the block's input as it comes.
    """

    widens: Final[bool]

    def __init__(self, inputs: int, outputs: int, first: bool) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, (2, 3), padding=(1, 1))
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, (2, 3), padding=(0, 1))
        self.widens = inputs != outputs
        if self.widens:
            self.conv_downsample = nn.Conv2d(inputs, outputs, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, F, T]`` → ``[B, outputs, F, T // 3]``."""
        y = self.conv2(selu(self.bn2(self.conv1(x))))
        if self.widens:
            x = self.conv_downsample(x)
        # The stride is spelt out because not every converter knows its default.
        return F.max_pool2d(y + x, kernel_size=[1, 3], stride=[1, 3])
