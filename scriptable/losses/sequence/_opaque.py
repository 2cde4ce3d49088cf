"""The sequence losses as single operators, for ``torch.compile``.

Their loops run as long as the sequences are: compiled step by step they would take a minute for
every new pair of lengths, and torch's CTC kernel reads lengths that no graph knows. One operator
whose shapes follow from its inputs' is compiled once, and stays as fast as it is in eager mode.
"""

from typing import Any, Tuple

import torch
from torch import Tensor

from scriptable._core.values import can_be_checked, check_classes
from scriptable.losses.sequence._occupancy import occupancies


def _check(labels: Tensor, classes: int) -> None:
    """The kernels read where the labels point, before an assertion in the graph would see it."""
    if can_be_checked(labels):
        check_classes("targets", labels, classes)


@torch.library.custom_op("scriptable::transducer", mutates_args=())
def opaque_transducer(
    logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tuple[Tensor, Tensor]:
    """Losses ``[B]`` and their gradients by the logits."""
    _check(labels, logits.shape[3])
    return occupancies(logits, labels, frames, counts, blank_index)


@torch.library.custom_op("scriptable::ctc", mutates_args=())
def opaque_ctc(
    log_probs: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tuple[Tensor, Tensor]:
    """Losses ``[B]`` and their gradients by the log-probabilities."""
    _check(labels, log_probs.shape[2])
    possible = log_probs > -1e30
    x = log_probs.masked_fill(~possible, -float("inf")).transpose(0, 1).contiguous()
    losses, alpha = torch.ops.aten._ctc_loss(x, labels, frames, counts, blank_index, True)
    gradient = torch.ops.aten._ctc_loss_backward(
        torch.ones_like(losses), x, labels, frames, counts, losses, alpha, blank_index, True
    )
    gradient = gradient.transpose(0, 1).masked_fill(~possible, 0.0).contiguous()
    return losses.masked_fill(losses.isinf(), 0.0), gradient


def _shapes(
    scores: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tuple[Tensor, Tensor]:
    return scores.new_empty(scores.shape[0]), scores.new_empty(scores.shape)


def _keep(ctx: Any, inputs: Tuple[Any, ...], output: Tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1])


def _slope(ctx: Any, upstream: Tensor, _: Tensor) -> Tuple[Any, ...]:
    (gradient,) = ctx.saved_tensors
    by_item = upstream.reshape([-1] + [1] * (gradient.dim() - 1))
    return gradient * by_item, None, None, None, None


for _operator in (opaque_transducer, opaque_ctc):
    _operator.register_fake(_shapes)
    _operator.register_autograd(_slope, setup_context=_keep)
