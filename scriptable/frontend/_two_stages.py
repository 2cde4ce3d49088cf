"""The Fourier transform of a frame in two short stages, in place of one long product."""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from scriptable.frontend._exact import ExactConstants
from scriptable.frontend._layers import batch_multiply, linear, multiply


def factors(n_fft: int) -> tuple[int, int]:
    """N1 and N2 with ``N1 * N2 = n_fft``; N1 is 1 where two stages would not pay.

    N2 is the least divisor not below the root. A shorter first stage loses less to rounding: its
    sums grow with the loudest tone, and the second takes the quiet bins from among them.
    """
    for second in range(math.isqrt(n_fft - 1) + 1, n_fft + 1):
        if n_fft % second == 0:
            first = n_fft // second
            return (first, second) if first >= 4 else (1, n_fft)
    return 1, n_fft


def _turn(product: Tensor, period: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of ``exp(-2 pi i product / period)``, reduced as integers first."""
    angles = (product % period).double() * (2.0 * math.pi / period)
    return angles.cos(), -angles.sin()


def first_stage(n_fft: int, taps: int) -> Tensor:
    """Constants ``[2 K, taps]`` over n1, for k1 = 0 … N1 / 2: real input needs no more.

    Sample ``n = N2 n1 + n2`` turns bin ``k = k1 + N1 k2`` by ``n1 k1 / N1``, the same for all n2.
    """
    n1, _ = factors(n_fft)
    real, imaginary = _turn(torch.outer(torch.arange(n1 // 2 + 1), torch.arange(taps)), n1)
    return torch.stack([real, imaginary], 1).reshape(-1, taps)


def second_stage(n_fft: int) -> Tensor:
    """Constants ``[K, 2 N2, 2 N2]``: for each k1 a complex product over n2 as a real one.

    Rows are real parts, then imaginary ones, columns likewise; the turns are by ``n2 k / n_fft``.
    """
    _, n2 = factors(n_fft)
    samples = torch.arange(n2).view(1, n2, 1)
    real, imaginary = _turn(samples * _bins(n_fft).unsqueeze(1), n_fft)
    return torch.cat([torch.cat([real, imaginary], 2), torch.cat([-imaginary, real], 2)], 1)


def _bins(n_fft: int) -> Tensor:
    """Bin k of each k1 and k2, ``[K, N2]``; above ``n_fft / 2`` it is that of ``n_fft - k``."""
    n1, n2 = factors(n_fft)
    return torch.arange(n1 // 2 + 1).unsqueeze(1) + n1 * torch.arange(n2)


def arrange(filters: Tensor, n_fft: int) -> Tensor:
    """Filters ``[n_bins, M]`` in the order in which the bins come out, ``[K * N2, M]``.

    Where a bin comes out twice, each takes half.
    """
    bins = _bins(n_fft).flatten()
    order = torch.minimum(bins, n_fft - bins)
    times = torch.bincount(order, minlength=filters.shape[0]).to(filters.dtype)
    return (filters / times.clamp(min=1.0).unsqueeze(1).to(filters.device))[order]


def resized(x: Tensor, size: int) -> Tensor:
    """The first ``size`` samples, zeros after the last: a copy that can be viewed in blocks."""
    more = size - x.size(2)
    if torch.jit.is_scripting():
        return F.pad(x, [0, more])
    else:
        if torch.compiler.is_exporting() and more < 0:
            # XNNPACK does not take a negative padding.
            return x.narrow(2, 0, size).contiguous()
        return F.pad(x, [0, more])


def framed(x: Tensor, length: int, hop: int) -> Tensor:
    """Frames ``[B, T, length]`` of samples ``[B, 1, N]``: blocks of a hop, side by side."""
    blocks = (length + hop - 1) // hop
    frames = 1 + (x.size(2) - length) // hop
    x = resized(x, (frames + blocks - 1) * hop).view(-1, frames + blocks - 1, hop)
    parts = []
    for block in range(blocks):
        part = x.narrow(1, block, frames)
        if block == blocks - 1:
            part = part.narrow(2, 0, length - block * hop)
        parts.append(part)
    return torch.cat(parts, 2)


class TwoStages(ExactConstants):
    """The power of each bin, ``[B, T, K * N2]`` as :func:`arrange` orders them, of frames.

    The frames ``[B, T, L]`` are windowed already; L is a multiple of N2, at most ``n_fft``.
    """

    first: Tensor
    second: Tensor
    n2: Final[int]
    taps: Final[int]
    groups: Final[int]

    def __init__(self, n_fft: int, length: int) -> None:
        super().__init__()
        n1, self.n2 = factors(n_fft)
        self.n_fft = n_fft
        self.taps = length // self.n2
        self.groups = n1 // 2 + 1
        self.register_buffer("first", self._first().to(torch.get_default_dtype()))
        self.register_buffer("second", second_stage(n_fft).to(torch.get_default_dtype()))

    def _first(self) -> Tensor:
        return first_stage(self.n_fft, self.taps)

    def constants_dtype(self) -> torch.dtype:
        """That of the first."""
        return self.first.dtype

    def make_constants(self) -> None:
        """Compute them in float64."""
        self.first = self._first().to(self.first.device)
        self.second = second_stage(self.n_fft).to(self.second.device)

    def strided(self, x: Tensor) -> Tensor:
        """The first stage: ``[R, taps, N2]`` to ``[R, K, 2 N2]``."""
        if torch.jit.is_scripting():
            return multiply(self.first, x).reshape(-1, self.groups, 2 * self.n2)
        else:
            if torch.compiler.is_exporting():
                # The same sums: delegates keep the constant of a linear layer packed, while of a
                # product they would copy the one on the left for every frame.
                y = linear(x.transpose(1, 2).contiguous(), self.first).transpose(1, 2)
                return y.reshape(-1, self.groups, 2 * self.n2)
            return multiply(self.first, x).reshape(-1, self.groups, 2 * self.n2)

    def forward(self, frames: Tensor) -> Tensor:
        """Transform, and take the power."""
        y = self.strided(frames.reshape(-1, self.taps, self.n2)).transpose(0, 1)
        y = batch_multiply(y, self.second)
        real, imaginary = y.narrow(2, 0, self.n2), y.narrow(2, self.n2, self.n2)
        power = (real * real).add_(imaginary * imaginary)
        return power.transpose(0, 1).reshape(-1, frames.size(1), self.groups * self.n2)
