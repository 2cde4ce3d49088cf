"""Checks to call on the host: a static graph cannot look at values."""

import torch
from torch import Tensor

from scriptable._core.checks import check_relative_dtype, check_size


def check_lengths(length: Tensor, name: str = "length") -> None:
    """Raise unless every length is relative: a floating-point number in [0, 1].

    Losses call it by themselves in eager mode and in script, on a processor; an exported graph, a
    compiled one and a graphics processor cannot wait for it.

    Args:
        length: shape ``[B]``, on any device.
        name: how the message calls them.

    Raises:
        ValueError: on an integer dtype, or naming the first length outside [0, 1] or NaN.

    Example:
        >>> check_lengths(torch.tensor([100.0, 80.0]))
        Traceback (most recent call last):
        ...
        ValueError: length: expected relative lengths in [0, 1], got 100.0 at item 0
    """
    check_relative_dtype(name, length)
    # Written so that NaN is outside.
    outside = ~torch.logical_and(length >= 0.0, length <= 1.0)
    if bool(outside.any()):
        item = int(outside.long().argmax())
        raise ValueError(
            f"{name}: expected relative lengths in [0, 1], got {float(length[item])} at item {item}"
        )


def check_labels(labels: Tensor, n_classes: int, name: str = "labels") -> None:
    """Raise unless every label is one of the classes.

    Losses call it by themselves in eager mode and in script, on a processor; an exported graph
    takes the nearest class instead.

    Args:
        labels: integers of any shape, on any device.
        n_classes: number of classes C.
        name: how the message calls them.

    Raises:
        ValueError: on another dtype, or naming the first label outside [0, C − 1].

    Example:
        >>> check_labels(torch.tensor([[0, 1], [5, 2]]), 5)
        Traceback (most recent call last):
        ...
        ValueError: labels: expected classes in [0, 4], got 5 at [1, 0]
    """
    check_size("n_classes", n_classes)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"{name}: expected an integer dtype, got {labels.dtype}")
    outside = torch.logical_or(labels < 0, labels >= n_classes)
    if bool(outside.any()):
        place = outside.nonzero()[0].tolist()
        wrong = int(labels[tuple(place)])
        raise ValueError(
            f"{name}: expected classes in [0, {n_classes - 1}], got {wrong} at {place}"
        )
