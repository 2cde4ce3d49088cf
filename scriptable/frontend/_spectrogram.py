"""The power of each bin of each frame, by the short-time Fourier transform."""

import math
from collections.abc import Callable
from typing import Final, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import (
    check_choice,
    check_flag,
    check_fraction,
    check_number,
    check_shape,
    check_size,
)
from scriptable.frontend._exact import ExactConstants
from scriptable.frontend._layers import check_at_most, check_member, convolve
from scriptable.frontend._mirror import Mirror
from scriptable.frontend._two_stages import TwoStages, arrange, factors, framed


def norm_of(window: Tensor, n_fft: int, normalized: Union[bool, str]) -> float:
    """What the window is divided by."""
    if normalized == "frame_length":
        return math.sqrt(n_fft)
    return float(window.square().sum().sqrt()) if normalized else 1.0


def dft_kernel(window: Tensor, n_fft: int) -> Tensor:
    """Windowed cosines, then sines: conv1d weights ``[2 * (n_fft // 2 + 1), 1, len(window)]``.

    The angles are reduced as integers and everything is float64 up to the final rounding. Their
    origin is the window's first sample, since magnitudes do not depend on the phase.
    """
    bins = torch.arange(n_fft // 2 + 1, device=window.device)
    samples = torch.arange(window.shape[0], device=window.device)
    angles = (torch.outer(bins, samples) % n_fft).double() * (2.0 * math.pi / n_fft)
    kernel = torch.cat([angles.cos(), angles.sin()]) * window.double()
    return kernel.unsqueeze(1).to(window.dtype)


class Spectrogram(ExactConstants):
    """Magnitudes (power 1) or powers (power 2) of the STFT: ``[B, 1, N]`` to ``[B, T, bins]``.

    For powers, where ``n_fft`` splits into two factors, frames are cut out, multiplied by the
    window and transformed in two short stages; the bins then come in the order that
    :meth:`arranged` gives to filters. Otherwise one convolution with windowed cosines and sines
    does it all, as for filters that tell the first bin from the last, which two stages do not.

    ``kernel`` is what the samples meet first: the window, or that convolution's weights.
    """

    # Laid out anew for some filters, hence not Final; constants of a script all the same.
    __constants__ = ("before", "after", "span", "two_stages")
    window: Tensor
    kernel: Tensor
    n_bins: Final[int]
    hop_length: Final[int]
    power: Final[float]
    center: Final[bool]
    pad_mode: Final[str]
    before: int
    after: int
    span: int
    two_stages: bool
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
        self.min_samples = n_fft if not center else n_fft // 2 + 1 if pad_mode == "reflect" else 1
        window = window_fn(width).to(torch.get_default_dtype())
        check_shape("window_fn(win_length)", window, [width])
        self.register_buffer("window", window.clone())
        # A magnitude shows rounding where a power hides it below the logarithm's floor: on speech
        # two stages are off by 3e-5 of a log-mel, the convolution by less than 2e-5.
        self.lay_out(factors(n_fft)[0] > 1 and power == 2.0)

    def lay_out(self, two_stages: bool) -> None:
        """Make the constants of two stages, or of one convolution."""
        n_fft, width = self.n_fft, self.window.shape[0]
        _, n2 = factors(n_fft)
        self.two_stages = two_stages
        # torch.stft centres a short window in its frame. Here the frame is only as long as the
        # window, or the next multiple of N2; its idle samples on either side come off the padding,
        # or off the signal.
        self.span = -(-width // n2) * n2 if two_stages else width
        start = (n_fft - width) // 2
        idle = min(start, n_fft - self.span)
        self.lead = start - idle
        pad = n_fft // 2 if self.center else 0
        self.before = pad - idle
        self.after = pad - (n_fft - self.span - idle)
        self.register_buffer("kernel", self.make_kernel())
        self.transform: nn.Module = TwoStages(n_fft, self.span) if two_stages else nn.Identity()
        self.mirror = Mirror(self.before, self.after)

    def make_kernel(self) -> Tensor:
        """The window in its frame, or the convolution's weights, from the window as it is."""
        wide = self.window.double()
        wide = wide / norm_of(wide, self.n_fft, self.normalized)
        if self.two_stages:
            wide = F.pad(wide, [self.lead, self.span - self.lead - wide.shape[0]])
            return wide.to(self.window.dtype)
        return dft_kernel(wide, self.n_fft).to(self.window.dtype)

    def constants_dtype(self) -> torch.dtype:
        """That of the kernel."""
        return self.kernel.dtype

    def make_constants(self) -> None:
        """Compute them in float64."""
        self.kernel = self.make_kernel()

    def arranged(self, filters: Tensor) -> Tensor:
        """Filters ``[n_bins, M]`` in the order of the bins that come out."""
        return arrange(filters, self.n_fft) if self.two_stages else filters

    def num_frames(self, num_samples: int) -> int:
        """The number of frames that ``num_samples`` samples give."""
        if num_samples < self.min_samples:
            raise ValueError(
                f"num_samples: expected at least {self.min_samples}, got {num_samples}"
            )
        pad = self.n_fft // 2 if self.center else 0
        return 1 + (num_samples + 2 * pad - self.n_fft) // self.hop_length

    def padded(self, x: Tensor) -> Tensor:
        """The samples that all frames cover, after pre-emphasis."""
        if self.pre_emphasis != 0.0:
            n = x.size(2)
            change = x.narrow(2, 1, n - 1) - self.pre_emphasis * x.narrow(2, 0, n - 1)
            x = torch.cat([x.narrow(2, 0, 1), change], dim=2)
        if self.center:
            if self.pad_mode == "reflect":
                return self.mirror(x)
            return F.pad(x, [self.before, self.after], mode=self.pad_mode)
        if self.before + self.after < 0:
            return x.narrow(2, -self.before, x.size(2) + self.before + self.after)
        return x

    def forward(self, x: Tensor) -> Tensor:
        """Transform, and take the power of each bin."""
        x = self.padded(x)
        if self.two_stages:
            energy = self.transform(framed(x, self.span, self.hop_length).mul_(self.kernel))
        else:
            y = convolve(x, self.kernel, self.hop_length)
            y = y * y
            energy = (y[:, : self.n_bins] + y[:, self.n_bins :]).transpose(1, 2)
        if self.power == 1.0:
            # The slope of sqrt at 0 is infinite; below the clamp it becomes 0, as that of abs().
            energy = energy.clamp(min=1e-36).sqrt()
        return energy
