"""Kullback-Leibler divergence to a smoothed target class."""

import math
from typing import Final, Optional

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_fraction,
    check_whole,
)
from scriptable._core.labels import (
    legal_index,
)
from scriptable._core.numeric import at_least_float32
from scriptable._core.reduction import check_reduction, reduce_valid
from scriptable.losses._frames import as_frames, like_targets, picked, zero_unless


def kldiv_loss(
    log_probabilities: Tensor,
    targets: Tensor,
    length: Optional[Tensor] = None,
    label_smoothing: float = 0.0,
    allowed_len_diff: int = 3,
    pad_idx: int = 0,
    reduction: str = "mean",
) -> Tensor:
    r"""Kullback-Leibler divergence from the predictions to the smoothed targets.

    .. math:: \ell_{bt} = \sum_c q_{btc} (\log q_{btc} - \log p_{btc}), \qquad
        q_{btc} = \begin{cases} 1 - \varepsilon & c = y_{bt} \\
        \varepsilon / (C - 1) & \text{else} \end{cases}

    Frames beyond the length are left out, and so are frames whose target is ``pad_idx``: they
    contribute 0 and are not counted.

    Args:
        log_probabilities: shape ``[B, C]`` or ``[B, T, C]``.
        targets: class of each utterance ``[B]``, or of each frame ``[B, T]``; ``[T]`` for B = 1.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        label_smoothing: ε in [0, 1].
        allowed_len_diff: frames by which T may differ before it is an error.
        pad_idx: the target that means padding.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Returns:
        The loss in nats: a scalar, ``[B]`` for ``batch``, the shape of the targets for ``none``.

    Raises:
        ValueError: on mismatched shapes, a target that is not a class, lengths without frames, ε
            outside [0, 1], fewer than two classes to smooth over, or an unknown reduction.

    Reference:
        ``speechbrain.nnet.losses.kldiv_loss``; the smoothing is from Szegedy et al., "Rethinking
        the Inception Architecture", arXiv 1512.00567, section 7.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
        >>> kldiv_loss(torch.log(probs), torch.tensor([1, 1]))
        tensor(1.2040)
    """
    check_fraction("label_smoothing", label_smoothing)
    check_whole("pad_idx", pad_idx)
    frames, labels, mask = as_frames(
        "log_probabilities", log_probabilities, targets, length, allowed_len_diff
    )
    valid = labels != pad_idx
    if mask is not None:
        valid = torch.logical_and(valid, mask)
    labels = torch.where(valid, labels, torch.zeros_like(labels))
    labels = legal_index("targets", labels, frames.shape[2])
    if label_smoothing == 0.0:
        loss = -at_least_float32(picked(frames, labels))
    else:
        loss = _smoothed_divergence(frames, labels, label_smoothing)
    loss = reduce_valid(zero_unless(valid, loss), valid, reduction)
    return like_targets(loss, log_probabilities)


def _smoothed_divergence(frames: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Σ q log q − Σ q log p, where q takes two values only: no tensor of the size of p is made."""
    n_classes = frames.shape[2]
    if n_classes < 2:
        raise ValueError(f"log_probabilities: expected 2 or more classes, got {n_classes}")
    on_target, elsewhere = 1.0 - smoothing, smoothing / (n_classes - 1)
    negative_entropy = smoothing * math.log(elsewhere)
    if on_target > 0.0:
        negative_entropy = negative_entropy + on_target * math.log(on_target)
    total = at_least_float32(frames).sum(2)
    target = at_least_float32(picked(frames, labels))
    return negative_entropy - elsewhere * total - (on_target - elsewhere) * target


class KLDivLoss(nn.Module):
    """:func:`kldiv_loss` with its configuration frozen.

    Args:
        label_smoothing: ε in [0, 1].
        allowed_len_diff: frames by which T may differ before it is an error.
        pad_idx: the target that means padding.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - log_probabilities: ``[B, C]`` or ``[B, T, C]``; targets: ``[B]`` or ``[B, T]``; length:
          ``[B]`` or None.
        - loss: a scalar, ``[B]`` for ``batch``, the shape of the targets for ``none``.

    Raises:
        ValueError: on mismatched shapes, ε outside [0, 1], or an unknown reduction.

    Example:
        >>> loss = KLDivLoss(label_smoothing=0.5)
        >>> loss(torch.log(torch.tensor([[0.25, 0.75]])), torch.tensor([1]))
        tensor(0.1438)
    """

    label_smoothing: Final[float]
    allowed_len_diff: Final[int]
    pad_idx: Final[int]
    reduction: Final[str]

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        allowed_len_diff: int = 3,
        pad_idx: int = 0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_fraction("label_smoothing", label_smoothing)
        check_whole("allowed_len_diff", allowed_len_diff)
        check_whole("pad_idx", pad_idx)
        check_reduction(reduction)
        self.label_smoothing = float(label_smoothing)
        self.allowed_len_diff = allowed_len_diff
        self.pad_idx = pad_idx
        self.reduction = reduction

    def forward(
        self, log_probabilities: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> Tensor:
        """Loss of a batch, see :func:`kldiv_loss`."""
        return kldiv_loss(
            log_probabilities,
            targets,
            length,
            self.label_smoothing,
            self.allowed_len_diff,
            self.pad_idx,
            self.reduction,
        )
