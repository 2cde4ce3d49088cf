"""Regression losses over padded sequences."""

from typing import Final, Optional

import torch
from torch import Tensor, nn

from scriptable._checks import check_shape
from scriptable._numeric import at_least_float32
from scriptable._reduction import (
    check_reduction,
    expand_mask,
    frame_mask,
    reduce_valid,
    truncate,
)


def _difference(predictions: Tensor, targets: Tensor, mask: Optional[Tensor]) -> Tensor:
    """Predictions − targets, 0 in the padding, before anything squares a NaN that lies there."""
    check_shape("targets", targets, list(predictions.shape))
    # Half precision is widened first: its squares overflow above 255.
    difference = at_least_float32(predictions) - at_least_float32(targets)
    if mask is None:
        return difference
    zero = torch.zeros((), dtype=difference.dtype, device=difference.device)
    return torch.where(expand_mask(mask, difference), difference, zero)


def l1_loss(
    predictions: Tensor,
    targets: Tensor,
    length: Optional[Tensor] = None,
    allowed_len_diff: int = 3,
    reduction: str = "mean",
) -> Tensor:
    r"""Absolute error over the valid frames.

    .. math:: \ell_{bt} = |\hat y_{bt} - y_{bt}|

    Args:
        predictions: shape ``[B, T, *]``.
        targets: the same shape; T may differ by ``allowed_len_diff`` frames.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        allowed_len_diff: frames by which T may differ before it is an error.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Returns:
        The loss: a scalar, ``[B]`` for ``batch``, ``[B, T, *]`` for ``none``.

    Raises:
        ValueError: on mismatched shapes or an unknown reduction.

    Reference:
        ``speechbrain.nnet.losses.l1_loss``.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1, 0.1, 0.9]])
        >>> l1_loss(probs, torch.tensor([[1., 0., 0., 1.]]))
        tensor(0.1000)
    """
    predictions, targets = truncate(predictions, targets, allowed_len_diff)
    mask: Optional[Tensor] = None
    if length is not None:
        mask = frame_mask(length, predictions.shape[0], predictions.shape[1])
    return reduce_valid(_difference(predictions, targets, mask).abs(), mask, reduction)


def mse_loss(
    predictions: Tensor,
    targets: Tensor,
    length: Optional[Tensor] = None,
    allowed_len_diff: int = 3,
    reduction: str = "mean",
) -> Tensor:
    r"""Squared error over the valid frames.

    .. math:: \ell_{bt} = (\hat y_{bt} - y_{bt})^2

    Args:
        predictions: shape ``[B, T, *]``.
        targets: the same shape; T may differ by ``allowed_len_diff`` frames.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        allowed_len_diff: frames by which T may differ before it is an error.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Returns:
        The loss: a scalar, ``[B]`` for ``batch``, ``[B, T, *]`` for ``none``.

    Raises:
        ValueError: on mismatched shapes or an unknown reduction.

    Reference:
        ``speechbrain.nnet.losses.mse_loss``.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1, 0.1, 0.9]])
        >>> mse_loss(probs, torch.tensor([[1., 0., 0., 1.]]))
        tensor(0.0100)
    """
    predictions, targets = truncate(predictions, targets, allowed_len_diff)
    mask: Optional[Tensor] = None
    if length is not None:
        mask = frame_mask(length, predictions.shape[0], predictions.shape[1])
    return reduce_valid(_difference(predictions, targets, mask).square(), mask, reduction)


class L1Loss(nn.Module):
    """:func:`l1_loss` with its configuration frozen.

    Args:
        allowed_len_diff: frames by which T may differ before it is an error.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - predictions, targets: ``[B, T, *]``; length: ``[B]`` or None.
        - loss: a scalar, ``[B]`` for ``batch``, ``[B, T, *]`` for ``none``.

    Raises:
        ValueError: on mismatched shapes or an unknown reduction.

    Example:
        >>> loss = L1Loss(reduction="sum")
        >>> loss(torch.tensor([[1.0, 5.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0.5]))
        tensor(1.)
    """

    allowed_len_diff: Final[int]
    reduction: Final[str]

    def __init__(self, allowed_len_diff: int = 3, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.allowed_len_diff = allowed_len_diff
        self.reduction = reduction

    def forward(
        self, predictions: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> Tensor:
        """Loss of a batch, see :func:`l1_loss`."""
        return l1_loss(predictions, targets, length, self.allowed_len_diff, self.reduction)


class MSELoss(nn.Module):
    """:func:`mse_loss` with its configuration frozen.

    Args:
        allowed_len_diff: frames by which T may differ before it is an error.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - predictions, targets: ``[B, T, *]``; length: ``[B]`` or None.
        - loss: a scalar, ``[B]`` for ``batch``, ``[B, T, *]`` for ``none``.

    Raises:
        ValueError: on mismatched shapes or an unknown reduction.

    Example:
        >>> loss = MSELoss(reduction="sum")
        >>> loss(torch.tensor([[2.0, 5.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0.5]))
        tensor(4.)
    """

    allowed_len_diff: Final[int]
    reduction: Final[str]

    def __init__(self, allowed_len_diff: int = 3, reduction: str = "mean") -> None:
        super().__init__()
        check_reduction(reduction)
        self.allowed_len_diff = allowed_len_diff
        self.reduction = reduction

    def forward(
        self, predictions: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> Tensor:
        """Loss of a batch, see :func:`mse_loss`."""
        return mse_loss(predictions, targets, length, self.allowed_len_diff, self.reduction)
