"""Linear-frequency cepstra: torchaudio's, and those of the ASVspoof baselines."""

import math
from typing import Optional, Union

import torch
from torch import nn

from scriptable._core.checks import (
    check_kinds,
    check_size,
)
from scriptable.frontend._base import FrontEnd
from scriptable.frontend._filterbanks import (
    band,
    band_bins,
    cepstrum_log,
    cosine_transform,
    even_filterbank,
    torchaudio_functional,
)
from scriptable.frontend._layers import (
    Log,
    WindowFunction,
    check_at_most,
    check_member,
)
from scriptable.frontend._spectrogram import Spectrogram


class LFCC(FrontEnd):
    r"""Linear-frequency cepstral coefficients, as ``torchaudio.transforms.LFCC``.

    .. math:: C_{c,t} = \sum_m D_{mc}\, L\Big(\sum_k H_{km}\, |X_{k,t}|^p\Big), \qquad
        L(e) = \max(\text{dB}(e), \text{dB}(e_{\max}) - 80) \;\text{ or }\; \log(e + 10^{-6}),
        \qquad \text{dB}(e) = 10 \log_{10} \max(e, 10^{-10})

    The input is a waveform ``[B, N]`` in [-1, 1] at ``sample_rate``; the output has shape
    ``[B, F, T]`` with ``F = n_features = n_lfcc * (1 + deltas)`` and ``T = num_frames(N)``.
    The logarithm L is in dB, natural with ``log_lf=True``, or :math:`\log_{10}(e + 2^{-23})` with
    ``log_lf="log10"``; :math:`e_{\max}` is the item's loudest
    energy.

    The 80 dB floor is taken below the maximum of each item, so an item's features do not depend
    on its batch. torchaudio, given ``[B, N]``, takes it below the maximum of the whole batch;
    given ``[B, 1, N]`` it agrees with this module.

    Args:
        sample_rate: sample rate in Hz.
        n_filter: number of filters, spaced linearly.
        f_min: lower edge of the lowest filter in Hz.
        f_max: upper edge of the highest filter in Hz; default half the sample rate.
        n_lfcc: number of coefficients, at most ``n_fft``; those beyond ``n_filter`` mirror
            earlier ones.
        dct_type: type of the cosine transform D; 2.
        norm: ``"ortho"`` for an orthonormal D, or ``None``.
        log_lf: whether L is the natural logarithm rather than decibels; or ``"log10"``.
        n_fft: length of the Fourier transform in samples.
        win_length: length of the window in samples, centred in the frame; default ``n_fft``.
        hop_length: samples between frames; default ``win_length // 2``.
        window_fn: makes the window from its length.
        power: exponent p, 1 (magnitude) or 2 (power). In float32 a bin 1e-7 below a loud tone
            is rounding: a magnitude then exceeds the logarithm's floor and shows, a power does not.
        normalized: ``True`` or ``"window"`` divides by the window's L2 norm, ``"frame_length"``
            by ``sqrt(n_fft)``.
        center: whether frame t is centred at sample ``t * hop_length``, by padding both ends.
        pad_mode: ``"reflect"``, ``"constant"`` or ``"replicate"``.
        deltas: how many orders of slopes to append along F: 0, 1 or 2.
        deltas_form: ``"regression"`` over five frames, or ``"difference"``,
            :math:`x_{t+1} - x_{t-1}`.
        pre_emphasis: a of :math:`x_n - a x_{n-1}`, which the waveform goes through first; the first
            sample stays.
        log_energy: whether coefficient 0 is the logarithm L of the frame's energy between
            ``f_min`` and ``f_max``, divided by ``n_fft``; L must not be in dB.
        even_bins: whether the bins from ``f_min`` to ``f_max`` count as spread evenly over that
            band, its ends included, which moves them by up to half a bin.

    Raises:
        ValueError: if the configuration is not as above, or if a waveform is not a
            floating-point ``[B, N]`` or is shorter than a frame (``center=False``: ``N < n_fft``)
            or than the reflected padding needs (``N <= n_fft // 2``).
        ImportError: if torchaudio cannot be imported.

    Reference:
        Sahidullah, Kinnunen and Hanilçi, "A Comparison of Features for Synthetic Speech Detection",
        Interspeech 2015; :meth:`asvspoof2021`: Yamagishi et al., "ASVspoof 2021: accelerating
        progress in spoofed and deepfake speech detection", 2021, the LFCC-LCNN baseline.

    Example:
        >>> frontend = LFCC(n_filter=20, n_lfcc=20, n_fft=512, win_length=320, deltas=2)
        >>> tone = torch.sin(torch.arange(16000) * (2 * torch.pi * 1000 / 16000))
        >>> coefficients = frontend(tone.unsqueeze(0))
        >>> coefficients.shape
        torch.Size([1, 60, 101])
        >>> [round(value, 1) for value in coefficients[0, :3, 50].tolist()]
        [-133.3, 61.4, 49.7]
        >>> LFCC.asvspoof2021()(tone.unsqueeze(0)).shape
        torch.Size([1, 60, 101])
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_filter: int = 128,
        f_min: float = 0.0,
        f_max: Optional[float] = None,
        n_lfcc: int = 40,
        dct_type: int = 2,
        norm: Optional[str] = "ortho",
        log_lf: Union[bool, str] = False,
        n_fft: int = 400,
        win_length: Optional[int] = None,
        hop_length: Optional[int] = None,
        window_fn: WindowFunction = torch.hann_window,
        power: float = 2.0,
        normalized: Union[bool, str] = False,
        center: bool = True,
        pad_mode: str = "reflect",
        deltas: int = 0,
        deltas_form: str = "regression",
        pre_emphasis: float = 0.0,
        log_energy: bool = False,
        even_bins: bool = False,
    ) -> None:
        check_kinds(LFCC.__init__, locals())
        low, high = band(sample_rate, f_min, f_max)
        first, last = band_bins(n_fft // 2 + 1, sample_rate, low, high)
        spectrogram = Spectrogram(
            n_fft,
            win_length,
            hop_length,
            window_fn,
            power,
            normalized,
            center,
            pad_mode,
            pre_emphasis,
        )
        check_size("n_filter", n_filter)
        check_size("n_lfcc", n_lfcc)
        check_at_most("n_lfcc", n_lfcc, "n_fft", n_fft)
        check_member("log_lf", log_lf, (False, True, "log10"))
        if even_bins:
            filterbank = even_filterbank(spectrogram.n_bins, first, last, low, high, n_filter)
        else:
            filterbank = torchaudio_functional().linear_fbanks(
                spectrogram.n_bins, low, high, n_filter, sample_rate
            )
        dct = cosine_transform(n_lfcc, n_filter, dct_type, norm)
        if log_energy:
            if not log_lf:
                raise ValueError(
                    "log_energy: expected log_lf to be True or 'log10', got log_lf=False"
                )
            # One filter more, which the cosine transform leaves alone, in place of coefficient 0.
            whole = torch.zeros(spectrogram.n_bins, 1)
            whole[first:last] = 1.0 / n_fft
            filterbank = torch.cat([filterbank, whole], 1)
            dct = torch.cat([dct, torch.zeros(1, n_lfcc)])
            dct[:, 0] = 0.0
            dct[-1, 0] = 1.0
        log: nn.Module
        if isinstance(log_lf, str):
            log = Log(2.0**-23, 1.0 / math.log(10.0))
        else:
            log = cepstrum_log("log_lf", log_lf)
        super().__init__(spectrogram, filterbank, log, dct, deltas, deltas_form)

    @classmethod
    def asvspoof2021(cls) -> "LFCC":
        """The front end of the LFCC-LCNN baseline of ASVspoof 2021, for 16 kHz: 60 features.

        20 filters up to 4 kHz, log energy for coefficient 0, two orders of differences.
        """
        return cls(
            n_filter=20,
            f_max=4000.0,
            n_lfcc=20,
            log_lf="log10",
            n_fft=1024,
            win_length=320,
            hop_length=160,
            window_fn=torch.hamming_window,
            pad_mode="constant",
            deltas=2,
            deltas_form="difference",
            pre_emphasis=0.97,
            log_energy=True,
            even_bins=True,
        )
