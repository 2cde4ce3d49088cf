"""The recurrent neural network transducer."""

from typing import Final, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import (
    check_flag,
    check_rank,
    check_whole,
)
from scriptable._core.numeric import (
    at_least_float32,
    precise_product,
)
from scriptable._core.reduction import (
    check_reduction,
    checked_counts,
)
from scriptable._core.values import (
    in_plain_eager,
)
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
from scriptable.losses.sequence._occupancy import Occupancies, occupancies, skew
from scriptable.losses.sequence._opaque import opaque_transducer


def _select(logits: Tensor, frames: Tensor, counts: Tensor) -> Tensor:
    """Logits, finite and the same for every class beyond the lengths."""
    steps, size = logits.shape[1], logits.shape[2]
    inside = torch.logical_and(
        within(frames, steps).unsqueeze(2), within(counts + 1, size).unsqueeze(1)
    )
    return select_scores(logits, inside.unsqueeze(3))


def _scripted(
    logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tensor:
    """Losses ``[B]`` that take their gradient from gradient · logits, without a custom backward."""
    logits = _select(logits, frames, counts)
    losses, gradient = occupancies(logits.detach(), labels, frames, counts, blank_index)
    batch = logits.shape[0]
    product = precise_product(gradient.reshape(batch, 1, -1), logits.reshape(batch, -1, 1))
    product = product.reshape(batch)
    return losses + (product - product.detach())


def _static(
    logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tensor:
    """Losses ``[B]`` by the recursion over anti-diagonals, in operators every runtime has."""
    batch, steps, size = logits.shape[0], logits.shape[1], logits.shape[2]
    logits = _select(logits, frames, counts)
    norm = logits.logsumexp(3)
    blank = logits[:, :, :, blank_index] - norm
    index = torch.cat([labels, label_column(0, labels)], 1).reshape(batch, 1, size, 1)
    index = index.expand(batch, steps, size, 1)
    label = logits.gather(3, index).squeeze(3) - norm

    by_blank = skew(F.pad(blank[:, :-1], [0, 0, 1, 0], value=-1e30))
    by_label = skew(F.pad(label[:, :, :-1], [1, 0], value=-1e30))
    # An item stands still once the diagonal of its last node, T_b − 1 + S_b, is reached.
    running = within(frames + counts, steps + size - 1).transpose(0, 1).unsqueeze(2)

    def step(before: Tensor, now: Tuple[Tensor, ...]) -> Tensor:
        from_blank, from_label, is_running = now
        reached = log_add(before[:, 1:] + from_blank, before[:, :-1] + from_label)
        return torch.where(is_running, torch.cat([outside, reached], 1), before)

    outside = torch.full_like(blank[:, 0, :1], -1e30)
    start = F.pad(torch.zeros_like(outside), [1, size - 1], value=-1e30)
    if steps + size > 2:
        start = fold(step, start, [by_blank[1:], by_label[1:], running[1:]])
    reached = start.gather(1, counts.unsqueeze(1) + 1)
    last = ((frames - 1).clamp(min=0) * size + counts).unsqueeze(1)
    log_likelihood = (reached + blank.reshape(batch, -1).gather(1, last)).squeeze(1)
    return possible(torch.where(frames > 0, log_likelihood, torch.full_like(log_likelihood, -1e30)))


def _items(
    logits: Tensor, labels: Tensor, frames: Tensor, counts: Tensor, blank_index: int
) -> Tensor:
    """Losses ``[B]``; labels must be legal beyond their counts, too."""
    if logits.numel() == 0:
        return logits.flatten(1).sum(1)
    if torch.jit.is_scripting():
        return _scripted(logits, labels, frames, counts, blank_index)
    elif torch.compiler.is_compiling() and not torch.compiler.is_exporting():
        return opaque_transducer(logits, labels, frames, counts, blank_index)[0]
    elif in_plain_eager(logits):
        items: Tensor = Occupancies.apply(logits, labels, frames, counts, blank_index)
        return items
    else:
        return _static(logits, labels, frames, counts, blank_index)


def transducer_loss(
    logits: Tensor,
    targets: Tensor,
    input_lens: Tensor,
    target_lens: Tensor,
    blank_index: int,
    reduction: str = "mean",
    use_torchaudio: bool = True,
) -> Tensor:
    r"""Transducer loss: −log of the probability of the labels, over all alignments.

    .. math::
        \alpha_{tu} = \alpha_{t-1,u}\,p_{t-1,u}(\varnothing) + \alpha_{t,u-1}\,p_{t,u-1}(y_u),
        \qquad \ell = -\log \alpha_{T-1,S}\,p_{T-1,S}(\varnothing)

    with p the softmax of the logits. An item without frames contributes 0. The gradient is the
    exact first derivative, worked out by the forward–backward algorithm. Second derivatives and
    gradients per item come from ``torch.func``, where the recursion itself is differentiated.

    Args:
        logits: joint network's output before the softmax, shape ``[B, T, S + 1, C]``.
        targets: labels without blanks, integers, shape ``[B, S]``; anything may lie beyond
            ``target_lens``.
        input_lens: relative lengths of the inputs in [0, 1], shape ``[B]``.
        target_lens: relative lengths of the targets in [0, 1], shape ``[B]``.
        blank_index: class of the blank; −1 is the last class.
        reduction: ``mean`` or ``batchmean`` (Σℓ/B), ``sum``, ``batch`` or ``none`` (ℓ of each
            item).
        use_torchaudio: accepted as in SpeechBrain; the result is the same either way.

    Returns:
        The loss in nats: a scalar, ``[B]`` for ``batch`` and ``none``.

    Raises:
        ValueError: on mismatched shapes, targets that are not integers, a label or a blank that is
            no class, or an unknown reduction.

    Reference:
        Graves, "Sequence transduction with recurrent neural networks", 2012, arXiv:1211.3711,
        eq. 16–20; ``speechbrain.nnet.losses.transducer_loss``.

    Example:
        >>> logits = torch.zeros(1, 2, 2, 2)
        >>> transducer_loss(logits, torch.tensor([[1]]), torch.ones(1), torch.ones(1), 0)
        tensor(1.3863)

        Two alignments of three steps, each of probability ⅛: −log ¼.
    """
    check_rank("logits", logits, "[B, T, S + 1, C]", 4)
    batch, steps, classes = logits.shape[0], logits.shape[1], logits.shape[3]
    check_targets(targets, batch)
    if logits.shape[2] != targets.shape[1] + 1:
        raise ValueError(
            f"logits: expected shape [B, T, {targets.shape[1] + 1}, C], got {list(logits.shape)}"
        )
    check_reduction(reduction)
    check_flag("use_torchaudio", use_torchaudio)
    blank = blank_class(blank_index, classes)
    frames = checked_counts("input_lens", input_lens, batch, steps)
    counts = checked_counts("target_lens", target_lens, batch, targets.shape[1])
    labels = select_labels(targets, counts, classes)
    items = _items(at_least_float32(logits), labels, frames, counts, blank)
    return reduce_items(items, torch.ones_like(counts), reduction)


class TransducerLoss(nn.Module):
    """:func:`transducer_loss` with its configuration frozen.

    Args:
        blank_index: class of the blank; −1 is the last class.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.
        use_torchaudio: accepted as in SpeechBrain; the result is the same either way.

    Shape:
        - logits: ``[B, T, S + 1, C]``; targets: ``[B, S]``; input_lens, target_lens: ``[B]``.
        - loss: a scalar, ``[B]`` for ``batch`` and ``none``.

    Raises:
        ValueError: on mismatched shapes, targets that are not integers, a label or a blank that is
            no class, or an unknown reduction.

    Example:
        >>> loss = TransducerLoss(blank_index=0, reduction="none")
        >>> loss(torch.zeros(1, 2, 2, 2), torch.tensor([[1]]), torch.ones(1), torch.ones(1))
        tensor([1.3863])
    """

    blank_index: Final[int]
    reduction: Final[str]
    use_torchaudio: Final[bool]

    def __init__(
        self, blank_index: int, reduction: str = "mean", use_torchaudio: bool = True
    ) -> None:
        super().__init__()
        check_whole("blank_index", blank_index)
        check_reduction(reduction)
        check_flag("use_torchaudio", use_torchaudio)
        self.blank_index = blank_index
        self.reduction = reduction
        self.use_torchaudio = use_torchaudio

    def forward(
        self, logits: Tensor, targets: Tensor, input_lens: Tensor, target_lens: Tensor
    ) -> Tensor:
        """Loss of a batch, see :func:`transducer_loss`."""
        return transducer_loss(
            logits,
            targets,
            input_lens,
            target_lens,
            self.blank_index,
            self.reduction,
            self.use_torchaudio,
        )
