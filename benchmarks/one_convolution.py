"""A front end of ours with its transform as one convolution: what two stages are held against."""

import math
from typing import Any

import torch
from torch import Tensor, nn


def _kernel(window: Tensor, n_fft: int) -> Tensor:
    """Windowed cosines, then sines."""
    turns = torch.outer(torch.arange(n_fft // 2 + 1), torch.arange(len(window))) % n_fft
    angles = turns.double() * (2.0 * math.pi / n_fft)
    return (torch.cat([angles.cos(), angles.sin()]) * window).float().unsqueeze(1)


class OneConvolution(nn.Module):
    """Cosines and sines as convolution weights, filters and cosine transform as 1×1 ones.

    So were our front ends before two stages; configuration, filters and logarithm are those of the
    given one, which has to be centred, in powers, and reflected at its ends.
    """

    kernel: Tensor
    filters: Tensor

    def __init__(self, frontend: Any) -> None:
        super().__init__()
        spectrogram = frontend.spectrogram
        self.n_bins = spectrogram.n_bins
        self.hop = spectrogram.hop_length
        idle = spectrogram.n_fft - spectrogram.window.shape[0]
        self.before = spectrogram.n_fft // 2 - idle // 2
        self.after = spectrogram.n_fft // 2 - (idle - idle // 2)
        self.register_buffer("kernel", _kernel(spectrogram.window, spectrogram.n_fft))
        # The bin of each place; the first and the last share one.
        bins = torch.eye(self.n_bins)
        bins[-1] = bins[0]
        filters = frontend.filterbank.weight @ spectrogram.arranged(bins)
        filters[:, -1] = filters[:, 0]
        self.register_buffer("filters", filters.unsqueeze(2))
        self.log = frontend.log
        self.dct: nn.Module = nn.Identity()
        if not isinstance(frontend.dct, nn.Identity):
            weight = frontend.dct.weight
            self.dct = nn.Conv1d(weight.shape[1], weight.shape[0], 1, bias=False)
            self.dct.weight = nn.Parameter(weight.unsqueeze(2).clone(), requires_grad=False)
        self.deltas = frontend.deltas

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``[B, F, T]`` of a waveform ``[B, N]``."""
        x = nn.functional.pad(waveform.unsqueeze(1), [self.before, self.after], mode="reflect")
        y = nn.functional.conv1d(x, self.kernel, stride=self.hop)
        y = y * y
        energy = y[:, : self.n_bins] + y[:, self.n_bins :]
        mel = nn.functional.conv1d(energy, self.filters)
        features: Tensor = self.deltas(self.dct(self.log(mel)))
        return features
