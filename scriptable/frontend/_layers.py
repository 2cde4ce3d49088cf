"""The steps of a front end, each a module without data-dependent shapes or branches."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import (
    check_choice,
    check_flag,
    check_fraction,
    check_number,
    check_positive,
    check_shape,
    check_size,
    check_whole,
)
from scriptable._core.named import Named

_WINDOWS = {
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "bartlett": torch.bartlett_window,
    "kaiser": torch.kaiser_window,
    "ones": torch.ones,
}
WindowFunction = Annotated[Callable[..., Tensor], Named(_WINDOWS)]
"""Makes a window from its length; a configuration says which by name."""


def check_member(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise unless a configuration value, of whatever type, is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {list(choices)}, got {value!r}")


def check_at_most(name: str, value: float, limit_name: str, limit: float) -> None:
    """Raise unless ``value`` does not exceed ``limit``."""
    if value > limit:
        raise ValueError(f"{name}: expected at most {limit_name} = {limit}, got {value}")


def dft_kernel(window: Tensor, n_fft: int, normalized: Union[bool, str]) -> Tensor:
    """Windowed cosines, then sines: conv1d weights ``[2 * (n_fft // 2 + 1), 1, len(window)]``.

    The angles are reduced as integers and everything is float64 up to the final rounding. Their
    origin is the window's first sample, since magnitudes do not depend on the phase.
    """
    wide = window.double()
    if normalized == "frame_length":
        wide = wide / math.sqrt(n_fft)
    elif normalized:
        wide = wide / wide.square().sum().sqrt()
    bins = torch.arange(n_fft // 2 + 1, device=window.device)
    samples = torch.arange(window.shape[0], device=window.device)
    angles = (torch.outer(bins, samples) % n_fft).double() * (2.0 * math.pi / n_fft)
    kernel = torch.cat([angles.cos(), angles.sin()]) * wide
    return kernel.unsqueeze(1).to(window.dtype)


def convolve(x: Tensor, kernel: Tensor, stride: int = 1) -> Tensor:
    """``F.conv1d`` in the dtype of ``x``.

    Powers leave the range of half precision. Outside a script the front end switches autocast off;
    a script cannot, but autocast lets float64 pass.
    """
    y = F.conv1d(x, kernel, stride=stride)
    if y.dtype != x.dtype:
        y = F.conv1d(x.double(), kernel.double(), stride=stride).to(x.dtype)
    return y


class Spectrogram(nn.Module):
    """Magnitudes (power 1) or powers (power 2) of the STFT: ``[B, 1, N]`` to ``[B, n_bins, T]``."""

    window: Tensor
    kernel: Tensor
    n_bins: Final[int]
    hop_length: Final[int]
    power: Final[float]
    center: Final[bool]
    pad_mode: Final[str]
    before: Final[int]
    after: Final[int]
    min_samples: Final[int]
    pre_emphasis: Final[float]

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
        pre_emphasis: float = 0.0,
    ) -> None:
        super().__init__()
        check_fraction("pre_emphasis", pre_emphasis)
        self.pre_emphasis = float(pre_emphasis)
        check_size("n_fft", n_fft)
        width = n_fft if win_length is None else win_length
        check_size("win_length", width)
        check_at_most("win_length", width, "n_fft", n_fft)
        hop = width // 2 if hop_length is None else hop_length
        check_size("hop_length", hop)
        check_number("power", power)
        check_member("power", power, (1.0, 2.0))
        check_member("normalized", normalized, (False, True, "window", "frame_length"))
        check_flag("center", center)
        check_choice("pad_mode", pad_mode, ["reflect", "constant", "replicate"])
        self.n_fft = n_fft
        self.n_bins = n_fft // 2 + 1
        self.hop_length = hop
        self.power = float(power)
        self.normalized = normalized
        self.center = center
        self.pad_mode = pad_mode
        # torch.stft centres a short window in its frame. Here the kernel is only as long as the
        # window; the frame's idle samples on either side come off the padding, or off the signal.
        idle = n_fft - width
        pad = n_fft // 2 if center else 0
        self.before = pad - idle // 2
        self.after = pad - (idle - idle // 2)
        self.min_samples = n_fft if not center else n_fft // 2 + 1 if pad_mode == "reflect" else 1
        window = window_fn(width).to(torch.get_default_dtype())
        check_shape("window_fn(win_length)", window, [width])
        self.register_buffer("window", window.clone())
        self.register_buffer("kernel", dft_kernel(window, n_fft, normalized))

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "Spectrogram":
        """Recompute the kernel on a cast to float64, where rounded float32 values would show."""
        before = self.kernel.dtype
        super()._apply(fn, recurse)
        if self.kernel.dtype == torch.float64 and before != torch.float64:
            self.kernel = dft_kernel(self.window, self.n_fft, self.normalized)
        return self

    def num_frames(self, num_samples: int) -> int:
        """The number of frames that ``num_samples`` samples give."""
        if num_samples < self.min_samples:
            raise ValueError(
                f"num_samples: expected at least {self.min_samples}, got {num_samples}"
            )
        pad = self.n_fft // 2 if self.center else 0
        return 1 + (num_samples + 2 * pad - self.n_fft) // self.hop_length

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with the kernel and take the power of each bin."""
        if self.pre_emphasis != 0.0:
            n = x.size(2)
            change = x.narrow(2, 1, n - 1) - self.pre_emphasis * x.narrow(2, 0, n - 1)
            x = torch.cat([x.narrow(2, 0, 1), change], dim=2)
        if self.center:
            x = F.pad(x, [self.before, self.after], mode=self.pad_mode)
        elif self.before + self.after < 0:
            x = x.narrow(2, -self.before, x.size(2) + self.before + self.after)
        y = convolve(x, self.kernel, self.hop_length)
        y = y * y
        energy = y[:, : self.n_bins] + y[:, self.n_bins :]
        if self.power == 1.0:
            # The slope of sqrt at 0 is infinite; below the clamp it becomes 0, as that of abs().
            energy = energy.clamp(min=1e-36).sqrt()
        return energy


class Projection(nn.Module):
    """A constant matrix ``[I, O]`` over the feature axis: ``[B, I, T]`` to ``[B, O, T]``."""

    weight: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        # A copy: a part of a larger matrix would drag the whole into a saved file.
        weight = matrix.t().unsqueeze(2).clone(memory_format=torch.contiguous_format)
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply, as a convolution of width one: backends delegate it where a matmul splits."""
        return convolve(x, self.weight)


class Log(nn.Module):
    """``scale * log(x + floor)``; a scale of 1 / log 10 makes it the decimal logarithm."""

    floor: Final[float]
    scale: Final[float]

    def __init__(self, floor: float, scale: float = 1.0) -> None:
        super().__init__()
        check_positive("log_floor", floor)
        self.floor = floor
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Compress."""
        y = torch.log(x + self.floor)
        if self.scale != 1.0:
            y = y * self.scale
        return y


class Decibel(nn.Module):
    """``10 log10(max(x, floor))``, cut off ``top_db`` below the loudest value of each item."""

    floor: Final[float]
    top_db: Final[float]
    scale: Final[float]

    def __init__(self, floor: float, top_db: float) -> None:
        super().__init__()
        self.floor = floor
        self.top_db = top_db
        # Not every backend has a kernel for log10.
        self.scale = 10.0 / math.log(10.0)

    def forward(self, x: Tensor) -> Tensor:
        """Compress."""
        y = torch.log(x.clamp(min=self.floor)) * self.scale
        return torch.maximum(y, y.amax(dim=[1, 2], keepdim=True) - self.top_db)


class Deltas(nn.Module):
    """Append the slope over time, ``order`` times: ``[B, (1 + order) F, T]``.

    The form is ``"regression"``, over five frames, or ``"difference"`` of the two neighbours; the
    end frames are repeated.
    """

    order: Final[int]
    form: Final[str]
    reach: Final[int]

    def __init__(self, order: int, form: str = "regression") -> None:
        super().__init__()
        check_whole("deltas", order)
        check_member("deltas", order, (0, 1, 2))
        check_choice("deltas_form", form, ["regression", "difference"])
        self.order = order
        self.form = form
        self.reach = 1 if form == "difference" else 2

    def slope(self, x: Tensor) -> Tensor:
        """``(x[t+1] - x[t-1] + 2 (x[t+2] - x[t-2])) / 10``, or ``x[t+1] - x[t-1]``."""
        first = x.narrow(2, 0, 1)
        last = x.narrow(2, x.size(2) - 1, 1)
        # F.pad would become an indexing op, which XNNPACK leaves outside its delegate.
        if self.form == "difference":
            return self.inner_slope(torch.cat([first, x, last], dim=2))
        return self.inner_slope(torch.cat([first, first, x, last, last], dim=2))

    def inner_slope(self, p: Tensor) -> Tensor:
        """The slope of the frames that have ``reach`` neighbours on both sides."""
        n = p.size(2) - 2 * self.reach
        if self.form == "difference":
            return p.narrow(2, 2, n) - p.narrow(2, 0, n)
        near = p.narrow(2, 3, n) - p.narrow(2, 1, n)
        far = p.narrow(2, 4, n) - p.narrow(2, 0, n)
        return (near + 2.0 * far) * 0.1

    def forward(self, x: Tensor) -> Tensor:
        """Append the slopes along the feature axis."""
        if self.order == 0:
            return x
        first = self.slope(x)
        if self.order == 1:
            return torch.cat([x, first], dim=1)
        return torch.cat([x, first, self.slope(first)], dim=1)
