"""Front ends on the mel scale: log-mel energies and MFCC, equal to torchaudio's."""

from typing import Optional, Union

import torch

from scriptable._core.checks import (
    check_size,
)
from scriptable.frontend._base import FrontEnd
from scriptable.frontend._filterbanks import cepstrum_log, cosine_transform, mel_filterbank
from scriptable.frontend._layers import (
    Log,
    WindowFunction,
    check_at_most,
)
from scriptable.frontend._spectrogram import Spectrogram


class LogMel(FrontEnd):
    r"""Log mel spectrogram, as ``log(torchaudio.transforms.MelSpectrogram(...) + log_floor)``.

    .. math::
        Y_{m,t} = \log\Big(\epsilon + \sum_k M_{km}\,
            \Big|\sum_n w_n\, x_{th+n}\, e^{-2\pi i k n / n_\text{fft}}\Big|^p\Big)

    The input is a waveform ``[B, N]`` in [-1, 1] at ``sample_rate``; the output has shape
    ``[B, F, T]`` with ``F = n_features = n_mels * (1 + deltas)`` and ``T = num_frames(N)``.
    Natural logarithm.

    Args:
        sample_rate: sample rate in Hz.
        n_fft: length of the Fourier transform in samples.
        win_length: length of the window in samples, centred in the frame; default ``n_fft``.
        hop_length: samples between frames, h; default ``win_length // 2``.
        f_min: lower edge of the lowest filter in Hz.
        f_max: upper edge of the highest filter in Hz; default half the sample rate.
        n_mels: number of filters.
        window_fn: makes the window w from its length.
        power: exponent p, 1 (magnitude) or 2 (power). In float32 a bin 1e-7 below a loud tone
            is rounding: a magnitude then exceeds the logarithm's floor and shows, a power does not.
        normalized: ``True`` or ``"window"`` divides by the window's L2 norm, ``"frame_length"``
            by ``sqrt(n_fft)``.
        center: whether frame t is centred at sample ``t * hop_length``, by padding both ends.
        pad_mode: ``"reflect"``, ``"constant"`` or ``"replicate"``.
        norm: ``"slaney"`` gives the filters unit area, ``None`` unit height.
        mel_scale: ``"htk"`` or ``"slaney"``.
        log_floor: the number added before the logarithm, :math:`\epsilon`.
        deltas: how many orders of slopes over five frames to append along F: 0, 1 or 2.

    Raises:
        ValueError: if the configuration is not as above, or if a waveform is not a
            floating-point ``[B, N]`` or is shorter than a frame (``center=False``: ``N < n_fft``)
            or than the reflected padding needs (``N <= n_fft // 2``).
        ImportError: if torchaudio cannot be imported.

    Reference:
        Davis and Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word
        Recognition", IEEE Trans. ASSP 28(4), 1980.

    Example:
        >>> frontend = LogMel(n_fft=512, win_length=400, hop_length=160, n_mels=40)
        >>> tone = torch.sin(torch.arange(16000) * (2 * torch.pi * 1000 / 16000))
        >>> features = frontend(tone.unsqueeze(0))
        >>> features.shape, frontend.n_features, frontend.num_frames(16000)
        (torch.Size([1, 40, 101]), 40, 101)
        >>> int(features[0, :, 50].argmax()), round(float(features[0, :, 50].max()), 2)
        (13, 9.3)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 400,
        win_length: Optional[int] = None,
        hop_length: Optional[int] = None,
        f_min: float = 0.0,
        f_max: Optional[float] = None,
        n_mels: int = 128,
        window_fn: WindowFunction = torch.hann_window,
        power: float = 2.0,
        normalized: Union[bool, str] = False,
        center: bool = True,
        pad_mode: str = "reflect",
        norm: Optional[str] = None,
        mel_scale: str = "htk",
        log_floor: float = 1e-6,
        deltas: int = 0,
    ) -> None:
        spectrogram = Spectrogram(
            n_fft, win_length, hop_length, window_fn, power, normalized, center, pad_mode
        )
        filterbank = mel_filterbank(
            sample_rate, spectrogram.n_bins, f_min, f_max, n_mels, norm, mel_scale
        )
        super().__init__(spectrogram, filterbank, Log(log_floor), None, deltas)


class MFCC(FrontEnd):
    r"""Mel-frequency cepstral coefficients, as ``torchaudio.transforms.MFCC``.

    .. math:: C_{c,t} = \sum_m D_{mc}\, L\Big(\sum_k M_{km}\, |X_{k,t}|^p\Big), \qquad
        L(e) = \max(\text{dB}(e), \text{dB}(e_{\max}) - 80) \;\text{ or }\; \log(e + 10^{-6}),
        \qquad \text{dB}(e) = 10 \log_{10} \max(e, 10^{-10})

    The input is a waveform ``[B, N]`` in [-1, 1] at ``sample_rate``; the output has shape
    ``[B, F, T]`` with ``F = n_features = n_mfcc * (1 + deltas)`` and ``T = num_frames(N)``.
    The logarithm L is in dB, or natural with ``log_mels``; :math:`e_{\max}` is the item's loudest
    energy.

    The 80 dB floor is taken below the maximum of each item, so an item's features do not depend
    on its batch. torchaudio, given ``[B, N]``, takes it below the maximum of the whole batch;
    given ``[B, 1, N]`` it agrees with this module.

    Args:
        sample_rate: sample rate in Hz.
        n_mfcc: number of coefficients, at most ``n_mels``.
        dct_type: type of the cosine transform D; 2.
        norm: ``"ortho"`` for an orthonormal D, or ``None``.
        log_mels: whether L is the natural logarithm rather than decibels.
        n_fft: length of the Fourier transform in samples.
        win_length: length of the window in samples, centred in the frame; default ``n_fft``.
        hop_length: samples between frames; default ``win_length // 2``.
        f_min: lower edge of the lowest filter in Hz.
        f_max: upper edge of the highest filter in Hz; default half the sample rate.
        n_mels: number of filters.
        window_fn: makes the window from its length.
        power: exponent p, 1 (magnitude) or 2 (power). In float32 a bin 1e-7 below a loud tone
            is rounding: a magnitude then exceeds the logarithm's floor and shows, a power does not.
        normalized: ``True`` or ``"window"`` divides by the window's L2 norm, ``"frame_length"``
            by ``sqrt(n_fft)``.
        center: whether frame t is centred at sample ``t * hop_length``, by padding both ends.
        pad_mode: ``"reflect"``, ``"constant"`` or ``"replicate"``.
        mel_norm: ``"slaney"`` gives the filters unit area, ``None`` unit height (``norm`` inside
            torchaudio's ``melkwargs``).
        mel_scale: ``"htk"`` or ``"slaney"``.
        deltas: how many orders of slopes over five frames to append along F: 0, 1 or 2.

    Raises:
        ValueError: if the configuration is not as above, or if a waveform is not a
            floating-point ``[B, N]`` or is shorter than a frame (``center=False``: ``N < n_fft``)
            or than the reflected padding needs (``N <= n_fft // 2``).
        ImportError: if torchaudio cannot be imported.

    Reference:
        Davis and Mermelstein, "Comparison of Parametric Representations for Monosyllabic Word
        Recognition", IEEE Trans. ASSP 28(4), 1980.

    Example:
        >>> frontend = MFCC(n_mfcc=13, n_fft=512, win_length=400, hop_length=160, n_mels=40)
        >>> tone = torch.sin(torch.arange(16000) * (2 * torch.pi * 1000 / 16000))
        >>> coefficients = frontend(tone.unsqueeze(0))
        >>> coefficients.shape
        torch.Size([1, 13, 101])
        >>> [round(value, 1) for value in coefficients[0, :3, 50].tolist()]
        [-191.7, 38.9, -43.6]
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mfcc: int = 40,
        dct_type: int = 2,
        norm: Optional[str] = "ortho",
        log_mels: bool = False,
        n_fft: int = 400,
        win_length: Optional[int] = None,
        hop_length: Optional[int] = None,
        f_min: float = 0.0,
        f_max: Optional[float] = None,
        n_mels: int = 128,
        window_fn: WindowFunction = torch.hann_window,
        power: float = 2.0,
        normalized: Union[bool, str] = False,
        center: bool = True,
        pad_mode: str = "reflect",
        mel_norm: Optional[str] = None,
        mel_scale: str = "htk",
        deltas: int = 0,
    ) -> None:
        spectrogram = Spectrogram(
            n_fft, win_length, hop_length, window_fn, power, normalized, center, pad_mode
        )
        check_size("n_mfcc", n_mfcc)
        check_size("n_mels", n_mels)
        check_at_most("n_mfcc", n_mfcc, "n_mels", n_mels)
        filterbank = mel_filterbank(
            sample_rate, spectrogram.n_bins, f_min, f_max, n_mels, mel_norm, mel_scale
        )
        dct = cosine_transform(n_mfcc, n_mels, dct_type, norm)
        super().__init__(spectrogram, filterbank, cepstrum_log("log_mels", log_mels), dct, deltas)
