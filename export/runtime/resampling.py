"""The contract's resampler, on audio of any length in memory that does not grow."""

from math import gcd

import torch
from torch import Tensor

from export.errors import InputError

RESAMPLING_METHOD = "sinc_interp_hann"
LOWPASS_FILTER_WIDTH = 6
ROLLOFF = 0.99

# The kernel has about this many taps in all: two rates without a common divisor would need
# gigabytes of them.
_MAX_KERNEL = 20_000_000

# A header that says 1 Hz must not turn a megabyte into gigabytes.
_MAX_STRETCH = 16

# Input samples that are filtered at once. The sums of a block are those of a matrix product, whose
# order may depend on its size: blocks of one size make one recording give one result.
_BLOCK = 1 << 16


class Resampler:
    """Takes a waveform in pieces of any size; see :class:`export.runtime.contract.Audio`.

    With the rates o and n divided by their greatest common divisor, n outputs come from the same
    filters every o inputs: a block of outputs is a matrix of overlapping rows of inputs times the
    matrix of the filters.

    Raises:
        InputError: if the rates have no common divisor large enough for a filter of sane size, or
            the waveform would grow more than 16 times.
    """

    def __init__(self, source_rate: int, sample_rate: int) -> None:
        common = gcd(source_rate, sample_rate)
        self._source, self._target = source_rate // common, sample_rate // common
        if self._source * self._target > _MAX_KERNEL or self._target > _MAX_STRETCH * self._source:
            raise InputError(
                f"{source_rate} Hz cannot be resampled to {sample_rate} Hz here (the rates have no "
                "useful common divisor, or are too far apart): convert the audio with another tool "
                "first"
            )
        self._filters, before = _filters(self._source, self._target)
        self._rows = max(1, _BLOCK // self._source)
        self._waiting = torch.zeros(before, dtype=torch.float64)
        self._read = self._written = 0

    def push(self, block: Tensor) -> Tensor:
        """The outputs ``[*]`` in float32 that more input ``[B]`` completes."""
        self._read += len(block)
        self._waiting = torch.cat([self._waiting, block.double()])
        return self._filtered()

    def finish(self) -> Tensor:
        """The rest, ⌈inputs·n/o⌉ outputs in all: beyond its end the waveform is zero."""
        wanted = -(-self._read * self._target // self._source) - self._written
        blocks = -(-wanted // (self._rows * self._target))
        needed = (blocks * self._rows - 1) * self._source + self._filters.shape[1]
        zeros = torch.zeros(max(0, needed - len(self._waiting)), dtype=torch.float64)
        self._waiting = torch.cat([self._waiting, zeros])
        return self._filtered()[:wanted]

    def _filtered(self) -> Tensor:
        span = (self._rows - 1) * self._source + self._filters.shape[1]
        advance, at, made = self._rows * self._source, 0, []
        while len(self._waiting) - at >= span:
            rows = self._waiting[at : at + span].unfold(0, self._filters.shape[1], self._source)
            made.append((rows @ self._filters.T).reshape(-1).float())
            at += advance
        self._waiting = self._waiting[at:].clone()
        self._written += len(made) * self._rows * self._target
        return torch.cat(made) if made else torch.zeros(0)


def _filters(source: int, target: int) -> tuple[Tensor, int]:
    """``[target, taps]`` in float64, and how many inputs the first tap stands before an output."""
    cutoff = min(source, target) * ROLLOFF
    reach = int(LOWPASS_FILTER_WIDTH * source / cutoff) + 1
    phase = torch.arange(target, dtype=torch.float64).unsqueeze(1) * source
    tap = torch.arange(-reach, source + reach + 1, dtype=torch.float64)
    time = cutoff * (tap * target - phase) / (source * target)
    window = torch.cos(torch.pi * time / (2 * LOWPASS_FILTER_WIDTH)).square()
    inside = time.abs() < LOWPASS_FILTER_WIDTH
    taps = torch.where(inside, torch.sinc(time) * window, torch.zeros_like(time))
    return cutoff / source * taps, reach


def resample(waveform: Tensor, source_rate: int, sample_rate: int) -> Tensor:
    """Resample ``[L]`` to ``[⌈L·sample_rate/source_rate⌉]``, as a recording in a file is.

    Raises:
        InputError: as :class:`Resampler` does.
    """
    if source_rate == sample_rate:
        return waveform
    resampler = Resampler(source_rate, sample_rate)
    return torch.cat([resampler.push(waveform), resampler.finish()]).to(waveform.dtype)
