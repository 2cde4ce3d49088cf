"""What the classification losses share: frames and utterances in one layout."""

from typing import Optional, Tuple

import torch
from torch import Tensor

from scriptable._core.checks import check_shape
from scriptable._core.reduction import frame_mask, select_valid, truncate


def as_frames(
    name: str, scores: Tensor, targets: Tensor, length: Optional[Tensor], allowed_len_diff: int
) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
    """``[B, C]`` or ``[B, T, C]`` and targets → ``[B, T, C]``, ``[B, T]`` and the valid frames.

    A target without a batch dimension belongs to a batch of one. Targets in the padding become 0,
    so that an index there is never out of range.
    """
    if scores.dim() == 2:
        check_shape("targets", targets, [scores.shape[0]])
        if length is not None:
            raise ValueError(
                f"length: expected None for {name} without frames, got shape {list(length.shape)}"
            )
        return scores.unsqueeze(1), targets.long().unsqueeze(1), None
    if scores.dim() != 3:
        raise ValueError(f"{name}: expected shape [B, C] or [B, T, C], got {list(scores.shape)}")
    if targets.dim() == 1 and scores.shape[0] == 1:
        targets = targets.unsqueeze(0)
    scores, targets = truncate(scores, targets, allowed_len_diff)
    check_shape("targets", targets, [scores.shape[0], scores.shape[1]])
    labels = targets.long()
    if length is None:
        return scores, labels, None
    mask = frame_mask(length, scores.shape[0], scores.shape[1])
    return scores, select_valid(labels, mask), mask


def picked(scores: Tensor, labels: Tensor) -> Tensor:
    """``scores [B, T, C]`` at ``labels [B, T]`` → ``[B, T]``."""
    return scores.gather(2, labels.unsqueeze(2)).squeeze(2)


def like_targets(loss: Tensor, scores: Tensor) -> Tensor:
    """Without reduction the loss of ``scores [B, C]`` is ``[B]``: no frame dimension is left."""
    if scores.dim() == 2 and loss.dim() == 2:
        return loss.squeeze(1)
    return loss


def zero_unless(mask: Optional[Tensor], values: Tensor) -> Tensor:
    """``values [B, T]`` with 0 in the padding."""
    if mask is None:
        return values
    return torch.where(mask, values, torch.zeros_like(values))
