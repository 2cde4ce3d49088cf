"""One class out of C per frame or utterance: classification error and negative log-likelihood."""

from typing import Final, Optional

import torch
from torch import Tensor

from scriptable._core.checks import (
    check_fraction,
    check_shape,
    check_whole,
)
from scriptable._core.labels import (
    legal_index,
)
from scriptable._core.numeric import (
    at_least_float32,
    precise_product,
)
from scriptable._core.reduction import check_reduction, reduce_valid, select_valid
from scriptable.losses._frames import as_frames, like_targets, picked, zero_unless


def classification_error(
    probabilities: Tensor,
    targets: Tensor,
    length: Optional[Tensor] = None,
    allowed_len_diff: int = 3,
    reduction: str = "mean",
) -> Tensor:
    r"""Share of frames, or of utterances, whose most probable class is wrong.

    .. math:: \ell_{bt} = [\arg\max_c p_{btc} \ne y_{bt}]

    Args:
        probabilities: shape ``[B, C]`` or ``[B, T, C]``; any scores that rank the classes will do.
        targets: class of each utterance ``[B]``, or of each frame ``[B, T]``; ``[T]`` for B = 1.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        allowed_len_diff: frames by which T may differ before it is an error.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Returns:
        The error in float32: a scalar, ``[B]`` for ``batch``, the shape of the targets for
        ``none``. It has no gradient.

    Raises:
        ValueError: on mismatched shapes, a target that is not a class, lengths without frames, or
            an unknown reduction.

    Reference:
        ``speechbrain.nnet.losses.classification_error``.

    Example:
        >>> probs = torch.tensor([[[0.9, 0.1], [0.1, 0.9]]])
        >>> classification_error(probs, torch.tensor([1, 1]))
        tensor(0.5000)
    """
    frames, labels, mask = as_frames(
        "probabilities", probabilities, targets, length, allowed_len_diff
    )
    labels = legal_index("targets", labels, frames.shape[2])
    wrong = (frames.argmax(2) != labels).float()
    error = reduce_valid(zero_unless(mask, wrong), mask, reduction)
    return like_targets(error, probabilities)


def nll_loss(
    log_probabilities: Tensor,
    targets: Tensor,
    length: Optional[Tensor] = None,
    label_smoothing: float = 0.0,
    allowed_len_diff: int = 3,
    weight: Optional[Tensor] = None,
    reduction: str = "mean",
) -> Tensor:
    r"""Negative log-likelihood of the target class.

    .. math:: \ell_{bt} = -(1 - \varepsilon)\, w_{y_{bt}} \log p_{bt\,y_{bt}}
        - \frac{\varepsilon}{C} \sum_c w_c \log p_{btc}

    With class weights ``mean`` and ``batch`` divide by the total weight of the targets, Σ w_y.

    Args:
        log_probabilities: shape ``[B, C]`` or ``[B, T, C]``.
        targets: class of each utterance ``[B]``, or of each frame ``[B, T]``; ``[T]`` for B = 1.
        length: relative lengths in [0, 1], shape ``[B]``; None when nothing is padded.
        label_smoothing: ε in [0, 1].
        allowed_len_diff: frames by which T may differ before it is an error.
        weight: one weight per class, shape ``[C]``; None weighs all alike.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Returns:
        The loss in nats: a scalar, ``[B]`` for ``batch``, the shape of the targets for ``none``.

    Raises:
        ValueError: on mismatched shapes, a target that is not a class, lengths without frames, ε
            outside [0, 1], or an unknown reduction.

    Reference:
        ``speechbrain.nnet.losses.nll_loss``; smoothing and weights as
        ``torch.nn.functional.cross_entropy``.

    Example:
        >>> probs = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
        >>> nll_loss(torch.log(probs), torch.tensor([1, 1]))
        tensor(1.2040)
    """
    check_fraction("label_smoothing", label_smoothing)
    frames, labels, mask = as_frames(
        "log_probabilities", log_probabilities, targets, length, allowed_len_diff
    )
    labels = legal_index("targets", labels, frames.shape[2])
    loss = -zero_unless(mask, at_least_float32(picked(frames, labels)))
    measure = mask
    if weight is not None:
        check_shape("weight", weight, [frames.shape[2]])
        of_label = weight.to(loss.dtype).index_select(0, labels.reshape(-1)).reshape(labels.shape)
        loss = of_label * loss
        measure = zero_unless(mask, of_label)
    if label_smoothing > 0.0:
        uniform = zero_unless(mask, _class_sum(frames, mask, weight)) / frames.shape[2]
        loss = (1.0 - label_smoothing) * loss - label_smoothing * uniform
    return like_targets(reduce_valid(loss, measure, reduction), log_probabilities)


def _class_sum(frames: Tensor, mask: Optional[Tensor], weight: Optional[Tensor]) -> Tensor:
    """Weighted sum over the classes, ``[B, T, C]`` → ``[B, T]``."""
    frames = at_least_float32(frames)
    if weight is None:
        return frames.sum(2)
    # A product, unlike a sum, hands NaN from the padding on to the gradient of the weight.
    if mask is not None:
        frames = select_valid(frames, mask)
    return precise_product(frames, weight.to(frames.dtype))


class ClassificationError(torch.nn.Module):
    """:func:`classification_error` with its configuration frozen.

    Args:
        allowed_len_diff: frames by which T may differ before it is an error.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - probabilities: ``[B, C]`` or ``[B, T, C]``; targets: ``[B]`` or ``[B, T]``; length:
          ``[B]`` or None.
        - error: a scalar, ``[B]`` for ``batch``, the shape of the targets for ``none``.

    Raises:
        ValueError: on mismatched shapes, lengths that are not relative, or an unknown reduction.

    Example:
        >>> error = ClassificationError(reduction="sum")
        >>> error(torch.tensor([[0.9, 0.1], [0.1, 0.9]]), torch.tensor([1, 1]))
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
        self, probabilities: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> Tensor:
        """Error of a batch, see :func:`classification_error`."""
        return classification_error(
            probabilities, targets, length, self.allowed_len_diff, self.reduction
        )


class NLLLoss(torch.nn.Module):
    """:func:`nll_loss` with its configuration frozen.

    Args:
        label_smoothing: ε in [0, 1].
        allowed_len_diff: frames by which T may differ before it is an error.
        weight: one weight per class, shape ``[C]``, kept in a buffer; None weighs all alike.
        reduction: ``mean``, ``batch``, ``batchmean``, ``sum`` or ``none``.

    Shape:
        - log_probabilities: ``[B, C]`` or ``[B, T, C]``; targets: ``[B]`` or ``[B, T]``; length:
          ``[B]`` or None.
        - loss: a scalar, ``[B]`` for ``batch``, the shape of the targets for ``none``.

    Raises:
        ValueError: on mismatched shapes, ε outside [0, 1], or an unknown reduction.

    Example:
        >>> loss = NLLLoss(weight=torch.tensor([3.0, 1.0]))
        >>> loss(torch.tensor([[-1.0, -2.0], [-1.0, -2.0]]), torch.tensor([0, 1]))
        tensor(1.2500)
    """

    label_smoothing: Final[float]
    allowed_len_diff: Final[int]
    reduction: Final[str]

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        allowed_len_diff: int = 3,
        weight: Optional[Tensor] = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        check_fraction("label_smoothing", label_smoothing)
        check_whole("allowed_len_diff", allowed_len_diff)
        check_reduction(reduction)
        self.label_smoothing = float(label_smoothing)
        self.allowed_len_diff = allowed_len_diff
        # Not annotated: a script keeps an Optional[Tensor] as an attribute, which neither moves
        # with the module nor is in its state.
        self.register_buffer("weight", None if weight is None else weight.detach().clone())
        self.reduction = reduction

    def forward(
        self, log_probabilities: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> Tensor:
        """Loss of a batch, see :func:`nll_loss`."""
        return nll_loss(
            log_probabilities,
            targets,
            length,
            self.label_smoothing,
            self.allowed_len_diff,
            self.weight,  # type: ignore[arg-type]
            self.reduction,
        )
