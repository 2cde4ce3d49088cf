"""NeMo's mel spectrogram."""

import math
from collections.abc import Callable
from typing import Final, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import check_choice, check_kinds, check_not_negative
from scriptable.frontend._base import FrontEnd
from scriptable.frontend._filterbanks import mel_filterbank
from scriptable.frontend._layers import Log, check_member
from scriptable.frontend._spectrogram import Spectrogram
from scriptable.frontend._steps import LogAbove, PreEmphasis, mean_over_time, over_time

_WINDOWS: dict[str, Callable[..., Tensor]] = {
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "bartlett": torch.bartlett_window,
    "none": lambda length, periodic: torch.ones(length),
}
_EPSILON = 1e-5


class ValidFrames(nn.Module):
    """Normalise the frames that count, over time or over all of them; zero is what follows them."""

    kind: Final[str]
    dropped: Final[int]
    pad_to: Final[int]
    value: Final[float]
    epsilon: Final[float]

    def __init__(self, kind: str, dropped: int, pad_to: int, value: float) -> None:
        super().__init__()
        check_choice("normalize", kind, ["per_feature", "all_features", "NA"])
        check_not_negative("pad_to", pad_to)
        self.kind = kind
        self.dropped = dropped
        self.pad_to = pad_to
        self.value = value
        self.epsilon = _EPSILON

    def normalise(self, x: Tensor) -> Tensor:
        """``(x - mean) / (std + 1e-5)``, the variance unbiased."""
        count = x.size(2)
        if self.kind == "all_features":
            count = count * x.size(1)
        y = over_time(x)
        y = y - self.mean(y)
        variance = self.mean(y * y) * (float(count) / max(count - 1, 1))
        # The slope of sqrt at 0 is infinite; a variance this small is lost in the epsilon.
        y = y / (variance.clamp(min=1e-20).sqrt() + self.epsilon)
        return y.flatten(1, 2)

    def mean(self, x: Tensor) -> Tensor:
        """The mean that is meant, of ``[B, F, 1, T]``; over time alone XNNPACK takes it."""
        if self.kind == "all_features":
            return x.mean([1, 2, 3], keepdim=True)
        return mean_over_time(x)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, F, T]`` to ``[B, F, T rounded up]``."""
        frames = x.size(2)
        y = x.narrow(2, 0, frames - self.dropped)
        if self.kind != "NA":
            y = self.normalise(y)
        missing = self.dropped
        if self.pad_to > 0:
            missing += (self.pad_to - frames % self.pad_to) % self.pad_to
        return F.pad(y, [0, missing], value=self.value) if missing > 0 else y


class AudioToMelSpectrogramPreprocessor(FrontEnd):
    r"""Normalised log mel spectrogram, as NeMo's class of the same name.

    .. math::
        Y_{m,t} = \frac{L_{m,t} - \mu_m}{\sigma_m + 10^{-5}}, \qquad
        L_{m,t} = \log\Big(2^{-24} + \sum_k M_{km}\, |X_{k,t}|^2\Big)

    The spectrum X is of the waveform after pre-emphasis, ``x[n] - a x[n-1]``, in frames centred at
    ``t * hop``; M are Slaney's filters. Mean and (unbiased) deviation are over the ``N // hop``
    frames that count; the frame after them, and those that fill up to a multiple of ``pad_to``, are
    ``pad_value``. The input is a waveform ``[B, N]`` in [-1, 1] at ``sample_rate``; the output has
    shape ``[B, F, T]`` with ``F = n_features = features`` and ``T = num_frames(N)``.

    The arguments are those of NeMo's configurations. NeMo adds noise (``dither``) in training
    alone, this module never does.

    Args:
        sample_rate: sample rate in Hz.
        window_size: length of the window in seconds.
        window_stride: time between frames in seconds.
        n_window_size: length of the window in samples, in place of ``window_size``.
        n_window_stride: samples between frames, in place of ``window_stride``.
        window: ``"hann"``, ``"hamming"``, ``"blackman"``, ``"bartlett"`` (all symmetric) or
            ``"none"``.
        normalize: ``"per_feature"``, ``"all_features"``, or ``"NA"`` for neither.
        n_fft: length of the Fourier transform; default the next power of two.
        preemph: a; 0 or ``None`` for none.
        features: number of filters.
        lowfreq: lower edge of the lowest filter in Hz.
        highfreq: upper edge of the highest filter in Hz; default half the sample rate.
        log: whether to take the logarithm.
        log_zero_guard_type: ``"add"`` or ``"clamp"``: what keeps the logarithm from zero.
        log_zero_guard_value: the number that is added, or the least one.
        dither: not used, see above.
        pad_to: the number of frames is filled up to a multiple of this; 0 for none.
        frame_splicing: 1.
        pad_value: what frames that do not count hold.
        mag_power: 2 (power) or 1 (magnitude).
        mel_norm: ``"slaney"`` gives the filters unit area, ``None`` unit height.
        pad_mode: ``"constant"``; older releases of NeMo mirror the ends, ``"reflect"``.
        count_last: whether the last frame counts, too, as in older releases.

    Raises:
        ValueError: if the configuration is not as above, or if a waveform is not a floating-point
            ``[B, N]`` or has no frame that counts.
        ImportError: if torchaudio cannot be imported.

    Reference:
        Kuchaiev et al., "NeMo: a toolkit for building AI applications using Neural Modules", arXiv
        1909.09577; its ``FilterbankFeatures``.

    Example:
        >>> frontend = AudioToMelSpectrogramPreprocessor(window_size=0.025, features=80)
        >>> features = frontend(0.1 * torch.randn(1, 16000))
        >>> features.shape, frontend.num_frames(16000)
        (torch.Size([1, 80, 112]), 112)
        >>> round(float(features[0, 3, :100].std()), 3), float(features[0, :, 100:].abs().max())
        (1.0, 0.0)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        window_size: float = 0.02,
        window_stride: float = 0.01,
        n_window_size: Optional[int] = None,
        n_window_stride: Optional[int] = None,
        window: str = "hann",
        normalize: str = "per_feature",
        n_fft: Optional[int] = None,
        preemph: Optional[float] = 0.97,
        features: int = 64,
        lowfreq: float = 0.0,
        highfreq: Optional[float] = None,
        log: bool = True,
        log_zero_guard_type: str = "add",
        log_zero_guard_value: float = 2**-24,
        dither: float = 1e-5,
        pad_to: int = 16,
        frame_splicing: int = 1,
        pad_value: float = 0.0,
        mag_power: float = 2.0,
        mel_norm: Optional[str] = "slaney",
        pad_mode: str = "constant",
        count_last: bool = False,
    ) -> None:
        check_kinds(AudioToMelSpectrogramPreprocessor.__init__, locals())
        check_member("frame_splicing", frame_splicing, (1,))
        check_choice("window", window, list(_WINDOWS))
        check_choice("log_zero_guard_type", log_zero_guard_type, ["add", "clamp"])
        width = int(window_size * sample_rate) if n_window_size is None else n_window_size
        hop = int(window_stride * sample_rate) if n_window_stride is None else n_window_stride
        size = 1 << math.ceil(math.log2(max(width, 1))) if n_fft is None else n_fft
        spectrogram = Spectrogram(
            size,
            width,
            hop,
            lambda length: _WINDOWS[window](length, periodic=False),
            mag_power,
            False,
            True,
            pad_mode,
        )
        filters = mel_filterbank(
            sample_rate, spectrogram.n_bins, lowfreq, highfreq, features, mel_norm, "slaney"
        )
        compress: nn.Module = nn.Identity()
        if log:
            guard = Log if log_zero_guard_type == "add" else LogAbove
            compress = guard(log_zero_guard_value)
        least = 1 if count_last else hop
        super().__init__(spectrogram, filters, compress, None, 0, min_samples=least)
        self.emphasis: nn.Module = PreEmphasis(preemph) if preemph else nn.Identity()
        self.valid = ValidFrames(normalize, 0 if count_last else 1, pad_to, pad_value)

    def num_frames(self, num_samples: int) -> int:
        """The number of frames T of a waveform of ``num_samples`` samples, with the padding."""
        frames = self.spectrogram.num_frames(num_samples)
        step = max(self.valid.pad_to, 1)
        return -(-frames // step) * step

    def _features(self, waveform: Tensor) -> Tensor:
        x = self.emphasis(waveform.to(self.spectrogram.kernel.dtype).unsqueeze(1))
        y: Tensor = self.valid(self._static(self.spectrogram(x)))
        return y
