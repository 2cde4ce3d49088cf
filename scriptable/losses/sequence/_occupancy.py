"""The transducer's forward–backward algorithm: losses and their gradients, without autograd.

The lattice of an item has a node (t, u) per frame and number of labels emitted. All nodes of one
anti-diagonal t + u depend on the one before only, so that one loop over T + S diagonals does every
item, and both directions, at once: backwards is forwards on the lattice turned by 180°.
"""

from typing import Any, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from scriptable.losses.sequence._lattice import label_column, possible, within


def skew(x: Tensor) -> Tensor:
    """``[N, T, U]`` → anti-diagonals ``[T + U − 1, N, U]``; log 0 where one leaves the lattice."""
    count, steps, size = x.shape[0], x.shape[1], x.shape[2]
    rows = F.pad(x.transpose(1, 2), [0, size], value=-1e30).reshape(count, size * (steps + size))
    cut = rows[:, : size * (steps + size - 1)].reshape(count, size, steps + size - 1)
    return cut.permute(2, 0, 1)


def _unskew(x: Tensor, steps: int) -> Tensor:
    """The inverse of :func:`skew`."""
    diagonals, count, size = x.shape[0], x.shape[1], x.shape[2]
    rows = F.pad(x.permute(1, 2, 0).reshape(count, size * diagonals), [0, size])
    return rows.reshape(count, size, diagonals + 1)[:, :, :steps].transpose(1, 2)


def _wavefront(by_blank: Tensor, by_label: Tensor) -> Tensor:
    """Log-probability of reaching each node from (0, 0), by what leads into it; ``[D, N, U]``."""
    count, size = by_blank.shape[1], by_blank.shape[2]
    reached = F.pad(torch.full_like(by_blank, -1e30), [1, 0], value=-1e30)
    reached[0, :, 1] = 0.0
    # All views are taken before the loop, whose time is that of its calls: two for a diagonal.
    before = reached.unfold(2, size, 1).unbind(0)
    into = torch.stack([by_label, by_blank], 2).unbind(0)
    after = reached[:, :, 1:].unbind(0)
    both = by_blank.new_empty(count, 2, size)
    left, below = both.unbind(1)
    for d in range(1, len(into)):
        torch.add(before[d - 1], into[d], out=both)
        torch.logaddexp(left, below, out=after[d])
    return reached[:, :, 1:]


def _reach(blank: Tensor, label: Tensor, turned: Tensor) -> Tuple[Tensor, Tensor]:
    """Log-probabilities ``[B, T, U]`` from the start to each node, and from it to the last node."""
    batch, steps, size = blank.shape[0], blank.shape[1], blank.shape[2]
    back_blank = blank.reshape(batch, -1).gather(1, turned).reshape(blank.shape)
    back_label = label.reshape(batch, -1).gather(1, turned).reshape(blank.shape)
    into_blank = F.pad(blank[:, :-1], [0, 0, 1, 0], value=-1e30)
    into_label = F.pad(label[:, :, :-1], [1, 0], value=-1e30)
    waves = _wavefront(
        skew(torch.cat([into_blank, back_blank])).contiguous(),
        skew(torch.cat([into_label, back_label])).contiguous(),
    )
    both = _unskew(waves, steps)
    onward = both[batch:].reshape(batch, -1).gather(1, turned).reshape(batch, steps, size)
    return both[:batch], onward


def _precise(lattice: Tensor) -> Tensor:
    """The lattice, 1/C of the logits, in float64 where the device has it.

    An occupancy is the exp of a small difference between sums that grow with T: in float32 it
    would lose one digit per factor of ten in the loss.
    """
    return lattice if lattice.device.type == "mps" else lattice.double()


def occupancies(
    logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tuple[Tensor, Tensor]:
    """Losses ``[B]`` and their gradients by the logits ``[B, T, U, C]``, U = S + 1.

    Nothing beyond the lengths is used; labels must be legal there, too.
    """
    batch, steps, size = logits.shape[0], logits.shape[1], logits.shape[2]
    inside = within(frames, steps).unsqueeze(2) & within(counts + 1, size).unsqueeze(1)
    before_last = inside & within(counts, size).unsqueeze(1)
    index = torch.cat([labels, label_column(0, labels)], 1).reshape(batch, 1, size, 1)
    index = index.expand(batch, steps, size, 1)

    gradient = torch.softmax(logits, 3)
    # The same as logsumexp, without another exp of every logit: the largest p is at least 1/C.
    norm = logits.amax(3) - gradient.amax(3).log()
    blank = _precise(logits[:, :, :, blank_index] - norm).clamp(min=-1e30)
    label = _precise(logits.gather(3, index).squeeze(3) - norm).clamp(min=-1e30)
    blank = blank.masked_fill(~inside, -1e30)
    label = label.masked_fill(~before_last, -1e30)

    # Node (t, u) of the turned lattice is (T_b − 1 − t, S_b − u).
    frame = frames.unsqueeze(1) - 1 - torch.arange(steps, device=logits.device)
    place = counts.unsqueeze(1) - torch.arange(size, device=logits.device)
    turned = (frame.clamp(min=0) * size).unsqueeze(2) + place.clamp(min=0).unsqueeze(1)
    last = ((frames - 1).clamp(min=0) * size + counts).unsqueeze(1)
    reached, onward = _reach(blank, label, turned.reshape(batch, -1))

    end = blank.reshape(batch, -1).gather(1, last)
    log_likelihood = reached.reshape(batch, -1).gather(1, last) + end
    impossible = log_likelihood < -1e29
    onward = torch.where(inside, onward + end.unsqueeze(2), torch.full_like(onward, -1e30))
    after_blank = F.pad(onward[:, 1:], [0, 0, 0, 1], value=-1e30).reshape(batch, -1)
    after_blank = after_blank.scatter(1, last, torch.zeros_like(end)).reshape(blank.shape)
    after_label = F.pad(onward[:, :, 1:], [0, 1], value=-1e30)

    share = reached - log_likelihood.unsqueeze(2)
    share = share.masked_fill(~inside | impossible.unsqueeze(2), -1e30)
    by_node = torch.exp(share + onward).to(logits.dtype)
    by_blank = torch.exp(share + blank + after_blank).to(logits.dtype)
    by_label = torch.exp(share + label + after_label).to(logits.dtype)
    gradient.mul_(by_node.unsqueeze(3))
    gradient[:, :, :, blank_index] -= by_blank
    gradient.scatter_add_(3, index, -by_label.unsqueeze(3))
    # 0 · NaN, where the padding holds NaN.
    gradient.masked_fill_(~inside.unsqueeze(3), 0.0)
    return possible(log_likelihood).squeeze(1).to(logits.dtype), gradient


class Occupancies(torch.autograd.Function):
    """:func:`occupancies` for autograd: one tensor of the logits' size is kept, not the lattice."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        logits: Tensor,
        labels: Tensor,
        frames: Tensor,
        counts: Tensor,
        blank_index: int,
    ) -> Tensor:
        """Losses of the items."""
        losses, gradient = occupancies(logits, labels, frames, counts, blank_index)
        ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tuple[Tensor, None, None, None, None]:
        """Gradients by the logits."""
        (gradient,) = ctx.saved_tensors
        return gradient * upstream.reshape(-1, 1, 1, 1), None, None, None, None
