"""SpeechBrain's filterbank."""

from typing import Optional

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_choice, check_kinds, check_positive
from scriptable.frontend._base import FrontEnd
from scriptable.frontend._filterbanks import CEPSTRUM_POWER_FLOOR, CEPSTRUM_TOP_DB, band
from scriptable.frontend._layers import Decibel
from scriptable.frontend._spectrogram import Spectrogram
from scriptable.frontend._steps import CepstralNorm, Context


def mel_filters(
    sample_rate: int, n_bins: int, low: float, high: float, n_mels: int, shape: str
) -> Tensor:
    """Filters ``[n_bins, n_mels]``, symmetric about their centres, as wide as their lower half."""
    check_positive("n_mels", n_mels)
    check_choice("filter_shape", shape, ["triangular", "rectangular", "gaussian"])
    hertz = torch.tensor([low, high], dtype=torch.float64)
    low_mel, high_mel = (2595.0 * torch.log10(1.0 + hertz / 700.0)).tolist()
    mel = torch.linspace(low_mel, high_mel, n_mels + 2, dtype=torch.float64)
    edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    width = edges[1:-1] - edges[:-2]
    bins = torch.linspace(0.0, sample_rate // 2, n_bins, dtype=torch.float64).unsqueeze(1)
    away = (bins - edges[1:-1]).abs() / width
    if shape == "triangular":
        filters = (1.0 - away).clamp(min=0.0)
    elif shape == "rectangular":
        filters = (away <= 1.0).double()
    else:
        filters = torch.exp(-0.5 * (2.0 * away).square())
    return filters.to(torch.get_default_dtype())


class Fbank(FrontEnd):
    r"""Log mel filterbank in decibels, as ``speechbrain.lobes.features.Fbank``.

    .. math::
        Y_{m,t} = \max\big(L_{m,t}, \; \max_{m,t} L_{m,t} - 80\big), \qquad
        L_{m,t} = 10 \log_{10} \max\Big(\sum_k M_{km}\, |X_{k,t}|^2, \; 10^{-10}\Big)

    The spectrum X is of frames under a periodic Hamming window, centred between zeros. A filter is
    symmetric about its centre; its slopes are both those of the lower side. The input is a waveform
    ``[B, N]`` in [-1, 1] at ``sample_rate``; the output has shape ``[B, F, T]`` (SpeechBrain's is
    ``[B, T, F]``) with ``F = n_features`` and ``T = num_frames(N)``.

    Args:
        deltas: whether to append slopes over five frames, and theirs.
        context: whether to put neighbouring frames beside each frame, zeros beyond the ends.
        sample_rate: sample rate in Hz.
        f_min: lower edge of the lowest filter in Hz.
        f_max: upper edge of the highest filter in Hz; default half the sample rate.
        n_fft: length of the Fourier transform in samples.
        n_mels: number of filters.
        filter_shape: ``"triangular"``, ``"rectangular"`` or ``"gaussian"``.
        left_frames: number of earlier frames in the context.
        right_frames: number of later frames in the context.
        win_length: length of the window in milliseconds.
        hop_length: time between frames in milliseconds.
        mean_norm: whether to subtract the mean of each feature over the window, as SpeechBrain's
            ``InputNormalization(norm_type="sentence", std_norm=False)`` after it.
        std_norm: whether to divide by the standard deviation, too, as with ``std_norm=True``.

    Raises:
        ValueError: if the configuration is not as above, or if a waveform is not a
            floating-point ``[B, N]``.

    Reference:
        Ravanelli et al., "SpeechBrain: A General-Purpose Speech Toolkit", arXiv 2106.04624.

    Example:
        >>> frontend = Fbank(n_mels=80, mean_norm=True)
        >>> tone = torch.sin(torch.arange(16000) * (2 * torch.pi * 1000 / 16000))
        >>> features = frontend(tone.unsqueeze(0))
        >>> features.shape, frontend.num_frames(16000)
        (torch.Size([1, 80, 101]), 101)
        >>> round(float(Fbank()(tone.unsqueeze(0)).max()), 1)
        39.4
    """

    def __init__(
        self,
        deltas: bool = False,
        context: bool = False,
        sample_rate: int = 16000,
        f_min: float = 0.0,
        f_max: Optional[float] = None,
        n_fft: int = 400,
        n_mels: int = 40,
        filter_shape: str = "triangular",
        left_frames: int = 5,
        right_frames: int = 5,
        win_length: float = 25.0,
        hop_length: float = 10.0,
        mean_norm: bool = False,
        std_norm: bool = False,
    ) -> None:
        check_kinds(Fbank.__init__, locals())
        low, high = band(sample_rate, f_min, f_max)
        spectrogram = Spectrogram(
            n_fft,
            round(sample_rate / 1000 * win_length),
            round(sample_rate / 1000 * hop_length),
            torch.hamming_window,
            2.0,
            False,
            True,
            "constant",
        )
        filters = mel_filters(sample_rate, spectrogram.n_bins, low, high, n_mels, filter_shape)
        log = Decibel(CEPSTRUM_POWER_FLOOR, CEPSTRUM_TOP_DB)
        orders = 2 if deltas else 0
        bare = n_mels * (1 + orders)
        beside = bare * (left_frames + right_frames) if context else 0
        super().__init__(spectrogram, filters, log, None, orders, extra=beside)
        self.context: nn.Module = nn.Identity()
        if context:
            self.context = Context(bare, left_frames, right_frames)
        self.norm: nn.Module = nn.Identity()
        if mean_norm or std_norm:
            self.norm = CepstralNorm(std_norm)

    def _features(self, waveform: Tensor) -> Tensor:
        energy = self.spectrogram(waveform.to(self.spectrogram.kernel.dtype).unsqueeze(1))
        y = self.deltas(self._static(energy))
        normalised: Tensor = self.norm(self.context(y))
        return normalised
