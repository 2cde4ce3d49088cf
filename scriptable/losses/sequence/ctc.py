"""Connectionist temporal classification."""

from typing import Final, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import check_rank, check_whole
from scriptable._core.numeric import at_least_float32
from scriptable._core.reduction import check_reduction, checked_counts
from scriptable.losses.sequence._lattice import (
    blank_class,
    check_targets,
    fold,
    label_column,
    log_add,
    possible,
    reduce_items,
    select_labels,
    select_scores,
    within,
)
from scriptable.losses.sequence._opaque import opaque_ctc


def _by_kernel(
    log_probs: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tensor:
    """Losses ``[B]`` by torch's kernel, which reads no frame beyond the lengths."""
    # The value stays; the gradient of a class that is ruled out is 0 where the kernel gives NaN.
    log_probs = F.threshold(log_probs, -1e30, -float("inf"))
    return F.ctc_loss(
        log_probs.transpose(0, 1),
        labels,
        frames,
        counts,
        blank_index,
        reduction="none",
        zero_infinity=True,
    )


def _static(
    log_probs: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tensor:
    """Losses ``[B]`` by the recursion over frames, in operators that every runtime has.

    State 2i is the blank before label i, state 2i + 1 is label i; two sentinel states stand before
    them, so that a step is a shift.
    """
    batch, steps, size = log_probs.shape[0], log_probs.shape[1], labels.shape[1]
    valid = within(frames, steps)
    log_probs = select_scores(log_probs, valid.unsqueeze(2))

    blank = label_column(blank_index, labels)
    pairs = torch.stack([blank.expand(batch, size), labels], 2).reshape(batch, 2 * size)
    path = torch.cat([pairs, blank], 1)
    # A blank is never skipped, nor a label between two that are equal.
    other = torch.cat([blank, blank, path], 1)[:, :-2] != path
    skip = (other.to(log_probs.dtype) - 1.0) * 1e30
    emissions = log_probs.gather(2, path.unsqueeze(1).expand(batch, steps, 2 * size + 1))

    def step(before: Tensor, now: Tuple[Tensor, ...]) -> Tensor:
        emission, is_valid = now
        stay, enter, leap = before[:, 2:], before[:, 1:-1], before[:, :-2] + skip
        most = torch.maximum(torch.maximum(stay, enter), leap)
        total = torch.exp(stay - most) + torch.exp(enter - most) + torch.exp(leap - most)
        after = F.pad(most + torch.log(total) + emission, [2, 0], value=-1e30)
        return torch.where(is_valid, after, before)

    # As if a blank had been emitted before the first frame.
    start = F.pad(torch.zeros_like(emissions[:, 0, :1]), [2, 2 * size], value=-1e30)
    last = fold(step, start, [emissions.transpose(0, 1), valid.transpose(0, 1).unsqueeze(2)])
    # Column 2 + s holds state s: the blank after the last label, and that label. Without labels
    # the latter is a sentinel.
    at_blank = last.gather(1, (2 * counts + 2).unsqueeze(1)).squeeze(1)
    at_label = last.gather(1, (2 * counts + 1).unsqueeze(1)).squeeze(1)
    return possible(log_add(at_blank, at_label))


def ctc_items(
    log_probs: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tensor:
    """Losses ``[B]``; labels must be legal beyond their counts, too."""
    if log_probs.numel() == 0:
        return log_probs.flatten(1).sum(1)
    if torch.jit.is_scripting():
        return _by_kernel(log_probs, labels, frames, counts, blank_index)
    elif torch.compiler.is_exporting() or torch.jit.is_tracing():
        return _static(log_probs, labels, frames, counts, blank_index)
    elif torch.compiler.is_compiling():
        return opaque_ctc(log_probs, labels, frames, counts, blank_index)[0]
    else:
        return _by_kernel(log_probs, labels, frames, counts, blank_index)


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lens: Tensor,
    target_lens: Tensor,
    blank_index: int,
    reduction: str = "mean",
) -> Tensor:
    r"""Connectionist temporal classification: −log of the probability of the labels.

    .. math:: \ell_b = -\log \sum_{\pi \in \mathcal{B}^{-1}(y_b)} \prod_t p_{bt}(\pi_t)

    over all frame sequences π that become the labels y once repetitions are merged and blanks are
    dropped. An item that no π fits contributes 0.

    The gradient is the one of ``F.ctc_loss``: p minus the posterior of each class, which is the
    gradient by the logits. Let ``log_probs`` be a log-softmax, and everything before it gets the
    exact gradient.

    Args:
        log_probs: log-probabilities, shape ``[B, T, C]``.
        targets: labels without blanks, integers, shape ``[B, S]``; anything may lie beyond
            ``target_lens``.
        input_lens: relative lengths of the inputs in [0, 1], shape ``[B]``.
        target_lens: relative lengths of the targets in [0, 1], shape ``[B]``.
        blank_index: class of the blank; −1 is the last class.
        reduction: ``mean`` (ℓ/S, averaged over the items), ``batch`` (ℓ/S of each item),
            ``batchmean`` (Σℓ/B), ``sum`` or ``none`` (ℓ of each item).

    Returns:
        The loss in nats: a scalar, ``[B]`` for ``batch`` and ``none``.

    Raises:
        ValueError: on mismatched shapes, targets that are not integers, a label or a blank that is
            no class, or an unknown reduction.

    Reference:
        Graves et al., "Connectionist temporal classification", ICML 2006, eq. 6–8;
        ``speechbrain.nnet.losses.ctc_loss``.

    Example:
        >>> log_probs = torch.tensor([[[0.6, 0.4], [0.5, 0.5]]]).log()
        >>> ctc_loss(log_probs, torch.tensor([[1]]), torch.ones(1), torch.ones(1), blank_index=0)
        tensor(0.3567)

        That is −log(0.4·0.5 + 0.4·0.5 + 0.6·0.5) = −log 0.7.
    """
    check_rank("log_probs", log_probs, "[B, T, C]", 3)
    batch, steps, classes = log_probs.shape
    check_targets(targets, batch)
    check_reduction(reduction)
    blank = blank_class(blank_index, classes)
    frames = checked_counts("input_lens", input_lens, batch, steps)
    counts = checked_counts("target_lens", target_lens, batch, targets.shape[1])
    labels = select_labels(targets, counts, classes)
    items = ctc_items(at_least_float32(log_probs), labels, frames, counts, blank)
    return reduce_items(items, counts, reduction)


class CTCLoss(nn.Module):
    """:func:`ctc_loss` with its configuration frozen.

    Args:
        blank_index: class of the blank; −1 is the last class.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - log_probs: ``[B, T, C]``; targets: ``[B, S]``; input_lens, target_lens: ``[B]``.
        - loss: a scalar, ``[B]`` for ``batch`` and ``none``.

    Raises:
        ValueError: on mismatched shapes, targets that are not integers, a label or a blank that is
            no class, or an unknown reduction.

    Example:
        >>> loss = CTCLoss(blank_index=0, reduction="none")
        >>> log_probs = torch.full((1, 3, 2), 0.5).log()
        >>> loss(log_probs, torch.tensor([[1]]), torch.ones(1), torch.ones(1))
        tensor([0.2877])
    """

    blank_index: Final[int]
    reduction: Final[str]

    def __init__(self, blank_index: int, reduction: str = "mean") -> None:
        super().__init__()
        check_whole("blank_index", blank_index)
        check_reduction(reduction)
        self.blank_index = blank_index
        self.reduction = reduction

    def forward(
        self, log_probs: Tensor, targets: Tensor, input_lens: Tensor, target_lens: Tensor
    ) -> Tensor:
        """Loss of a batch, see :func:`ctc_loss`."""
        return ctc_loss(
            log_probs, targets, input_lens, target_lens, self.blank_index, self.reduction
        )
