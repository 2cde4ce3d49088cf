"""What the sequence losses share: checks, lengths, log-space sums and the fold over time.

Log-probabilities use −1e30 for log 0: unlike −inf it survives subtraction, in value and gradient,
and sums of it stay within float32. Whatever lies below −1e29 is impossible.
"""

from collections.abc import Callable
from typing import List, Tuple

import torch
from torch import Tensor

from scriptable._core.checks import (
    check_rank,
    check_shape,
    check_whole,
)
from scriptable._core.labels import (
    legal_index,
)
from scriptable._core.numeric import (
    mean_of,
)
from scriptable._core.reduction import check_reduction

Step = Callable[[Tensor, Tuple[Tensor, ...]], Tensor]


def check_targets(targets: Tensor, batch: int) -> None:
    """Raise unless targets are integers ``[B, S]``."""
    check_rank("targets", targets, "[B, S]", 2)
    check_shape("targets", targets, [batch, targets.shape[1]])
    if targets.is_floating_point() or targets.is_complex() or targets.dtype == torch.bool:
        raise ValueError(f"targets: expected an integer dtype, got {targets.dtype}")


def blank_class(blank_index: int, classes: int) -> int:
    """The class of the blank, counted from the end where the index is negative."""
    check_whole("blank_index", blank_index)
    if not -classes <= blank_index < classes:
        raise ValueError(
            f"blank_index: expected a label in [{-classes}, {classes - 1}], got {blank_index}"
        )
    return blank_index + classes if blank_index < 0 else blank_index


def within(counts: Tensor, size: int) -> Tensor:
    """Positions below the counts ``[B]``, as a boolean ``[B, size]``."""
    return torch.arange(size, device=counts.device).unsqueeze(0) < counts.unsqueeze(1)


def select_labels(targets: Tensor, counts: Tensor, classes: int) -> Tensor:
    """Targets as int64, each of one of the classes; 0 beyond the counts, where anything may lie."""
    labels = targets.long()
    labels = torch.where(within(counts, labels.shape[1]), labels, torch.zeros_like(labels))
    return legal_index("targets", labels, classes)


def log_add(a: Tensor, b: Tensor) -> Tensor:
    """log(eᵃ + eᵇ) of finite values, in operators that every runtime has."""
    return torch.maximum(a, b) + torch.log1p(torch.exp(-(a - b).abs()))


def label_column(value: int, like: Tensor) -> Tensor:
    """One column ``[B, 1]`` to put beside labels; F.pad makes floats of integers in Core ML."""
    return torch.full((like.shape[0], 1), value, dtype=like.dtype, device=like.device)


def select_scores(scores: Tensor, inside: Tensor) -> Tensor:
    """Scores with −1e30 where ``inside`` is False and in place of −inf; NaN stays in view."""
    ruled_out = torch.logical_or(torch.logical_not(inside), scores < -1e30)
    floor = torch.full((), -1e30, dtype=scores.dtype, device=scores.device)
    return torch.where(ruled_out, floor, scores)


def possible(log_likelihood: Tensor) -> Tensor:
    """−log-likelihood; 0 with a zero gradient where no alignment fits."""
    impossible = log_likelihood < -1e29
    return torch.where(impossible, torch.zeros_like(log_likelihood), -log_likelihood)


def reduce_items(items: Tensor, sizes: Tensor, reduction: str) -> Tensor:
    """Reduce the losses ``[B]`` of the items; ``mean`` and ``batch`` divide by the sizes first."""
    check_reduction(reduction)
    if reduction == "none":
        return items
    if reduction == "sum":
        return items.sum()
    if reduction == "batchmean":
        return items.sum() / max(items.shape[0], 1)
    per_size = items / sizes.clamp(min=1).to(items.dtype)
    if reduction == "batch":
        return per_size
    return mean_of(per_size)


def fold(step: Step, carry: Tensor, frames: List[Tensor]) -> Tensor:
    """The last of carryₜ = step(carryₜ₋₁, the t-th entry of every tensor in ``frames``).

    Not scripted. ``torch.export`` keeps one copy of the step, whatever the number of frames; a
    trace writes it out.
    """
    if torch.compiler.is_exporting():
        from torch._higher_order_ops.scan import scan

        def body(before: Tensor, now: Tuple[Tensor, ...]) -> Tuple[Tensor, Tensor]:
            after = step(before, now)
            # The stacked result must not alias the carry.
            return after, after.clone()

        last: Tensor = scan(body, carry, tuple(frames))[0]
        return last
    for t in range(frames[0].shape[0]):
        carry = step(carry, tuple(frame[t] for frame in frames))
    return carry
