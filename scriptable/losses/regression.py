"""Regression losses over padded sequences."""

import math
from typing import Final, Optional, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_not_negative,
    check_number,
    check_rank,
    check_shape,
    check_whole,
)
from scriptable._core.numeric import at_least_float32
from scriptable._core.reduction import (
    check_reduction,
    expand_mask,
    frame_mask,
    reduce_valid,
    select_valid,
    truncate,
)
from scriptable._core.shortcut import SquaredErrors, takes_shortcut


def _floating(predictions: Tensor, targets: Tensor) -> Tuple[Tensor, Tensor]:
    """Both in float32 or wider: the squares of half precision overflow above 255."""
    check_shape("targets", targets, list(predictions.shape))
    if not predictions.is_floating_point():
        predictions = predictions.to(torch.float32)
    if not targets.is_floating_point():
        targets = targets.to(torch.float32)
    return at_least_float32(predictions), at_least_float32(targets)


def _difference(predictions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Predictions − targets, 0 in the padding, before anything squares a NaN that lies there."""
    predictions, targets = _floating(predictions, targets)
    return select_valid(predictions - targets, mask)


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
        ValueError: on mismatched shapes, lengths that are not relative, or an unknown reduction.

    Reference:
        ``speechbrain.nnet.losses.l1_loss``.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1, 0.1, 0.9]])
        >>> l1_loss(probs, torch.tensor([[1., 0., 0., 1.]]))
        tensor(0.1000)
    """
    predictions, targets = truncate(predictions, targets, allowed_len_diff)
    if length is None:
        predictions, targets = _floating(predictions, targets)
        if predictions.numel() > 0 and (reduction == "mean" or reduction == "sum"):
            return torch.nn.functional.l1_loss(predictions, targets, reduction=reduction)
        loss = torch.nn.functional.l1_loss(predictions, targets, reduction="none")
        return reduce_valid(loss, None, reduction)
    batch, frames = predictions.shape[0], predictions.shape[1]
    mask = frame_mask(length, batch, frames)
    if reduction == "none":
        return _difference(predictions, targets, mask).abs()
    # Selecting the sums of frames is many times faster than selecting elements, and as safe: the
    # slope of |x| is sign(x), and sign(NaN) · 0 is 0.
    predictions, targets = _floating(predictions, targets)
    errors = (predictions - targets).abs().unsqueeze(2).flatten(2)
    return reduce_valid(select_valid(errors.sum(2), mask), mask, reduction, errors.shape[2])


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
        ValueError: on mismatched shapes, lengths that are not relative, or an unknown reduction.

    Reference:
        ``speechbrain.nnet.losses.mse_loss``.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1, 0.1, 0.9]])
        >>> mse_loss(probs, torch.tensor([[1., 0., 0., 1.]]))
        tensor(0.0100)
    """
    predictions, targets = truncate(predictions, targets, allowed_len_diff)
    if length is None:
        predictions, targets = _floating(predictions, targets)
        if predictions.numel() > 0 and (reduction == "mean" or reduction == "sum"):
            return torch.nn.functional.mse_loss(predictions, targets, reduction=reduction)
        loss = torch.nn.functional.mse_loss(predictions, targets, reduction="none")
        return reduce_valid(loss, None, reduction)
    mask = frame_mask(length, predictions.shape[0], predictions.shape[1])
    if not torch.jit.is_scripting():
        alike = predictions.dtype == targets.dtype
        if alike and takes_shortcut(predictions) and reduction != "none":
            return _squared_errors(predictions, targets, mask, reduction)
    difference = _difference(predictions, targets, mask)
    return reduce_valid(difference * difference, mask, reduction)


def _squared_errors(predictions: Tensor, targets: Tensor, mask: Tensor, reduction: str) -> Tensor:
    predictions, targets = _floating(predictions, targets)
    sums = SquaredErrors.apply(predictions, targets, expand_mask(mask, predictions))
    elements = predictions[0, 0].numel()
    return reduce_valid(sums.unsqueeze(1), mask, reduction, elements)


def distance_diff_loss(
    predictions: Tensor,
    targets: Tensor,
    length: Optional[Tensor] = None,
    beta: float = 0.25,
    max_weight: float = 100.0,
    reduction: str = "mean",
) -> Tensor:
    r"""Probability mass, weighted by its distance from the true position.

    For outputs that spread a probability over positions, as the length of a sequence.

    .. math:: \ell_{bt} = p_{bt} \min(e^{\beta |t - y_b|} - 1,\ w_{max})

    Args:
        predictions: probability, or any weight, of each position, shape ``[B, T]``.
        targets: true position of each item, in frames, shape ``[B]``.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        beta: growth of the penalty per frame.
        max_weight: the largest penalty.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Returns:
        The loss: a scalar, ``[B]`` for ``batch``, ``[B, T, 1]`` for ``none``.

    Raises:
        ValueError: on mismatched shapes, a negative ``max_weight``, or an unknown reduction.

    Reference:
        ``speechbrain.nnet.losses.distance_diff_loss``.

    Example:
        >>> predictions = torch.tensor(
        ...     [[0.25, 0.5, 0.25, 0.0],
        ...     [0.05, 0.05, 0.9, 0.0],
        ...     [8.0, 0.10, 0.05, 0.05]]
        ... )
        >>> targets = torch.tensor([2., 3., 1.])
        >>> length = torch.tensor([.75, .75, 1.])
        >>> loss = distance_diff_loss(predictions, targets, length)
        >>> loss
        tensor(0.2967)
    """
    check_number("beta", beta)
    check_not_negative("max_weight", max_weight)
    check_rank("predictions", predictions, "[B, T]", 2)
    batch, frames = predictions.shape
    check_shape("targets", targets, [batch])
    mask: Optional[Tensor] = None
    predictions = at_least_float32(predictions)
    if length is not None:
        mask = frame_mask(length, batch, frames)
        predictions = select_valid(predictions, mask)
    positions = torch.arange(frames, device=predictions.device, dtype=predictions.dtype)
    distance = (positions - targets.to(predictions.dtype).unsqueeze(1)).abs()
    # The exponent is bounded rather than the power, whose overflow would make the gradient NaN.
    penalty = (beta * distance).clamp(max=math.log1p(max_weight)).exp() - 1.0
    return reduce_valid((penalty * predictions).unsqueeze(2), mask, reduction)


class L1Loss(nn.Module):
    """:func:`l1_loss` with its configuration frozen.

    Args:
        allowed_len_diff: frames by which T may differ before it is an error.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - predictions, targets: ``[B, T, *]``; length: ``[B]`` or None.
        - loss: a scalar, ``[B]`` for ``batch``, ``[B, T, *]`` for ``none``.

    Raises:
        ValueError: on mismatched shapes, lengths that are not relative, or an unknown reduction.

    Example:
        >>> loss = L1Loss(reduction="sum")
        >>> loss(torch.tensor([[1.0, 5.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0.5]))
        tensor(1.)
    """

    allowed_len_diff: Final[int]
    reduction: Final[str]

    def __init__(self, *, allowed_len_diff: int = 3, reduction: str = "mean") -> None:
        super().__init__()
        check_whole("allowed_len_diff", allowed_len_diff)
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
        ValueError: on mismatched shapes, lengths that are not relative, or an unknown reduction.

    Example:
        >>> loss = MSELoss(reduction="sum")
        >>> loss(torch.tensor([[2.0, 5.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([0.5]))
        tensor(4.)
    """

    allowed_len_diff: Final[int]
    reduction: Final[str]

    def __init__(self, *, allowed_len_diff: int = 3, reduction: str = "mean") -> None:
        super().__init__()
        check_whole("allowed_len_diff", allowed_len_diff)
        check_reduction(reduction)
        self.allowed_len_diff = allowed_len_diff
        self.reduction = reduction

    def forward(
        self, predictions: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> Tensor:
        """Loss of a batch, see :func:`mse_loss`."""
        return mse_loss(predictions, targets, length, self.allowed_len_diff, self.reduction)


class DistanceDiffLoss(nn.Module):
    """:func:`distance_diff_loss` with its configuration frozen.

    Args:
        beta: growth of the penalty per frame.
        max_weight: the largest penalty.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - predictions: ``[B, T]``; targets: ``[B]``; length: ``[B]`` or None.
        - loss: a scalar, ``[B]`` for ``batch``, ``[B, T, 1]`` for ``none``.

    Raises:
        ValueError: on mismatched shapes, or a wrong configuration.

    Example:
        >>> loss = DistanceDiffLoss(beta=1.0, reduction="sum")
        >>> loss(torch.tensor([[0.5, 0.5]]), torch.tensor([0.0]))
        tensor(0.8591)
    """

    beta: Final[float]
    max_weight: Final[float]
    reduction: Final[str]

    def __init__(
        self, *, beta: float = 0.25, max_weight: float = 100.0, reduction: str = "mean"
    ) -> None:
        super().__init__()
        check_number("beta", beta)
        check_not_negative("max_weight", max_weight)
        check_reduction(reduction)
        self.beta = float(beta)
        self.max_weight = float(max_weight)
        self.reduction = reduction

    def forward(
        self, predictions: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> Tensor:
        """Loss of a batch, see :func:`distance_diff_loss`."""
        return distance_diff_loss(
            predictions, targets, length, self.beta, self.max_weight, self.reduction
        )
