"""CTC with the labels of a teacher."""

from typing import Final, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_rank, check_shape, check_whole
from scriptable._core.numeric import at_least_float32
from scriptable._core.reduction import checked_counts
from scriptable.losses.sequence._lattice import blank_class, label_column, reduce_items, within
from scriptable.losses.sequence.ctc import ctc_items


def _best_path(scores: Tensor, frames: Tensor, blank_index: int) -> Tuple[Tensor, Tensor]:
    """Labels ``[B, T]`` and their counts ``[B]``: the best class per frame, collapsed."""
    steps = scores.shape[1]
    valid = within(frames, steps)
    best = torch.where(valid.unsqueeze(2), scores, torch.zeros_like(scores)).argmax(2)
    # Before the first frame stands a class that does not exist, so that nothing repeats it.
    changed = best != torch.cat([label_column(-1, best), best[:, :-1]], 1)
    kept = torch.logical_and(torch.logical_and(changed, best != blank_index), valid).long()
    # The i-th label kept goes to place i; all others to a place that is cut off.
    place = torch.where(kept > 0, kept.cumsum(1) - 1, torch.full_like(kept, steps))
    slots = torch.cat([torch.zeros_like(best), label_column(0, best)], 1)
    return slots.scatter(1, place, best)[:, :steps], kept.sum(1)


def ctc_loss_kd(
    log_probs: Tensor, targets: Tensor, input_lens: Tensor, blank_index: int, device: str
) -> Tensor:
    r"""CTC against the best path of a teacher, whose repetitions are merged and blanks dropped.

    .. math:: \ell = \mathrm{CTC}\bigl(p,\ \mathcal{B}(\arg\max_c q_{tc})\bigr)

    averaged as :func:`ctc_loss` averages with ``mean``. The teacher takes no gradient.

    Args:
        log_probs: the student's log-probabilities, shape ``[B, T, C]``.
        targets: the teacher's scores (probabilities, their logarithms or logits), the same shape.
        input_lens: relative lengths in [0, 1], shape ``[B]``.
        blank_index: class of the blank; −1 is the last class.
        device: accepted as in SpeechBrain, and ignored; the device is that of ``log_probs``.

    Returns:
        The loss in nats, a scalar.

    Raises:
        ValueError: on mismatched shapes or a blank that is not a class.

    Reference:
        Gao et al., "Distilling knowledge from ensembles of acoustic models for joint CTC-attention
        end-to-end speech recognition", 2021, arXiv:2005.09310;
        ``speechbrain.nnet.losses.ctc_loss_kd``.

    Example:
        >>> student = torch.tensor([[[0.6, 0.4], [0.5, 0.5]]]).log()
        >>> teacher = torch.tensor([[[0.9, 0.1], [0.2, 0.8]]])
        >>> ctc_loss_kd(student, teacher, torch.ones(1), 0, "cpu")
        tensor(0.3567)
    """
    check_rank("log_probs", log_probs, "[B, T, C]", 3)
    check_shape("targets", targets, list(log_probs.shape))
    batch, steps, classes = log_probs.shape
    blank = blank_class(blank_index, classes)
    frames = checked_counts("input_lens", input_lens, batch, steps)
    labels, counts = _best_path(targets.detach(), frames, blank)
    items = ctc_items(at_least_float32(log_probs), labels, frames, counts, blank)
    return reduce_items(items, counts, "mean")


class CTCLossKD(nn.Module):
    """:func:`ctc_loss_kd` with its configuration frozen.

    Args:
        blank_index: class of the blank; −1 is the last class.
        device: accepted as in SpeechBrain, and ignored; the device is that of ``log_probs``.

    Shape:
        - log_probs (student), targets (teacher): ``[B, T, C]``; input_lens: ``[B]``.
        - loss: a scalar.

    Raises:
        ValueError: on mismatched shapes or a blank that is not a class.

    Example:
        >>> loss = CTCLossKD(blank_index=0)
        >>> student = torch.full((1, 3, 2), 0.5).log()
        >>> loss(student, torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]]), torch.ones(1))
        tensor(0.2877)
    """

    blank_index: Final[int]
    device: Final[str]

    def __init__(self, blank_index: int, device: str = "cpu") -> None:
        super().__init__()
        check_whole("blank_index", blank_index)
        self.blank_index = blank_index
        self.device = device

    def forward(self, log_probs: Tensor, targets: Tensor, input_lens: Tensor) -> Tensor:
        """Loss of a batch, see :func:`ctc_loss_kd`."""
        return ctc_loss_kd(log_probs, targets, input_lens, self.blank_index, self.device)
