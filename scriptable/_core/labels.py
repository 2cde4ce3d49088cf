"""Class labels in the three forms that training code holds them in."""

import torch
from torch import Tensor

from scriptable._core.checks import check_labels


def class_indices(label: Tensor, batch: int, n_classes: int) -> Tensor:
    """Labels ``[B]``, ``[B, 1]`` or one-hot ``[B, C]`` → class indices ``[B]``, int64."""
    if label.dim() == 2 and label.shape[0] == batch:
        if label.shape[1] == 1:
            label = label.squeeze(1)
        elif label.shape[1] == n_classes:
            return torch.argmax(label.to(torch.float32), 1)
    if label.dim() != 1 or label.shape[0] != batch:
        expected = f"[{batch}] or [{batch}, 1]"
        if n_classes > 1:
            expected = f"[{batch}], [{batch}, 1] or [{batch}, {n_classes}]"
        raise ValueError(f"label: expected shape {expected}, got {list(label.shape)}")
    check_labels(label, batch)
    return label.long()
