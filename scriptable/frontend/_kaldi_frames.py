"""Kaldi's frames, from the samples to the spectrum."""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import check_choice, check_fraction, check_positive
from scriptable.frontend._exact import ExactConstants
from scriptable.frontend._layers import linear
from scriptable.frontend._spectrogram import dft_kernel
from scriptable.frontend._two_stages import TwoStages, arrange, factors, framed

EPSILON = 1.1920928955078125e-07
_WINDOWS = ["povey", "hamming", "hanning", "rectangular", "blackman"]


def kaldi_window(kind: str, length: int, blackman_coeff: float) -> Tensor:
    """The window in float64; all are symmetric."""
    check_choice("window_type", kind, _WINDOWS)
    if kind == "rectangular":
        return torch.ones(length, dtype=torch.float64)
    turns = torch.arange(length, dtype=torch.float64) * (2.0 * math.pi / (length - 1))
    if kind == "hamming":
        return 0.54 - 0.46 * turns.cos()
    if kind == "blackman":
        return blackman_coeff - 0.5 * turns.cos() + (0.5 - blackman_coeff) * (2.0 * turns).cos()
    hanning = 0.5 - 0.5 * turns.cos()
    return hanning if kind == "hanning" else hanning**0.85


class KaldiFrames(ExactConstants):
    """The power of each bin of each frame: ``[B, 1, N]`` to ``[B, T, n_bins]``.

    Frames are cut out, lose their mean, are emphasised, multiplied by the window and transformed in
    two stages. Where ``n_fft`` has no two factors, or what follows is ``exact`` about quiet bins,
    one convolution does it all: every step is linear in the samples of a frame, and their product
    is the kernel.

    ``kernel`` is the window, or that convolution's weights.
    """

    kernel: Tensor
    ones: Tensor
    total: Tensor
    parseval: Tensor
    two_stages: Final[bool]
    span: Final[int]
    preemphasis_coefficient: Final[float]
    n_fft: Final[int]
    n_bins: Final[int]
    length: Final[int]
    shift: Final[int]
    min_samples: Final[int]
    snip_edges: Final[bool]
    remove_dc_offset: Final[bool]
    raw_energy: Final[bool]
    scale: Final[float]
    epsilon: Final[float]
    log_energy_floor: Final[float]

    def __init__(
        self,
        sample_frequency: float,
        frame_length: float,
        frame_shift: float,
        window_type: str,
        blackman_coeff: float,
        remove_dc_offset: bool,
        preemphasis_coefficient: float,
        round_to_power_of_two: bool,
        snip_edges: bool,
        raw_energy: bool,
        energy_floor: float,
        scale: float,
        exact: bool = False,
    ) -> None:
        super().__init__()
        check_positive("sample_frequency", sample_frequency)
        check_positive("scale", scale)
        check_fraction("preemphasis_coefficient", preemphasis_coefficient)
        self.length = int(sample_frequency * frame_length * 0.001)
        self.shift = int(sample_frequency * frame_shift * 0.001)
        check_positive("frame_shift in samples", self.shift)
        if self.length < 2:
            raise ValueError(f"frame_length: expected 2 samples or more, got {self.length}")
        n_fft = self.length
        if round_to_power_of_two:
            n_fft = 1 << (self.length - 1).bit_length()
        if n_fft % 2:
            raise ValueError(
                f"frame_length: expected an even number of samples without round_to_power_of_two, "
                f"got {n_fft}"
            )
        self.window_type = window_type
        self.blackman_coeff = blackman_coeff
        self.preemphasis_coefficient = float(preemphasis_coefficient)
        self.n_fft = n_fft
        self.n_bins = n_fft // 2 + 1
        self.min_samples = self.length
        self.snip_edges = snip_edges
        self.remove_dc_offset = remove_dc_offset
        self.raw_energy = raw_energy
        self.scale = scale
        self.epsilon = EPSILON
        # A floor of 0 is none: the energy is at least EPSILON in any case.
        self.log_energy_floor = math.log(max(energy_floor, EPSILON))
        n1, n2 = factors(n_fft)
        self.two_stages = n1 > 1 and not exact
        self.span = -(-self.length // n2) * n2
        self.register_buffer("kernel", self.make_kernel().to(torch.get_default_dtype()))
        self.register_buffer("ones", torch.ones(2, 1, self.length))
        self.register_buffer("total", torch.ones(1, self.length))
        # Every bin but the first and the last stands for its mirror image, too.
        twice = torch.full((self.n_bins, 1), 2.0)
        twice[0] = twice[-1] = 1.0
        self.register_buffer("parseval", self.arranged(twice).t().contiguous())
        self.transform: nn.Module = nn.Identity()
        if self.two_stages:
            self.transform = TwoStages(n_fft, self.span)

    def make_kernel(self) -> Tensor:
        """The window, or the product of all linear steps, ``[2 * n_bins, 1, length]``: float64."""
        window = kaldi_window(self.window_type, self.length, self.blackman_coeff) * self.scale
        if self.two_stages:
            return window
        kernel = dft_kernel(window, self.n_fft).squeeze(1)
        frame = torch.eye(self.length, dtype=torch.float64)
        if self.remove_dc_offset:
            frame = frame - 1.0 / self.length
        # The sample before the first is the first itself.
        before = torch.cat([frame[:1], frame[:-1]])
        return (kernel @ (frame - self.preemphasis_coefficient * before)).unsqueeze(1)

    def constants_dtype(self) -> torch.dtype:
        """That of the kernel."""
        return self.kernel.dtype

    def make_constants(self) -> None:
        """Compute them in float64."""
        self.kernel = self.make_kernel().to(self.kernel.device)

    def arranged(self, filters: Tensor) -> Tensor:
        """Filters ``[n_bins, M]`` in the order of the bins that come out."""
        return arrange(filters, self.n_fft) if self.two_stages else filters

    def num_frames(self, num_samples: int) -> int:
        """The number of frames that ``num_samples`` samples give."""
        if num_samples < self.min_samples:
            raise ValueError(
                f"num_samples: expected at least {self.min_samples}, got {num_samples}"
            )
        if self.snip_edges:
            return 1 + (num_samples - self.length) // self.shift
        return (num_samples + self.shift // 2) // self.shift

    def padded(self, x: Tensor) -> Tensor:
        """The samples that all frames cover: without ``snip_edges`` both ends are mirrored."""
        if self.snip_edges:
            return x
        n = x.size(2)
        frames = (n + self.shift // 2) // self.shift
        before = self.length // 2 - self.shift // 2
        after = (frames - 1) * self.shift + self.length - before - n
        if before > 0:
            # The end samples are repeated, unlike in the reflection that F.pad knows.
            x = torch.cat([x.narrow(2, 0, before).flip([2]), x], dim=2)
        elif before < 0:
            x = x.narrow(2, -before, n + before)
        if after > 0:
            x = torch.cat([x, x.narrow(2, x.size(2) - after, after).flip([2])], dim=2)
        return x

    def log_energy(self, x: Tensor, power: Tensor) -> Tensor:
        """The logarithm of each frame's energy, ``[B, 1, T]``, of the samples and their powers."""
        energy = self.raw(x) if self.raw_energy else self.windowed(power)
        return torch.log(energy.clamp(min=self.epsilon)).clamp(min=self.log_energy_floor)

    def raw(self, x: Tensor) -> Tensor:
        """The energy before pre-emphasis and window."""
        x = self.padded(x) * self.scale
        if not self.remove_dc_offset:
            return F.conv1d(x * x, self.ones[:1], stride=self.shift)
        # Frames lose their own means; without a common offset less of them is lost to rounding.
        x = x - x.narrow(2, 0, 1)
        # One convolution of two groups: XNNPACK cannot lower the product of two convolutions.
        sums = F.conv1d(torch.cat([x * x, x], dim=1), self.ones, stride=self.shift, groups=2)
        total = sums.narrow(1, 1, 1)
        return sums.narrow(1, 0, 1) - total * total / self.length

    def windowed(self, power: Tensor) -> Tensor:
        """The energy after pre-emphasis and window, from the powers by Parseval's theorem."""
        return (linear(power, self.parseval) / self.n_fft).transpose(1, 2)

    def frames(self, x: Tensor) -> Tensor:
        """Frames ``[B, T, span]``, ready for the transform."""
        y = framed(x, self.length, self.shift)
        if self.remove_dc_offset:
            y = y - linear(y, self.total) / self.length
        if self.preemphasis_coefficient != 0.0:
            # The sample before the first is the first itself.
            before = torch.cat([y.narrow(2, 0, 1), y.narrow(2, 0, self.length - 1)], dim=2)
            y = y - self.preemphasis_coefficient * before
        y = y * self.kernel
        if self.span > self.length:
            y = F.pad(y, [0, self.span - self.length])
        return y

    def forward(self, x: Tensor) -> Tensor:
        """Transform, and take the power of each bin."""
        x = self.padded(x)
        if self.two_stages:
            power: Tensor = self.transform(self.frames(x))
            return power
        y = F.conv1d(x, self.kernel, stride=self.shift)
        y = y * y
        return (y[:, : self.n_bins] + y[:, self.n_bins :]).transpose(1, 2)
