"""Inputs of the sequence losses, drawn anew, and their definitions spelled out."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby, product

import torch
from hypothesis import strategies as st
from torch import Tensor

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Sequences:
    """Scores and labels with relative lengths k/T and k/S."""

    logits: Tensor
    targets: Tensor
    input_lens: Tensor
    target_lens: Tensor
    blank: int

    @property
    def lengths(self) -> tuple[Tensor, Tensor]:
        return self.input_lens, self.target_lens

    def frames(self, item: int) -> int:
        return round(float(self.input_lens[item]) * self.logits.shape[1])

    def labels(self, item: int) -> list[int]:
        count = round(float(self.target_lens[item]) * self.targets.shape[1])
        return self.targets[item, :count].tolist()


@st.composite
def sequences(
    draw: st.DrawFn,
    lattice: bool = False,
    largest: int = 8,
    smallest: int = 0,
    scales: tuple[float, ...] = (0.1, 1.0, 10.0),
) -> Sequences:
    """A batch; with ``lattice``, scores for every frame and number of labels."""
    batch, classes = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    steps, size = draw(st.integers(1, largest)), draw(st.integers(1, max(1, largest // 2)))
    blank = draw(st.integers(0, classes - 1))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scale = draw(st.sampled_from(scales))
    shape = (batch, steps, size + 1, classes) if lattice else (batch, steps, classes)
    targets = torch.randint(classes - 1, (batch, size), generator=generator)

    def lengths(most: int) -> Tensor:
        return torch.randint(smallest, most + 1, (batch,), generator=generator) / most

    return Sequences(
        scale * torch.randn(shape, generator=generator, dtype=torch.float64),
        targets + (targets >= blank),
        lengths(steps),
        lengths(size),
        blank,
    )


def value_and_gradient(loss: Loss, x: Tensor) -> tuple[Tensor, Tensor]:
    """A loss, and the gradient of the sum of its items weighted 1, 2, ... by ``x``."""
    leaf = x.detach().clone().requires_grad_()
    value = loss(leaf)
    weights = torch.arange(1, value.numel() + 1, dtype=value.dtype).reshape(value.shape)
    (gradient,) = torch.autograd.grad((value * weights).sum(), leaf)
    return value.detach(), gradient


def collapse(path: list[int], blank: int) -> list[int]:
    """Merge repetitions, then drop blanks."""
    return [label for label, _ in groupby(path) if label != blank]


def ctc_by_enumeration(log_probs: Tensor, labels: list[int], blank: int) -> float:
    """−log of the summed probability of every path ``[T]`` that collapses to the labels."""
    steps, classes = log_probs.shape
    fitting = [
        log_probs[torch.arange(steps), torch.tensor(path, dtype=torch.long)].sum()
        for path in product(range(classes), repeat=steps)
        if collapse(list(path), blank) == labels
    ]
    return -float(torch.logsumexp(torch.stack(fitting), 0)) if fitting else 0.0


def transducer_by_enumeration(log_probs: Tensor, labels: list[int], blank: int) -> float:
    """−log of the summed probability of every order of T blanks, the last one last, and labels."""
    frames, size = log_probs.shape[0], len(labels)
    if frames == 0:
        return 0.0
    fitting = []
    for moves in product((0, 1), repeat=frames + size - 1):
        if sum(moves) != size:
            continue
        t = u = 0
        total = torch.zeros((), dtype=log_probs.dtype)
        for is_label in (*moves, 0):
            total = total + log_probs[t, u, labels[u] if is_label else blank]
            t, u = (t, u + 1) if is_label else (t + 1, u)
        fitting.append(total)
    return -float(torch.logsumexp(torch.stack(fitting), 0))
