"""Random inputs for the rows."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from scriptable import cut_windows


def normal(generator: Generator, *shape: int) -> Tensor:
    """Standard normal values."""
    return torch.randn(*shape, generator=generator)


def uniform(generator: Generator, *shape: int) -> Tensor:
    """Values in [0, 1)."""
    return torch.rand(*shape, generator=generator)


def labels(generator: Generator, *shape: int, classes: int = 2) -> Tensor:
    """Class labels."""
    return torch.randint(classes, shape, generator=generator)


def lengths(generator: Generator, batch: int, frames: int) -> Tensor:
    """Relative lengths k/T, k in [1, T], the longest 1 as in a padded batch."""
    counts = torch.randint(1, frames + 1, (batch,), generator=generator)
    counts[torch.randint(batch, (1,), generator=generator)] = frames
    return counts / frames


def waveform(generator: Generator, batch: int, samples: int) -> Tensor:
    """Noise and two tones within [−1, 1], another mixture in every item."""
    time = torch.arange(samples) / 16000
    frequency = 100 + 3000 * torch.rand(batch, 2, 1, generator=generator)
    tones = torch.sin(2 * torch.pi * frequency * time).sum(1)
    noise = torch.randn(batch, samples, generator=generator)
    return (0.15 * tones + 0.1 * noise).clamp(-1, 1)


def speech(samples: int) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Two windows of real speech ``[L]``, for rows that take audio."""
    return lambda waveform: (cut_windows(waveform, samples, samples)[1:3],)


def under_way(
    step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], past: Tensor, stream: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """The last chunk of ``[B, k·size]``, and the state to which ``step`` came on those before."""
    *before, chunk = stream.split(size, dim=1)
    with torch.no_grad():
        for earlier in before:
            past = step(earlier, past)[1]
    return chunk.contiguous(), past
