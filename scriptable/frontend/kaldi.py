"""Kaldi's filterbank and cepstrum."""

import math
from types import ModuleType
from typing import Final, Optional

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_kinds, check_not_negative, check_positive
from scriptable.frontend._base import FrontEnd
from scriptable.frontend._filterbanks import cosine_transform, torchaudio_functional
from scriptable.frontend._kaldi_frames import EPSILON, KaldiFrames
from scriptable.frontend._layers import check_at_most
from scriptable.frontend._steps import CepstralNorm, LogAbove, Magnitude


def torchaudio_kaldi() -> ModuleType:
    """Import torchaudio's ``compliance.kaldi``, or raise an error that says what to install."""
    torchaudio_functional()
    from torchaudio.compliance import kaldi

    return kaldi


def check_no_dither(dither: float) -> None:
    """Raise if noise is asked for."""
    if dither != 0.0:
        raise ValueError(f"dither: expected 0, because a score must not be random, got {dither}")


def mel_banks(
    count: int,
    n_fft: int,
    sample_frequency: float,
    band: tuple[float, float],
    warp: tuple[float, float, float],
) -> Tensor:
    """Kaldi's triangles ``[n_fft // 2 + 1, count]``; none takes the highest bin."""
    if count < 4:
        raise ValueError(f"num_mel_bins: expected 4 or more, got {count}")
    low, high = band
    nyquist = sample_frequency / 2
    top = high + nyquist if high <= 0.0 else high
    if not 0.0 <= low < top <= nyquist:
        raise ValueError(
            f"low_freq: expected 0 <= low_freq < high_freq <= {nyquist}, got {low} and {top}"
        )
    try:
        banks, _ = torchaudio_kaldi().get_mel_banks(
            count, n_fft, sample_frequency, low, high, *warp
        )
    except AssertionError as error:
        raise ValueError(f"vtln_warp: {error}") from error
    return torch.cat([banks.t(), torch.zeros(1, count)])


class KaldiFrontEnd(FrontEnd):
    """Kaldi's frames, filterbank and logarithm, with the energy beside them where it is asked for.

    ``energy`` is ``"first"``, ``"last"`` or empty.
    """

    energy: Final[str]

    def __init__(
        self,
        frames: KaldiFrames,
        filterbank: Tensor,
        use_power: bool,
        log: nn.Module,
        dct: Optional[Tensor],
        energy: str,
        subtract_mean: bool,
    ) -> None:
        super().__init__(frames, filterbank, log, dct, 0, extra=1 if energy else 0)
        self.magnitude: nn.Module = nn.Identity() if use_power else Magnitude()
        self.energy = energy
        self.norm: nn.Module = CepstralNorm() if subtract_mean else nn.Identity()

    def log_energy(self, x: Tensor, power: Tensor) -> Tensor:
        """The log energy of each frame, ``[B, 1, T]``."""
        energy: Tensor = self.spectrogram.log_energy(x, power)  # type: ignore[operator]
        return energy

    def _features(self, waveform: Tensor) -> Tensor:
        x = waveform.to(self.spectrogram.kernel.dtype).unsqueeze(1)
        power = self.spectrogram(x)
        y = self._static(self.magnitude(power))
        if self.energy == "first":
            y = torch.cat([self.log_energy(x, power), y], dim=1)
        elif self.energy == "last":
            y = torch.cat([y, self.log_energy(x, power)], dim=1)
        normalised: Tensor = self.norm(y)
        return normalised


class KaldiFbank(KaldiFrontEnd):
    r"""Kaldi's log mel filterbank, as ``torchaudio.compliance.kaldi.fbank``.

    .. math::
        Y_{m,t} &= \log \max\Big(\sum_k M_{km} \, \Big|\sum_n w_n\, e_{t,n}
            \, e^{-2\pi i k n / n_\text{fft}}\Big|^2, \epsilon\Big) \\
        e_{t,n} &= d_{t,n} - a\, d_{t,\max(n-1, 0)}, \qquad
        d_{t,n} = x_{t,n} - \tfrac1L \textstyle\sum_j x_{t,j}

    :math:`x_{t,n} = s\, x[th + n]` are the L samples of frame t, s is ``scale``, and ε =
    1.19e-7. The input is a waveform ``[B, N]`` as it comes; the output has shape ``[B, F, T]`` with
    ``F = n_features = num_mel_bins + use_energy`` and ``T = num_frames(N)``. Natural logarithm.

    Arguments and defaults are those of ``kaldi.fbank``, whose ``channel`` and ``min_duration`` have
    no place here; ``scale`` is new.

    Args:
        blackman_coeff: the constant of the Blackman window.
        dither: 0; noise would make every score another.
        energy_floor: the least energy of a frame, for ``use_energy``; 0 for none.
        frame_length: length L of a frame in milliseconds.
        frame_shift: time between frames in milliseconds.
        high_freq: upper edge of the highest filter in Hz; at or below 0, counted from half the
            sample frequency.
        htk_compat: whether the energy comes last rather than first.
        low_freq: lower edge of the lowest filter in Hz.
        num_mel_bins: number M of filters.
        preemphasis_coefficient: a; 0 for none.
        raw_energy: whether the energy is that before pre-emphasis and window.
        remove_dc_offset: whether to subtract the mean of each frame.
        round_to_power_of_two: whether to transform frames padded to a power of two.
        sample_frequency: samples per second.
        snip_edges: whether only whole frames count; otherwise both ends are mirrored, and
            ``T = round(N / shift)``.
        subtract_mean: whether to subtract the mean of each feature over the window.
        use_energy: whether to add the log energy of the frame as a feature.
        use_log_fbank: whether to take the logarithm.
        use_power: whether to use the power rather than the magnitude of a bin.
        vtln_high, vtln_low, vtln_warp: where and by how much the filters are warped.
        window_type: ``"povey"``, ``"hamming"``, ``"hanning"``, ``"rectangular"`` or ``"blackman"``.
        scale: what samples are multiplied by; 32768 takes [−1, 1] to the range of int16, which
            models trained on Kaldi's features expect (WeSpeaker's do, 3D-Speaker's do not).

    Raises:
        ValueError: if the configuration is not as above, or if a waveform is not a floating-point
            ``[B, N]`` or is shorter than a frame.
        ImportError: if torchaudio cannot be imported.

    Reference:
        Povey et al., "The Kaldi Speech Recognition Toolkit", ASRU 2011; ``compute-fbank-feats``.

    Example:
        >>> frontend = KaldiFbank(num_mel_bins=80, window_type="hamming", scale=32768)
        >>> tone = torch.sin(torch.arange(16000) * (2 * torch.pi * 1000 / 16000))
        >>> features = frontend(tone.unsqueeze(0))
        >>> features.shape, frontend.num_frames(16000)
        (torch.Size([1, 80, 98]), 98)
        >>> int(features[0, :, 50].argmax()), round(float(features[0, :, 50].max()), 1)
        (27, 28.4)
    """

    def __init__(
        self,
        blackman_coeff: float = 0.42,
        dither: float = 0.0,
        energy_floor: float = 1.0,
        frame_length: float = 25.0,
        frame_shift: float = 10.0,
        high_freq: float = 0.0,
        htk_compat: bool = False,
        low_freq: float = 20.0,
        num_mel_bins: int = 23,
        preemphasis_coefficient: float = 0.97,
        raw_energy: bool = True,
        remove_dc_offset: bool = True,
        round_to_power_of_two: bool = True,
        sample_frequency: float = 16000.0,
        snip_edges: bool = True,
        subtract_mean: bool = False,
        use_energy: bool = False,
        use_log_fbank: bool = True,
        use_power: bool = True,
        vtln_high: float = -500.0,
        vtln_low: float = 100.0,
        vtln_warp: float = 1.0,
        window_type: str = "povey",
        scale: float = 1.0,
    ) -> None:
        check_kinds(KaldiFbank.__init__, locals())
        check_no_dither(dither)
        frames = KaldiFrames(
            sample_frequency,
            frame_length,
            frame_shift,
            window_type,
            blackman_coeff,
            remove_dc_offset,
            preemphasis_coefficient,
            round_to_power_of_two,
            snip_edges,
            raw_energy,
            energy_floor,
            scale,
            exact=not use_power,
        )
        band, warp = (low_freq, high_freq), (vtln_low, vtln_high, vtln_warp)
        filterbank = mel_banks(num_mel_bins, frames.n_fft, sample_frequency, band, warp)
        log: nn.Module = LogAbove(EPSILON) if use_log_fbank else nn.Identity()
        energy = ("last" if htk_compat else "first") if use_energy else ""
        super().__init__(frames, filterbank, use_power, log, None, energy, subtract_mean)


class KaldiMFCC(KaldiFrontEnd):
    r"""Kaldi's mel-frequency cepstral coefficients, as ``torchaudio.compliance.kaldi.mfcc``.

    .. math::
        C_{c,t} = \Big(1 + \frac q2 \sin\frac{\pi c}{q}\Big) \sum_m D_{mc} \, Y_{m,t}

    with the log mel energies Y of :class:`KaldiFbank`, the orthonormal cosine transform D and the
    lifter q. The input is a waveform ``[B, N]`` as it comes; the output has shape ``[B, F, T]``
    with ``F = n_features = num_ceps`` and ``T = num_frames(N)``.

    Arguments and defaults are those of ``kaldi.mfcc``, whose ``channel`` and ``min_duration`` have
    no place here; ``scale`` is new.

    Args:
        cepstral_lifter: q; 0 for none.
        blackman_coeff: the constant of the Blackman window.
        dither: 0; noise would make every score another.
        energy_floor: the least energy of a frame, for ``use_energy``; 0 for none.
        frame_length: length L of a frame in milliseconds.
        frame_shift: time between frames in milliseconds.
        high_freq: upper edge of the highest filter in Hz; at or below 0, counted from half the
            sample frequency.
        htk_compat: whether C0, or the energy in its place, comes last (C0 times the root of 2).
        low_freq: lower edge of the lowest filter in Hz.
        num_ceps: number of coefficients with C0, at most ``num_mel_bins``.
        num_mel_bins: number M of filters.
        preemphasis_coefficient: a; 0 for none.
        raw_energy: whether the energy is that before pre-emphasis and window.
        remove_dc_offset: whether to subtract the mean of each frame.
        round_to_power_of_two: whether to transform frames padded to a power of two.
        sample_frequency: samples per second.
        snip_edges: whether only whole frames count; otherwise both ends are mirrored, and
            ``T = round(N / shift)``.
        subtract_mean: whether to subtract the mean of each feature over the window.
        use_energy: whether the log energy of the frame takes the place of C0.
        vtln_high, vtln_low, vtln_warp: where and by how much the filters are warped.
        window_type: ``"povey"``, ``"hamming"``, ``"hanning"``, ``"rectangular"`` or ``"blackman"``.
        scale: what samples are multiplied by; 32768 takes [−1, 1] to the range of int16, which
            models trained on Kaldi's features expect (WeSpeaker's do, 3D-Speaker's do not).

    Raises:
        ValueError: if the configuration is not as above, or if a waveform is not a floating-point
            ``[B, N]`` or is shorter than a frame.
        ImportError: if torchaudio cannot be imported.

    Reference:
        Povey et al., "The Kaldi Speech Recognition Toolkit", ASRU 2011; ``compute-mfcc-feats``.

    Example:
        >>> frontend = KaldiMFCC(scale=32768)
        >>> tone = torch.sin(torch.arange(16000) * (2 * torch.pi * 1000 / 16000))
        >>> coefficients = frontend(tone.unsqueeze(0))
        >>> coefficients.shape
        torch.Size([1, 13, 98])
        >>> [round(value, 1) for value in coefficients[0, :3, 50].tolist()]
        [58.5, 32.7, -32.8]
    """

    def __init__(
        self,
        blackman_coeff: float = 0.42,
        cepstral_lifter: float = 22.0,
        dither: float = 0.0,
        energy_floor: float = 1.0,
        frame_length: float = 25.0,
        frame_shift: float = 10.0,
        high_freq: float = 0.0,
        htk_compat: bool = False,
        low_freq: float = 20.0,
        num_ceps: int = 13,
        num_mel_bins: int = 23,
        preemphasis_coefficient: float = 0.97,
        raw_energy: bool = True,
        remove_dc_offset: bool = True,
        round_to_power_of_two: bool = True,
        sample_frequency: float = 16000.0,
        snip_edges: bool = True,
        subtract_mean: bool = False,
        use_energy: bool = False,
        vtln_high: float = -500.0,
        vtln_low: float = 100.0,
        vtln_warp: float = 1.0,
        window_type: str = "povey",
        scale: float = 1.0,
    ) -> None:
        check_kinds(KaldiMFCC.__init__, locals())
        check_no_dither(dither)
        frames = KaldiFrames(
            sample_frequency,
            frame_length,
            frame_shift,
            window_type,
            blackman_coeff,
            remove_dc_offset,
            preemphasis_coefficient,
            round_to_power_of_two,
            snip_edges,
            raw_energy,
            energy_floor,
            scale,
            # The lifter multiplies rounding in quiet bins by up to 12.
            exact=True,
        )
        band, warp = (low_freq, high_freq), (vtln_low, vtln_high, vtln_warp)
        filterbank = mel_banks(num_mel_bins, frames.n_fft, sample_frequency, band, warp)
        check_positive("num_ceps", num_ceps)
        check_at_most("num_ceps", num_ceps, "num_mel_bins", num_mel_bins)
        dct = lifted_cosines(num_ceps, num_mel_bins, cepstral_lifter)
        if use_energy:
            dct = dct[:, 1:]
        elif htk_compat:
            dct = torch.cat([dct[:, 1:], dct[:, :1] * math.sqrt(2.0)], dim=1)
        energy = ("last" if htk_compat else "first") if use_energy else ""
        log = LogAbove(EPSILON)
        super().__init__(frames, filterbank, True, log, dct, energy, subtract_mean)


def lifted_cosines(num_ceps: int, num_mel_bins: int, cepstral_lifter: float) -> Tensor:
    """The cosine transform ``[num_mel_bins, num_ceps]``, each coefficient times its lifter."""
    check_not_negative("cepstral_lifter", cepstral_lifter)
    matrix = cosine_transform(num_mel_bins, num_mel_bins, 2, "ortho")[:, :num_ceps]
    if cepstral_lifter == 0.0:
        return matrix
    index = torch.arange(num_ceps, dtype=torch.get_default_dtype())
    return matrix * (1.0 + cepstral_lifter / 2 * torch.sin(math.pi * index / cepstral_lifter))
