"""Length masks and masked reductions for your own losses."""

from collections.abc import Callable
from typing import Final, Optional, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.callables import as_module
from scriptable._core.checks import (
    check_broadcast,
    check_choice,
    check_fraction,
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
)


def compute_length_mask(data: Tensor, length: Optional[Tensor] = None, len_dim: int = 1) -> Tensor:
    r"""Mask of the valid elements of a padded batch.

    .. math:: m_{bt} = [t < \max([l_b > 0], \lfloor l_b T + \tfrac12 \rfloor)]

    Args:
        data: shape ``[B, *]``, or ``[T, B, *]`` with ``len_dim`` 0; gives shape, dtype and device
            of the mask.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        len_dim: the dimension that the lengths speak of.

    Returns:
        1 where the data is valid, 0 in the padding; shape and dtype of ``data``.

    Raises:
        ValueError: if ``length`` is not ``[B]``, or ``data`` has no dimension ``len_dim``.

    Reference:
        ``speechbrain.nnet.losses.compute_length_mask``.

    Example:
        >>> data = torch.arange(5)[None, :, None].repeat(3, 1, 2)
        >>> data += torch.arange(1, 4)[:, None, None]
        >>> data *= torch.arange(1, 3)[None, None, :]
        >>> data
        tensor([[[ 1,  2], [ 2,  4], [ 3,  6], [ 4,  8], [ 5, 10]],
        <BLANKLINE>
                [[ 2,  4], [ 3,  6], [ 4,  8], [ 5, 10], [ 6, 12]],
        <BLANKLINE>
                [[ 3,  6], [ 4,  8], [ 5, 10], [ 6, 12], [ 7, 14]]])
        >>> compute_length_mask(data, torch.tensor([1., .4, .8]))
        tensor([[[1, 1], [1, 1], [1, 1], [1, 1], [1, 1]],
        <BLANKLINE>
                [[1, 1], [1, 1], [0, 0], [0, 0], [0, 0]],
        <BLANKLINE>
                [[1, 1], [1, 1], [1, 1], [1, 1], [0, 0]]])
        >>> compute_length_mask(data, torch.tensor([.5, 1., .5]), len_dim=2)
        tensor([[[1, 0], [1, 0], [1, 0], [1, 0], [1, 0]],
        <BLANKLINE>
                [[1, 1], [1, 1], [1, 1], [1, 1], [1, 1]],
        <BLANKLINE>
                [[1, 0], [1, 0], [1, 0], [1, 0], [1, 0]]])
    """
    check_whole("len_dim", len_dim)
    if length is None:
        return torch.ones_like(data)
    dim = len_dim + data.dim() if len_dim < 0 else len_dim
    if data.dim() < 2 or not 0 <= dim < data.dim():
        raise ValueError(
            f"data: expected a dimension {len_dim} beside the batch, got {list(data.shape)}"
        )
    items = 1 if dim == 0 else 0
    frames = data.shape[dim]
    mask = frame_mask(length, data.shape[items], frames)
    shape = [1] * data.dim()
    shape[items], shape[dim] = data.shape[items], frames
    if dim == 0:
        mask = mask.t()
    return mask.reshape(shape).to(data.dtype).expand(data.shape).contiguous()


def reduce_loss(
    loss: Tensor,
    mask: Tensor,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    predictions: Optional[Tensor] = None,
    targets: Optional[Tensor] = None,
) -> Tensor:
    r"""Reduce an unreduced loss over the elements that the mask marks as valid.

    .. math:: \ell'_{bt} = (1 - \varepsilon)\,\ell_{bt}
        - \frac{\varepsilon}{C} \sum_c \log p_{bct}

    is reduced: ``mean`` is the sum over the valid elements by the sum of the mask, ``batch`` the
    same for each item, ``batchmean`` the sum by B, ``sum`` the sum; ``none`` leaves every element,
    0 where it is not valid.

    Args:
        loss: unreduced loss, shape ``[B, *]``.
        mask: 0 where the loss is padding; the loss's shape, or one that broadcasts to it.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.
        label_smoothing: ε in [0, 1]; for negative log-likelihoods only.
        predictions: log-probabilities, shape ``[B, C, *]``; needed to smooth labels.
        targets: not used; keeps SpeechBrain's order of arguments.

    Returns:
        The loss: a scalar, ``[B]`` for ``batch``, the loss's shape for ``none``.

    Raises:
        ValueError: on mismatched shapes, ε outside [0, 1], missing predictions, or an unknown
            reduction.

    Reference:
        ``speechbrain.nnet.losses.reduce_loss``.

    Example:
        >>> loss = torch.tensor([[1.0, 2.0], [6.0, float("nan")]])
        >>> mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
        >>> reduce_loss(loss, mask), reduce_loss(loss, mask, "batch")
        (tensor(3.), tensor([1.5000, 6.0000]))
    """
    check_reduction(reduction)
    check_fraction("label_smoothing", label_smoothing)
    check_broadcast("mask", mask, list(loss.shape))
    mask = mask.expand(loss.shape)
    loss = _valid(loss, mask)
    if label_smoothing != 0.0:
        loss = _smooth(loss, predictions, mask != 0, label_smoothing)
    # The mask of an element is its share in the count: the elements stand where frames do.
    reduced = reduce_valid(loss.unsqueeze(1).flatten(1), mask.unsqueeze(1).flatten(1), reduction)
    return reduced.reshape(loss.shape) if reduction == "none" else reduced


def _valid(loss: Tensor, mask: Tensor) -> Tensor:
    """The loss with 0 where the mask is 0."""
    return torch.where(mask != 0, loss, torch.zeros_like(loss))


def _smooth(loss: Tensor, predictions: Optional[Tensor], valid: Tensor, smoothing: float) -> Tensor:
    if predictions is None:
        raise ValueError("predictions: expected a tensor to smooth labels with, got None")
    if predictions.dim() < 2:
        raise ValueError(f"predictions: expected shape [B, C, *], got {list(predictions.shape)}")
    uniform = at_least_float32(predictions).mean(1)
    check_shape("predictions averaged over C", uniform, list(loss.shape))
    uniform = torch.where(valid, uniform, torch.zeros_like(uniform))
    return (1.0 - smoothing) * loss - smoothing * uniform


def compute_masked_loss(
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    predictions: Tensor,
    targets: Tensor,
    length: Optional[Tensor] = None,
    label_smoothing: float = 0.0,
    mask_shape: str = "targets",
    reduction: str = "mean",
) -> Tensor:
    """Reduce your own loss over the valid frames.

    ``mean`` is Σ over the valid elements of ``loss_fn(predictions, targets)`` by their number; the
    other reductions likewise. ``loss_fn`` sees 1 in place of the padding, where a logarithm, a root
    and a quotient are finite, and 0 in place of integer targets.

    A function cannot be scripted with a callable as its argument: to script or to export, put a
    module into :class:`MaskedLoss`. A plain callable works in eager mode only.

    Args:
        loss_fn: takes predictions and targets, returns the unreduced loss ``[B, T, *]``.
        predictions: shape ``[B, T, *]``, or ``[B, C, T]`` with targets ``[B, T]``, the layout of
            ``torch.nn.NLLLoss``.
        targets: shape ``[B, T, *]``, or any other with another ``mask_shape``.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        label_smoothing: ε in [0, 1], see :func:`reduce_loss`; for negative log-likelihoods only.
        mask_shape: which tensor has T as its dimension 1: ``targets``, ``predictions`` or
            ``loss``. Inputs whose shape leaves open which dimension is time (``loss`` with more
            than two dimensions, C = T) are not replaced: NaN in their padding is kept out of the
            value only.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Returns:
        The loss: a scalar, ``[B]`` for ``batch``, the unreduced loss's shape for ``none``.

    Raises:
        ValueError: on mismatched shapes, ε outside [0, 1], or an unknown ``mask_shape`` or
            reduction.

    Reference:
        ``speechbrain.nnet.losses.compute_masked_loss``.

    Example:
        >>> loss_fn = nn.MSELoss(reduction="none")
        >>> predictions = torch.tensor([[1.0, 5.0], [2.0, 4.0]])
        >>> compute_masked_loss(loss_fn, predictions, torch.zeros(2, 2), torch.tensor([0.5, 1.0]))
        tensor(7.)
    """
    check_configuration(label_smoothing, mask_shape, reduction)
    predictions, targets = select_inputs(predictions, targets, length, mask_shape)
    loss = loss_fn(predictions, targets)
    return reduce_masked(loss, predictions, targets, length, label_smoothing, mask_shape, reduction)


def check_configuration(label_smoothing: float, mask_shape: str, reduction: str) -> None:
    """Raise unless the configuration of a masked loss is known."""
    check_fraction("label_smoothing", label_smoothing)
    check_choice("mask_shape", mask_shape, ["targets", "predictions", "loss"])
    check_reduction(reduction)


def select_inputs(
    predictions: Tensor, targets: Tensor, length: Optional[Tensor], mask_shape: str
) -> Tuple[Tensor, Tensor]:
    """Both with their padding replaced, wherever their shapes tell which dimension is time."""
    if length is None:
        return predictions, targets
    alike = predictions.dim() == targets.dim() and predictions.shape[1:2] == targets.shape[1:2]
    if mask_shape == "targets" and targets.dim() >= 2:
        frames = targets.shape[1]
        # Channels first, [B, C, T], is the layout of torch's losses; where C = T it cannot be told.
        first, last = predictions.shape[1] == frames, predictions.shape[-1] == frames
        if alike or (predictions.dim() == targets.dim() + 1 and first and not last):
            predictions = _fill(predictions, length)
        elif predictions.dim() == targets.dim() + 1 and last and not first:
            predictions = _fill(predictions.transpose(1, -1), length).transpose(1, -1)
        return predictions, _fill(targets, length)
    if mask_shape == "predictions" and predictions.dim() >= 2:
        return _fill(predictions, length), _fill(targets, length) if alike else targets
    # Whether dimension 1 is the loss's T is known before the loss only if there is no other.
    if predictions.dim() == 2:
        predictions = _fill(predictions, length)
        targets = _fill(targets, length) if alike else targets
    return predictions, targets


def _fill(x: Tensor, length: Tensor) -> Tensor:
    fill = 1.0 if x.is_floating_point() else 0.0
    return select_valid(x, frame_mask(length, x.shape[0], x.shape[1]), fill)


def reduce_masked(
    loss: Tensor,
    predictions: Tensor,
    targets: Tensor,
    length: Optional[Tensor],
    label_smoothing: float,
    mask_shape: str,
    reduction: str,
) -> Tensor:
    """Reduce what ``loss_fn`` returned, see :func:`compute_masked_loss`."""
    if length is None:
        return reduce_loss(
            loss, torch.ones_like(loss), reduction, label_smoothing, predictions, targets
        )
    shape = loss.shape
    if mask_shape == "targets":
        shape = targets.shape
    elif mask_shape == "predictions":
        shape = predictions.shape
    if len(shape) < 2:
        raise ValueError(f"{mask_shape}: expected shape [B, T, *], got {list(shape)}")
    if loss.dim() < 2 or loss.shape[1] != shape[1]:
        raise ValueError(
            f"loss: expected shape [{shape[0]}, {shape[1]}, *], got {list(loss.shape)}"
        )
    mask = frame_mask(length, shape[0], shape[1])
    if label_smoothing == 0.0:
        return reduce_valid(select_valid(loss, mask), mask, reduction)
    mask = expand_mask(mask, loss).expand(loss.shape)
    return reduce_loss(loss, mask, reduction, label_smoothing, predictions, targets)


class MaskedLoss(nn.Module):
    """:func:`compute_masked_loss` with a loss as its submodule and its configuration frozen.

    Args:
        loss_fn: a module ``(predictions, targets) -> unreduced loss``, as
            ``nn.MSELoss(reduction="none")``; a plain callable works in eager mode only, and
            scripting it is an error that says so.
        label_smoothing: ε in [0, 1]; for negative log-likelihoods only.
        mask_shape: which tensor has T as its dimension 1: ``targets``, ``predictions`` or
            ``loss``.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - predictions, targets: ``[B, T, *]``, see :func:`compute_masked_loss`; length: ``[B]`` or
          None.
        - loss: a scalar, ``[B]`` for ``batch``, the unreduced loss's shape for ``none``.

    Raises:
        ValueError: on mismatched shapes, or a wrong configuration.

    Example:
        >>> loss = MaskedLoss(nn.L1Loss(reduction="none"), reduction="batch")
        >>> predictions = torch.tensor([[1.0, 5.0], [2.0, 4.0]])
        >>> loss(predictions, torch.zeros(2, 2), torch.tensor([0.5, 1.0]))
        tensor([1., 3.])
    """

    label_smoothing: Final[float]
    mask_shape: Final[str]
    reduction: Final[str]

    def __init__(
        self,
        loss_fn: Callable[[Tensor, Tensor], Tensor],
        *,
        label_smoothing: float = 0.0,
        mask_shape: str = "targets",
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_configuration(label_smoothing, mask_shape, reduction)
        self.loss_fn = as_module("loss_fn", loss_fn)
        self.label_smoothing = float(label_smoothing)
        self.mask_shape = mask_shape
        self.reduction = reduction

    def forward(
        self, predictions: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> Tensor:
        """Loss of a batch, see :func:`compute_masked_loss`."""
        predictions, targets = select_inputs(predictions, targets, length, self.mask_shape)
        loss = self.loss_fn(predictions, targets)
        return reduce_masked(
            loss,
            predictions,
            targets,
            length,
            self.label_smoothing,
            self.mask_shape,
            self.reduction,
        )
