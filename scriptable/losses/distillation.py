"""Distillation: losses of a student against a teacher."""

import torch
from torch import Tensor

from scriptable._core.checks import check_rank, check_shape
from scriptable._core.numeric import at_least_float32
from scriptable._core.reduction import frame_mask, reduce_valid, select_valid


def ce_kd(inp: Tensor, target: Tensor) -> Tensor:
    r"""Cross-entropy of a student under a teacher's probabilities.

    .. math:: \ell_n = -\sum_f q_{nf}\, x_{nf}

    Args:
        inp: the student's log-probabilities (or probabilities, as in :func:`nll_loss_kd`), shape
            ``[N, F]`` with N = B·T.
        target: the teacher's probabilities, same shape.

    Returns:
        The loss of each row, shape ``[N]``; nothing is reduced.

    Raises:
        ValueError: if the shapes differ or are not ``[N, F]``.

    Reference:
        ``speechbrain.nnet.losses.ce_kd``; Hinton et al., "Distilling the Knowledge in a Neural
        Network", arXiv 1503.02531.

    Example:
        >>> ce_kd(torch.tensor([[-1.0, -2.0]]), torch.tensor([[0.25, 0.75]]))
        tensor([1.7500])
    """
    check_rank("inp", inp, "[N, F]", 2)
    check_shape("target", target, list(inp.shape))
    return -(at_least_float32(target) * at_least_float32(inp)).sum(1)


def nll_loss_kd(probabilities: Tensor, targets: Tensor, rel_lab_lengths: Tensor) -> Tensor:
    r"""Cross-entropy under a teacher, averaged over the valid frames.

    .. math:: \ell = -\frac{1}{\sum_b n_b} \sum_b \sum_{t < n_b} \sum_f q_{btf}\, x_{btf},
        \qquad n_b = \max([l_b > 0], \lfloor l_b T + \tfrac12 \rfloor)

    Args:
        probabilities: the student's probabilities (log-probabilities give the cross-entropy),
            shape ``[B, T, F]``.
        targets: the teacher's probabilities, same shape.
        rel_lab_lengths: relative lengths in [0, 1], shape ``[B]``.

    Returns:
        The loss, a scalar; 0 when no frame is valid.

    Raises:
        ValueError: on mismatched shapes.

    Reference:
        Gao et al., "Distilling Knowledge from Ensembles of Acoustic Models for Joint CTC-Attention
        End-to-End Speech Recognition", arXiv 2005.09310, section 2 (single teacher).

    Example:
        >>> probabilities = torch.tensor([[[0.8, 0.2], [0.2, 0.8]]])
        >>> targets = torch.tensor([[[0.9, 0.1], [0.1, 0.9]]])
        >>> rel_lab_lengths = torch.tensor([1.])
        >>> nll_loss_kd(probabilities, targets, rel_lab_lengths)
        tensor(-0.7400)
    """
    check_rank("probabilities", probabilities, "[B, T, F]", 3)
    check_shape("targets", targets, list(probabilities.shape))
    batch, frames, features = probabilities.shape
    mask = frame_mask(rel_lab_lengths, batch, frames, "rel_lab_lengths")
    student, teacher = probabilities, select_valid(targets, mask)
    if targets.requires_grad:
        # Otherwise NaN in the student's padding reaches no gradient, and the selection of the
        # frames' losses keeps it out of the value.
        student = select_valid(student, mask)
    rows = (batch * frames, features)
    loss = ce_kd(student.reshape(rows), teacher.reshape(rows)).reshape(batch, frames)
    return reduce_valid(select_valid(loss, mask), mask, "mean")


class CrossEntropyKD(torch.nn.Module):
    """:func:`ce_kd` as a module.

    Shape:
        - inp, target: ``[N, F]``; loss: ``[N]``.

    Raises:
        ValueError: if the shapes differ or are not ``[N, F]``.

    Example:
        >>> CrossEntropyKD()(torch.tensor([[-1.0, -2.0]]), torch.tensor([[0.25, 0.75]]))
        tensor([1.7500])
    """

    def forward(self, inp: Tensor, target: Tensor) -> Tensor:
        """Loss of each row, see :func:`ce_kd`."""
        return ce_kd(inp, target)


class NLLLossKD(torch.nn.Module):
    """:func:`nll_loss_kd` as a module.

    Shape:
        - probabilities, targets: ``[B, T, F]``; rel_lab_lengths: ``[B]``; loss: a scalar.

    Raises:
        ValueError: on mismatched shapes.

    Example:
        >>> loss = NLLLossKD()
        >>> loss(torch.tensor([[[0.5], [9.0]]]), torch.ones(1, 2, 1), torch.tensor([0.5]))
        tensor(-0.5000)
    """

    def forward(self, probabilities: Tensor, targets: Tensor, rel_lab_lengths: Tensor) -> Tensor:
        """Loss of a batch, see :func:`nll_loss_kd`."""
        return nll_loss_kd(probabilities, targets, rel_lab_lengths)
