"""Inputs on which ours and the peers' conventions agree."""

import torch
from torch import Generator, Tensor


def generator() -> Generator:
    """The same numbers for every row, whatever ran before.

    Not of seed 0, which draws the weights: embeddings would be equal to class centres.
    """
    return Generator().manual_seed(20240607)


def normal(g: Generator, device: torch.device, *shape: int) -> Tensor:
    """Standard normal values that take a gradient."""
    return torch.randn(*shape, generator=g).to(device).requires_grad_()


def lengths(g: Generator, device: torch.device, batch: int, frames: int) -> Tensor:
    """Relative lengths that rounding up, down and to the nearest turn into the same frames.

    Peers round up, or half to even, and k/T·T in float32 is not always k.
    """
    counts = torch.arange(1, frames + 1)
    exact = counts[(counts / frames) * frames == counts]
    exact = exact[exact >= frames // 5]
    drawn = exact[torch.randint(len(exact), (batch,), generator=g)]
    drawn[0] = frames
    return (drawn / frames).to(device)


def labels(g: Generator, device: torch.device, classes: int, *shape: int) -> Tensor:
    """Class labels."""
    return torch.randint(classes, shape, generator=g).to(device)
