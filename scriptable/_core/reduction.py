"""Length masks and reductions, the same for every loss.

A length is relative, in [0, 1]; it means round-half-up(length·T) frames, and one at least where it
is above 0. An element is *valid* when its frame lies within the length of its item. The reductions
of an unreduced loss ``[B, T, *]``:

============  =============================================  ======
``mean``      sum over valid elements / number of them       scalar
``batch``     the same for each item                         ``[B]``
``batchmean`` sum over valid elements / B                    scalar
``sum``       sum over valid elements                        scalar
``none``      every element, 0 where it is not valid         ``[B, T, *]``
============  =============================================  ======

An item without valid elements contributes 0. A sum over nothing is 0: a batch without items has the
loss 0 (``[0]`` where there is one per item), and its gradients are 0, not None, so that a rank
without items trains on. Half precision is accumulated in float32. Where the elements have class
weights, their total weight takes the place of their number.
"""

from typing import Optional, Tuple

import torch
from torch import Tensor

from scriptable._core.checks import (
    check_choice,
    check_relative_dtype,
    check_shape,
    check_whole,
)
from scriptable._core.numeric import (
    at_least_float32,
    mean_of,
)
from scriptable._core.values import (
    can_be_checked,
    check_relative,
)

REDUCTIONS = ["mean", "batch", "batchmean", "sum", "none"]


def check_reduction(reduction: str) -> None:
    """Raise unless ``reduction`` is one of the five."""
    check_choice("reduction", reduction, ["mean", "batch", "batchmean", "sum", "none"])


def truncate(
    predictions: Tensor, targets: Tensor, allowed_len_diff: int = 3
) -> Tuple[Tensor, Tensor]:
    """Cut predictions and targets to the shorter of the two along dimension 1.

    Args:
        predictions: shape ``[B, T1, *]``.
        targets: shape ``[B, T2, *]``.
        allowed_len_diff: largest ``|T1 − T2|`` in frames that is tolerated.

    Returns:
        Both tensors with ``min(T1, T2)`` frames.

    Raises:
        ValueError: if the lengths differ by more than ``allowed_len_diff``, or one has no
            dimension 1.

    Reference:
        ``speechbrain.nnet.losses.truncate``.

    Example:
        >>> predictions, targets = truncate(torch.zeros(2, 10, 3), torch.zeros(2, 8))
        >>> predictions.shape, targets.shape
        (torch.Size([2, 8, 3]), torch.Size([2, 8]))
    """
    check_whole("allowed_len_diff", allowed_len_diff)
    if predictions.dim() < 2:
        raise ValueError(f"predictions: expected shape [B, T, *], got {list(predictions.shape)}")
    if targets.dim() < 2:
        raise ValueError(f"targets: expected shape [B, T, *], got {list(targets.shape)}")
    if predictions.shape[1] == targets.shape[1]:
        return predictions, targets
    frames = min(predictions.shape[1], targets.shape[1])
    if abs(predictions.shape[1] - targets.shape[1]) > allowed_len_diff:
        raise ValueError(
            f"targets: expected {predictions.shape[1]} frames (at most {allowed_len_diff} more or "
            f"fewer), got {targets.shape[1]}"
        )
    return predictions[:, :frames], targets[:, :frames]


def frame_counts(length: Tensor, frames: int) -> Tensor:
    """Relative lengths ``[B]`` → whole frames ``[B]``, int64, within [0, T].

    They are rounded half up, but a length above 0 has one frame at least: where a vector stands for
    a whole utterance, T = 1, half of the utterances would have none.
    """
    length = at_least_float32(length)
    # As integers the halves are cut off, and whatever a NaN becomes is within bounds after it.
    exact = torch.maximum(length * frames + 0.5, torch.ceil(length))
    return exact.long().clamp(min=0, max=frames)


def checked_counts(name: str, length: Tensor, batch: int, frames: int) -> Tensor:
    """:func:`frame_counts` of an argument that has to be relative lengths ``[B]``."""
    check_shape(name, length, [batch])
    check_relative_dtype(name, length)
    if can_be_checked(length):
        check_relative(name, length, frames)
    return frame_counts(length, frames)


def frame_mask(length: Tensor, batch: int, frames: int, name: str = "length") -> Tensor:
    """Valid frames as a boolean ``[B, T]``."""
    positions = torch.arange(frames, device=length.device)
    return positions.unsqueeze(0) < checked_counts(name, length, batch, frames).unsqueeze(1)


def expand_mask(mask: Tensor, like: Tensor) -> Tensor:
    """A mask ``[B, T]`` as ``[B, T, 1, ...]`` with as many dimensions as ``like``."""
    for _ in range(like.dim() - mask.dim()):
        mask = mask.unsqueeze(-1)
    return mask


def select(x: Tensor, mask: Tensor, fill: float = 0.0) -> Tensor:
    """``x`` with ``fill`` wherever a mask that broadcasts to it is False."""
    other = torch.full((), fill, dtype=x.dtype, device=x.device)
    return torch.where(mask, x, other)


def select_valid(x: Tensor, mask: Tensor, fill: float = 0.0) -> Tensor:
    """``x [B, T, *]`` with ``fill`` wherever ``mask [B, T]`` is False."""
    return select(x, expand_mask(mask, x), fill)


def reduce_valid(
    loss: Tensor, mask: Optional[Tensor], reduction: str, elements: Optional[int] = None
) -> Tensor:
    """Reduce ``loss [B, T, *]``, which is 0 wherever ``mask [B, T]`` is 0.

    Args:
        loss: unreduced loss; whoever calls has selected the padding away from the inputs.
        mask: valid frames, or the class weight of each frame, 0 where it is not valid; None when
            all are valid.
        reduction: one of the table above.
        elements: elements that a frame of ``loss`` stands for; None counts them.

    Returns:
        As the table says.

    Raises:
        ValueError: if ``reduction`` is unknown.
    """
    check_reduction(reduction)
    if reduction == "none":
        return loss
    loss = at_least_float32(loss)
    if reduction == "sum":
        return loss.sum()
    if reduction == "batchmean":
        return loss.sum() / max(loss.shape[0], 1)
    if mask is None:
        if reduction == "mean":
            return mean_of(loss)
        items = loss.flatten(1)
        return items.sum(1) / max(items.shape[1], 1)
    if elements is None:
        elements = 1
        for size in loss.shape[2:]:
            elements *= size
    counts = mask.to(loss.dtype).sum(1) * elements
    if reduction == "mean":
        return loss.sum() / _or_one(counts.sum())
    return loss.flatten(1).sum(1) / _or_one(counts)


def _or_one(counts: Tensor) -> Tensor:
    """Counts, or total weights, with 1 in place of 0, so that nothing is divided by 0."""
    return counts + (counts == 0).to(counts.dtype)
