"""Static front ends: waveform to features, equal to torchaudio, exportable to every backend.

The short-time Fourier transform is one convolution with constant kernels, so neither complex
tensors nor ``unfold`` reach a mobile runtime. torchaudio is needed only while a front end is being
constructed, for its filterbanks and its cosine transform.

Keep a front end in float32: in half precision the power of loud audio overflows and the log floors
underflow. An active ``torch.autocast`` is therefore switched off inside.
"""

import math
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LFCC", "MFCC", "LogMel"]

_LOG_OFFSET = 1e-6
_POWER_FLOOR = 1e-10
_TOP_DB = 80.0


def _torchaudio() -> ModuleType:
    """torchaudio's functional module, or an ImportError that says what to do."""
    try:
        import torchaudio.functional
    except (ImportError, OSError) as error:
        raise ImportError(
            f"torchaudio cannot be imported ({error}): install the torchaudio build that matches "
            "your torch; the wheels on PyPI for Linux x86-64 need the CUDA build of torch"
        ) from error
    return torchaudio.functional


def _positive(name: str, value: int) -> int:
    if value < 1:
        raise ValueError(f"{name}: expected a positive integer, got {value}")
    return value


def _one_of(name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {list(choices)}, got {value!r}")
    return value


def _dft_kernel(window: Tensor, n_fft: int, normalized: Union[bool, str]) -> Tensor:
    """Windowed cosines, then sines, as conv1d weights ``[2 * (n_fft // 2 + 1), 1, len(window)]``.

    The angle is reduced as an integer, and everything is float64 until the end. The phase origin
    is the window's first sample: magnitudes do not depend on it.
    """
    wide = window.double()
    if normalized == "frame_length":
        wide = wide / math.sqrt(n_fft)
    elif normalized:
        wide = wide / wide.square().sum().sqrt()
    samples = torch.arange(len(window), device=window.device)
    bins = torch.arange(n_fft // 2 + 1, device=window.device)
    angles = (torch.outer(bins, samples) % n_fft).double() * (2.0 * math.pi / n_fft)
    kernel = torch.cat([angles.cos(), angles.sin()]) * wide
    return kernel.unsqueeze(1).to(window.dtype)


class _Spectrogram(nn.Module):
    """Magnitudes (power 1) or powers (power 2) ``[B, n_fft // 2 + 1, T]`` of ``[B, 1, N]``."""

    n_bins: Final[int]
    hop_length: Final[int]
    power: Final[float]
    center: Final[bool]
    pad_mode: Final[str]
    before: Final[int]
    after: Final[int]
    min_samples: Final[int]

    def __init__(
        self,
        n_fft: int,
        win_length: Optional[int],
        hop_length: Optional[int],
        window_fn: Callable[..., Tensor],
        power: float,
        normalized: Union[bool, str],
        center: bool,
        pad_mode: str,
    ) -> None:
        super().__init__()
        self.n_fft = _positive("n_fft", n_fft)
        width = _positive("win_length", n_fft if win_length is None else win_length)
        if width > n_fft:
            raise ValueError(f"win_length: expected at most n_fft = {n_fft}, got {width}")
        self.normalized = _one_of("normalized", normalized, (False, True, "window", "frame_length"))
        self.hop_length = _positive("hop_length", width // 2 if hop_length is None else hop_length)
        self.power = float(_one_of("power", power, (1.0, 2.0)))
        self.center = center
        self.pad_mode = _one_of("pad_mode", pad_mode, ("reflect", "constant", "replicate"))
        self.n_bins = n_fft // 2 + 1
        # torch.stft centres a short window in the frame. The kernel is trimmed to the window, and
        # the frame's remaining samples on each side come off the padding or off the signal's ends.
        left = (n_fft - width) // 2
        pad = n_fft // 2 if center else 0
        self.before = pad - left
        self.after = pad - (n_fft - width - left)
        self.min_samples = n_fft if not center else n_fft // 2 + 1 if pad_mode == "reflect" else 1
        self.register_buffer("window", window_fn(width))
        self.register_buffer("kernel", _dft_kernel(self.window, n_fft, normalized))

    window: Tensor
    kernel: Tensor

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "_Spectrogram":
        """Recompute the kernel on a cast to float64: float32 kernels cast up would stay 1e-8 off."""
        before = self.kernel.dtype
        super()._apply(fn, recurse)
        if self.kernel.dtype == torch.float64 and before != torch.float64:
            self.kernel = _dft_kernel(self.window, self.n_fft, self.normalized)
        return self

    def num_frames(self, num_samples: int) -> int:
        """The number of frames of ``num_samples`` samples."""
        if num_samples < self.min_samples:
            raise ValueError(f"num_samples: expected at least {self.min_samples}, got {num_samples}")
        pad = self.n_fft // 2 if self.center else 0
        return 1 + (num_samples + 2 * pad - self.n_fft) // self.hop_length

    def forward(self, x: Tensor) -> Tensor:
        if self.center:
            x = F.pad(x, [self.before, self.after], mode=self.pad_mode)
        elif self.before + self.after < 0:
            x = x.narrow(2, -self.before, x.size(2) + self.before + self.after)
        y = F.conv1d(x, self.kernel, stride=self.hop_length)
        y = y * y
        energy = y[:, : self.n_bins] + y[:, self.n_bins :]
        if self.power == 1.0:
            # The slope of sqrt is infinite at 0; below the clamp the gradient is 0, as for abs().
            energy = energy.clamp(min=1e-36).sqrt()
        return energy


class _Project(nn.Module):
    """A constant matrix over the feature axis: ``[B, I, T]`` to ``[B, O, T]``, a 1x1 convolution."""

    weight: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", matrix.t().unsqueeze(2).contiguous())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.weight)


class _Log(nn.Module):
    """``log(x + offset)``."""

    offset: Final[float]

    def __init__(self, offset: float) -> None:
        super().__init__()
        if not offset > 0.0:
            raise ValueError(f"log_floor: expected a positive number, got {offset}")
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(x + self.offset)


class _Decibel(nn.Module):
    """``10 log10(max(x, floor))``, at most ``range_db`` below the loudest value of each item."""

    floor: Final[float]
    range_db: Final[float]
    scale: Final[float]

    def __init__(self, floor: float, range_db: float) -> None:
        super().__init__()
        self.floor = floor
        self.range_db = range_db
        # log10 has no kernel on some backends.
        self.scale = 10.0 / math.log(10.0)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.log(x.clamp(min=self.floor)) * self.scale
        return torch.maximum(y, y.amax(dim=[1, 2], keepdim=True) - self.range_db)


class _Deltas(nn.Module):
    """Append regression slopes over five frames, ``order`` times: ``[B, (1 + order) F, T]``."""

    order: Final[int]

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = _one_of("deltas", order, (0, 1, 2))

    def slope(self, x: Tensor) -> Tensor:
        p = F.pad(x, [2, 2], mode="replicate")
        n = x.size(2)
        near = p.narrow(2, 3, n) - p.narrow(2, 1, n)
        far = p.narrow(2, 4, n) - p.narrow(2, 0, n)
        return (near + 2.0 * far) * 0.1

    def forward(self, x: Tensor) -> Tensor:
        if self.order == 0:
            return x
        first = self.slope(x)
        if self.order == 1:
            return torch.cat([x, first], dim=1)
        return torch.cat([x, first, self.slope(first)], dim=1)


class _FrontEnd(nn.Module):
    """Spectrogram, filterbank, logarithm, optional cosine transform, deltas."""

    def __init__(
        self,
        spectrogram: _Spectrogram,
        filterbank: Tensor,
        log: nn.Module,
        dct: Optional[Tensor],
        deltas: int,
    ) -> None:
        super().__init__()
        self.spectrogram = spectrogram
        self.filterbank = _Project(filterbank)
        self.log = log
        self.dct = nn.Identity() if dct is None else _Project(dct)
        self.deltas = _Deltas(deltas)
        static = filterbank.size(1) if dct is None else dct.size(1)
        self.n_features = static * (1 + deltas)

    def num_frames(self, num_samples: int) -> int:
        """The number of frames T that a waveform of ``num_samples`` samples gives."""
        return self.spectrogram.num_frames(num_samples)

    def _check(self, waveform: Tensor) -> None:
        if waveform.dim() != 2:
            raise ValueError(f"waveform: expected shape [B, N], got {list(waveform.shape)}")
        if not waveform.is_floating_point():
            raise ValueError("waveform: expected floating-point samples in [-1, 1], got integers")
        if waveform.size(1) < self.spectrogram.min_samples:
            raise ValueError(
                f"waveform: expected shape [B, N] with N >= {self.spectrogram.min_samples}, "
                f"got {list(waveform.shape)}"
            )

    def _features(self, waveform: Tensor) -> Tensor:
        x = self.spectrogram(waveform.unsqueeze(1))
        return self.deltas(self.dct(self.log(self.filterbank(x))))

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``[B, n_features, T]`` of a waveform ``[B, N]`` in [-1, 1]."""
        if torch.jit.is_scripting():
            self._check(waveform)
            return self._features(waveform)
        else:
            with warnings.catch_warnings():
                # A tracer warns that the check's outcome is constant; so it is meant to be.
                if torch.jit.is_tracing():
                    warnings.simplefilter("ignore", torch.jit.TracerWarning)
                self._check(waveform)
            if torch.jit.is_tracing() or torch.compiler.is_exporting():
                return self._features(waveform)
            with torch.autocast(waveform.device.type, enabled=False):
                return self._features(waveform.to(self.spectrogram.kernel.dtype))


def _band(sample_rate: int, f_min: float, f_max: Optional[float]) -> tuple[float, float]:
    _positive("sample_rate", sample_rate)
    high = float(sample_rate // 2) if f_max is None else float(f_max)
    if f_min > high:
        raise ValueError(f"f_min: expected at most f_max = {high}, got {f_min}")
    return float(f_min), high


def _mel_filterbank(
    sample_rate: int,
    n_bins: int,
    f_min: float,
    f_max: Optional[float],
    n_mels: int,
    norm: Optional[str],
    mel_scale: str,
    norm_name: str,
) -> Tensor:
    low, high = _band(sample_rate, f_min, f_max)
    _positive("n_mels", n_mels)
    _one_of(norm_name, norm, (None, "slaney"))
    _one_of("mel_scale", mel_scale, ("htk", "slaney"))
    return _torchaudio().melscale_fbanks(n_bins, low, high, n_mels, sample_rate, norm, mel_scale)


def _cosine_transform(dct_type: int, n_out: int, n_in: int, norm: Optional[str]) -> Tensor:
    _one_of("dct_type", dct_type, (2,))
    _one_of("norm", norm, ("ortho", None))
    return _torchaudio().create_dct(n_out, n_in, norm)


def _compression(log: bool) -> nn.Module:
    return _Log(_LOG_OFFSET) if log else _Decibel(_POWER_FLOOR, _TOP_DB)


class LogMel(_FrontEnd):
    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 400,
        win_length: Optional[int] = None,
        hop_length: Optional[int] = None,
        f_min: float = 0.0,
        f_max: Optional[float] = None,
        n_mels: int = 128,
        window_fn: Callable[..., Tensor] = torch.hann_window,
        power: float = 2.0,
        normalized: Union[bool, str] = False,
        center: bool = True,
        pad_mode: str = "reflect",
        norm: Optional[str] = None,
        mel_scale: str = "htk",
        log_floor: float = 1e-6,
        deltas: int = 0,
    ) -> None:
        spectrogram = _Spectrogram(
            n_fft, win_length, hop_length, window_fn, power, normalized, center, pad_mode
        )
        filterbank = _mel_filterbank(
            sample_rate, spectrogram.n_bins, f_min, f_max, n_mels, norm, mel_scale, "norm"
        )
        super().__init__(spectrogram, filterbank, _Log(log_floor), None, deltas)


class MFCC(_FrontEnd):
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
        window_fn: Callable[..., Tensor] = torch.hann_window,
        power: float = 2.0,
        normalized: Union[bool, str] = False,
        center: bool = True,
        pad_mode: str = "reflect",
        mel_norm: Optional[str] = None,
        mel_scale: str = "htk",
        deltas: int = 0,
    ) -> None:
        spectrogram = _Spectrogram(
            n_fft, win_length, hop_length, window_fn, power, normalized, center, pad_mode
        )
        if _positive("n_mfcc", n_mfcc) > n_mels:
            raise ValueError(f"n_mfcc: expected at most n_mels = {n_mels}, got {n_mfcc}")
        filterbank = _mel_filterbank(
            sample_rate, spectrogram.n_bins, f_min, f_max, n_mels, mel_norm, mel_scale, "mel_norm"
        )
        dct = _cosine_transform(dct_type, n_mfcc, n_mels, norm)
        super().__init__(spectrogram, filterbank, _compression(log_mels), dct, deltas)


class LFCC(_FrontEnd):
    def __init__(
        self,
        sample_rate: int = 16000,
        n_filter: int = 128,
        f_min: float = 0.0,
        f_max: Optional[float] = None,
        n_lfcc: int = 40,
        dct_type: int = 2,
        norm: Optional[str] = "ortho",
        log_lf: bool = False,
        n_fft: int = 400,
        win_length: Optional[int] = None,
        hop_length: Optional[int] = None,
        window_fn: Callable[..., Tensor] = torch.hann_window,
        power: float = 2.0,
        normalized: Union[bool, str] = False,
        center: bool = True,
        pad_mode: str = "reflect",
        deltas: int = 0,
    ) -> None:
        spectrogram = _Spectrogram(
            n_fft, win_length, hop_length, window_fn, power, normalized, center, pad_mode
        )
        low, high = _band(sample_rate, f_min, f_max)
        if _positive("n_lfcc", n_lfcc) > n_fft:
            raise ValueError(f"n_lfcc: expected at most n_fft = {n_fft}, got {n_lfcc}")
        filterbank = _torchaudio().linear_fbanks(
            spectrogram.n_bins, low, high, _positive("n_filter", n_filter), sample_rate
        )
        dct = _cosine_transform(dct_type, n_lfcc, n_filter, norm)
        super().__init__(spectrogram, filterbank, _compression(log_lf), dct, deltas)
