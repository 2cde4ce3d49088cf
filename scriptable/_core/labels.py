"""Class labels in the forms that training code uses."""

import torch
from torch import Tensor

from scriptable._core.checks import check_labels
from scriptable._core.numeric import mean_of
from scriptable._core.values import can_be_checked, check_classes


def legal_index(name: str, index: Tensor, classes: int) -> Tensor:
    """Indices as int64, each of one of the classes.

    One outside is an error in eager mode, in script and in a compiled graph. A traced or exported
    graph takes the nearest class, so that no runtime ever reads or writes outside a tensor.
    """
    index = index.long()
    if can_be_checked(index):
        check_classes(name, index, classes)
        return index
    if not torch.jit.is_scripting():
        if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
            inside = torch.logical_and(index >= 0, index < classes).all()
            torch._assert_async(inside, f"{name}: expected classes in [0, {classes - 1}]")
            return index
    return index.clamp(min=0, max=classes - 1)


def class_labels(labels: Tensor, batch: int, classes: int) -> Tensor:
    """Labels ``[B]`` of an integer dtype → class indices ``[B]``, int64."""
    check_labels(labels, batch)
    return legal_index("labels", labels, classes)


def are_soft(label: Tensor, batch: int, classes: int) -> bool:
    """Whether labels are one weight per class, floating-point ``[B, C]``, rather than classes."""
    return (
        label.dim() == 2
        and label.shape[0] == batch
        and label.shape[1] == classes
        and classes > 1
        and label.is_floating_point()
    )


def class_indices(label: Tensor, batch: int, n_classes: int) -> Tensor:
    """Labels ``[B]``, ``[B, 1]`` or one-hot ``[B, C]`` → class indices ``[B]``, int64."""
    if label.dim() == 2 and label.shape[0] == batch:
        if label.shape[1] == 1:
            label = label.squeeze(1)
        elif label.shape[1] == n_classes:
            return _hot_class(label)
    if label.dim() != 1 or label.shape[0] != batch:
        expected = f"[{batch}] or [{batch}, 1]"
        if n_classes > 1:
            expected = f"[{batch}], [{batch}, 1] or [{batch}, {n_classes}]"
        raise ValueError(f"label: expected shape {expected}, got {list(label.shape)}")
    check_labels(label, batch)
    # With one class the labels are whatever the caller makes of them.
    return legal_index("label", label, n_classes) if n_classes > 1 else label.long()


def _hot_class(label: Tensor) -> Tensor:
    """One-hot ``[B, C]`` → class indices ``[B]``."""
    if label.is_floating_point() or label.is_complex():
        raise ValueError(
            f"label: expected classes, or one-hot rows of an integer dtype (this loss is not "
            f"defined for a mixture of classes), got {label.dtype}"
        )
    label = label.long()
    if can_be_checked(label):
        one_hot = torch.logical_and(label.amin(1) >= 0, label.sum(1) == 1).all()
        if label.is_cuda:
            torch._assert_async(one_hot, "label: expected one 1 and zeros in every row")
        elif not bool(one_hot):
            row = int(torch.logical_or(label.amin(1) < 0, label.sum(1) != 1).long().argmax())
            raise ValueError(
                f"label: expected one 1 and zeros in every row, got another row at item {row}"
            )
    return torch.argmax(label.to(torch.float32), 1)


def accuracy_of(classes: Tensor, target: Tensor) -> Tensor:
    """Share of the items whose predicted class is the target, a scalar; 0 of none."""
    return mean_of((classes == target).to(torch.float32))
