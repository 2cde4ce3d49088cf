"""Stands in for your data: half a second of "voice", genuine or made by a cheap vocoder."""

import torch
from torch import Tensor

SAMPLE_RATE = 16000
NUM_SAMPLES = 8000


def draw(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Waveforms ``[count, N]`` and labels ``[count]``, 1 for bona fide, half of each.

    Both kinds are harmonics of a drifting pitch in noise; the vocoder keeps the pitch still and
    loses what is above 2 kHz.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    time = torch.arange(NUM_SAMPLES) / SAMPLE_RATE
    pitch = 90 + 120 * torch.rand(count, 1, 1, generator=generator)
    drift = 0.03 * torch.sin(2 * torch.pi * 4 * time) * labels.reshape(-1, 1, 1)
    harmonics = torch.arange(1, 31).reshape(1, -1, 1)
    kept = (labels.reshape(-1, 1, 1) == 1) | (harmonics * pitch < 2000)
    waves = torch.sin(2 * torch.pi * harmonics * pitch * (time + drift / 50)) / harmonics
    noise = 0.02 * torch.randn(count, NUM_SAMPLES, generator=generator)
    return 0.2 * (waves * kept).sum(1) + noise, labels
