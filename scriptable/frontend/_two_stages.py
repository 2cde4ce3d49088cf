"""The Fourier transform of a frame in two short stages, in place of one long product."""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from scriptable.frontend._exact import ExactConstants
from scriptable.frontend._layers import batch_multiply, linear, multiply


def factors(n_fft: int) -> tuple[int, int]:
    """N1 and N2 with ``N1 * N2 = n_fft``, N1 even; N1 is 1 where two stages would not pay.

    N2 is the least such divisor not below the root. A shorter first stage loses less to rounding:
    its sums grow with the loudest tone, and the second takes the quiet bins from among them.
    """
    for second in range(math.isqrt(n_fft - 1) + 1, n_fft // 4 + 1):
        if n_fft % (2 * second) == 0:
            return n_fft // second, second
    return 1, n_fft


def _turn(product: Tensor, period: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of ``exp(-2 pi i product / period)``, reduced as integers first."""
    angles = (product % period).double() * (2.0 * math.pi / period)
    return angles.cos(), -angles.sin()


def first_stage(n_fft: int, taps: int) -> Tensor:
    """Constants ``[2 K, taps]`` over n1, for k1 = 0 … K - 1 and K = N1 / 2.

    Sample ``n = N2 n1 + n2`` turns bin ``k = k1 + N1 k2`` by ``n1 k1 / N1``, the same for all n2.
    Real input needs no more than K + 1 of the N1, and the first and the last of these are real:
    the last one stands where the first one's imaginary part would.
    """
    n1, _ = factors(n_fft)
    half = n1 // 2
    real, imaginary = _turn(torch.outer(torch.arange(half + 1), torch.arange(taps)), n1)
    imaginary[0] = real[half]
    return torch.stack([real[:half], imaginary[:half]], 1).reshape(-1, taps)


def second_stage(n_fft: int) -> Tensor:
    """Constants ``[K, 2 N2, 2 N2]``: for each k1 a complex product over n2 as a real one.

    Rows are real parts, then imaginary ones, columns likewise; the turns are by ``n2 k / n_fft``.
    The rows of k1 = 0 are two real sums instead: of bins at even places, and at odd ones.
    """
    _, n2 = factors(n_fft)
    samples = torch.arange(n2).view(1, n2, 1)
    real, imaginary = _turn(samples * _bins(n_fft).unsqueeze(1), n_fft)
    turns = torch.cat([real, imaginary], 2)
    matrix = torch.cat([turns, torch.cat([-imaginary, real], 2)], 1)
    odd = (torch.arange(n2) % 2).double().repeat(2)
    matrix[0] = torch.cat([turns[0] * (1.0 - odd), turns[0] * odd])
    # The last bin, real like the first, takes the imaginary place of the first.
    matrix[0, :, n2] = 0.0
    last = n2 % 2 * n2
    matrix[0, last : last + n2, n2] = 1.0 - 2.0 * (torch.arange(n2) % 2)
    return matrix


def _bins(n_fft: int) -> Tensor:
    """Which bins come out, ``[K, N2]``; k above ``n_fft / 2`` is bin ``n_fft - k``.

    For k1 = 0 these are the multiples of K. Bins 0 and ``n_fft / 2`` share the first place.
    """
    n1, n2 = factors(n_fft)
    found = torch.arange(n1 // 2).unsqueeze(1) + n1 * torch.arange(n2)
    found[0] = n1 // 2 * torch.arange(n2)
    return found


def order(n_fft: int) -> Tensor:
    """The bin that comes out at each place, ``[K * N2]``; ``n_fft / 2`` is at that of bin 0."""
    found = _bins(n_fft).flatten()
    return torch.minimum(found, n_fft - found)


def tells_ends_apart(filters: Tensor) -> bool:
    """Whether filters ``[n_bins, M]`` weigh the first bin and the last, of one place, apart."""
    return bool((filters[0] - filters[-1]).abs().max() > 1e-6 * filters.abs().max())


def arrange(filters: Tensor, n_fft: int) -> Tensor:
    """Filters ``[n_bins, M]`` in the order in which the bins come out, ``[K * N2, M]``."""
    if tells_ends_apart(filters):
        apart = float((filters[0] - filters[-1]).abs().max())
        raise ValueError(
            "filterbank.weight: expected the same weights for the first and the last bin, whose "
            f"power comes out as one sum, got weights {apart:.3g} apart"
        )
    return filters[order(n_fft)]


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
        self.groups = n1 // 2
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
