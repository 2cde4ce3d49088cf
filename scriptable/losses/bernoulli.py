"""Binary cross-entropy per frame, utterance or label."""

from typing import Final, Optional

import torch
from torch import Tensor

from scriptable._core.checks import check_broadcast, check_fraction, check_shape, check_whole
from scriptable._core.numeric import at_least_float32
from scriptable._core.reduction import (
    check_reduction,
    expand_mask,
    frame_mask,
    reduce_valid,
    select_valid,
    truncate,
)


def bce_loss(
    inputs: Tensor,
    targets: Tensor,
    length: Optional[Tensor] = None,
    weight: Optional[Tensor] = None,
    pos_weight: Optional[Tensor] = None,
    reduction: str = "mean",
    allowed_len_diff: int = 3,
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Binary cross-entropy of logits.

    .. math:: \ell_{bt} = -w_{bt} \left( p_c\, y'_{bt} \log\sigma(x_{bt})
        + (1 - y'_{bt}) \log(1 - \sigma(x_{bt})) \right), \qquad
        y' = y (1 - \varepsilon) + \varepsilon / 2

    ``weight`` and ``pos_weight`` rescale; ``mean`` divides by the number of elements all the same.

    Args:
        inputs: logits, shape ``[B]``, ``[B, T]`` or ``[B, T, C]``; where the targets have one
            dimension less, a last dimension of 1 is dropped.
        targets: in [0, 1], any dtype, shape ``[B]``, ``[B, T]`` or ``[B, T, C]``.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        weight: factor on the loss: ``[B]``, one per item, or any shape that broadcasts to the
            inputs'.
        pos_weight: factor on the positive part, one per class; broadcasts to the last dimension.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.
        allowed_len_diff: frames by which T may differ before it is an error.
        label_smoothing: ε in [0, 1].

    Returns:
        The loss in nats: a scalar, ``[B]`` for ``batch``; for ``none`` the shape of the targets,
        ``[B, 1]`` where that is ``[B]``.

    Raises:
        ValueError: on mismatched shapes, lengths without frames, ε outside [0, 1], or an unknown
            reduction.

    Reference:
        ``speechbrain.nnet.losses.bce_loss``; the smoothing is that of a uniform prior over two
        classes, arXiv 1512.00567, section 7.

    Example:
        >>> inputs = torch.tensor([10.0, -6.0])
        >>> targets = torch.tensor([1, 0])
        >>> bce_loss(inputs, targets)
        tensor(0.0013)
    """
    check_fraction("label_smoothing", label_smoothing)
    logits = inputs
    if logits.dim() == targets.dim() + 1 and logits.shape[-1] == 1:
        logits = logits.squeeze(-1)
    if logits.dim() == 1 and targets.dim() == 1:
        if length is not None:
            raise ValueError(
                f"length: expected None for inputs without frames, got shape {list(length.shape)}"
            )
        logits, targets = logits.unsqueeze(1), targets.unsqueeze(1)
    logits, targets = truncate(logits, targets, allowed_len_diff)
    check_shape("targets", targets, list(logits.shape))
    logits = at_least_float32(logits)
    targets = targets.to(logits.dtype)
    if label_smoothing > 0.0:
        targets = targets * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if weight is not None:
        weight = weight.to(logits.dtype)
        if weight.dim() == 1:
            weight = expand_mask(weight, logits)
        check_broadcast("weight", weight, list(logits.shape))
    if pos_weight is not None:
        check_broadcast("pos_weight", pos_weight, list(logits.shape))
    mask: Optional[Tensor] = None
    if length is not None:
        mask = frame_mask(length, logits.shape[0], logits.shape[1])
        # A certain and right answer costs exactly 0: the padding needs no second selection.
        logits, targets = select_valid(logits, mask, -1e4), select_valid(targets, mask)
        if weight is not None:
            weight = select_valid(weight.expand(logits.shape), mask)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="none", pos_weight=pos_weight
    )
    if weight is not None:
        loss = weight * loss
    return reduce_valid(loss, mask, reduction)


class BCELoss(torch.nn.Module):
    """:func:`bce_loss` with its configuration frozen.

    Args:
        pos_weight: factor on the positive part, one per class, kept in a buffer.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.
        allowed_len_diff: frames by which T may differ before it is an error.
        label_smoothing: ε in [0, 1].

    Shape:
        - inputs, targets: ``[B]``, ``[B, T]`` or ``[B, T, C]``; length: ``[B]`` or None; weight:
          ``[B]``, any shape that broadcasts to the inputs', or None.
        - loss: a scalar, ``[B]`` for ``batch``, the shape of the targets for ``none``.

    Raises:
        ValueError: on mismatched shapes, ε outside [0, 1], or an unknown reduction.

    Example:
        >>> loss = BCELoss(pos_weight=torch.tensor([3.0]), reduction="sum")
        >>> loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1, 0]]))
        tensor(2.7726)
    """

    reduction: Final[str]
    allowed_len_diff: Final[int]
    label_smoothing: Final[float]

    def __init__(
        self,
        *,
        pos_weight: Optional[Tensor] = None,
        reduction: str = "mean",
        allowed_len_diff: int = 3,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        check_reduction(reduction)
        check_whole("allowed_len_diff", allowed_len_diff)
        check_fraction("label_smoothing", label_smoothing)
        kept = None if pos_weight is None else pos_weight.detach().clone()
        # Not annotated: a script keeps an Optional[Tensor] as an attribute, which neither moves
        # with the module nor is in its state.
        self.register_buffer("pos_weight", kept)
        self.reduction = reduction
        self.allowed_len_diff = allowed_len_diff
        self.label_smoothing = float(label_smoothing)

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        length: Optional[Tensor] = None,
        weight: Optional[Tensor] = None,
    ) -> Tensor:
        """Loss of a batch, see :func:`bce_loss`."""
        return bce_loss(
            inputs,
            targets,
            length,
            weight,
            self.pos_weight,  # type: ignore[arg-type]
            self.reduction,
            self.allowed_len_diff,
            self.label_smoothing,
        )
