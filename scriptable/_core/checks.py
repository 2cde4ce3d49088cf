"""Argument checks, one message form: ``name: expected ..., got ...``.

All of them look at shapes, dtypes and configuration only, never at values, so that they disappear
from a traced or exported graph; ``torch.jit.script`` compiles them as they stand.
"""

from typing import List

import torch
from torch import Tensor


def check_rank(name: str, tensor: Tensor, expected: str, rank: int) -> None:
    """Raise unless ``tensor`` has ``rank`` dimensions; ``expected`` spells them, as ``[B, D]``."""
    if tensor.dim() != rank:
        raise ValueError(f"{name}: expected shape {expected}, got {list(tensor.shape)}")


def check_shape(name: str, tensor: Tensor, expected: List[int]) -> None:
    """Raise unless ``tensor`` has exactly the expected sizes."""
    if list(tensor.shape) != expected:
        raise ValueError(f"{name}: expected shape {expected}, got {list(tensor.shape)}")


def check_features(name: str, tensor: Tensor, size: int) -> None:
    """Raise unless ``tensor`` is ``[B, size]``."""
    if tensor.dim() != 2 or tensor.shape[1] != size:
        raise ValueError(f"{name}: expected shape [B, {size}], got {list(tensor.shape)}")


def check_labels(labels: Tensor, batch: int) -> None:
    """Raise unless ``labels`` is an integer tensor of shape ``[B]``."""
    if labels.dim() != 1:
        raise ValueError(f"labels: expected shape [B], got {list(labels.shape)}")
    if labels.shape[0] != batch:
        raise ValueError(f"labels: expected shape [{batch}], got {list(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"labels: expected an integer dtype, got {labels.dtype}")


def check_relative_dtype(name: str, length: Tensor) -> None:
    """Raise unless lengths are floating-point: whole numbers would be counts of frames."""
    if not length.is_floating_point():
        raise ValueError(
            f"{name}: expected relative lengths in [0, 1] of a floating-point dtype, "
            f"got {length.dtype}"
        )


def check_positive(name: str, value: float) -> None:
    """Raise unless a configuration value is above zero."""
    if not value > 0:
        raise ValueError(f"{name}: expected a value above 0, got {value}")


def check_not_negative(name: str, value: float) -> None:
    """Raise unless a configuration value is zero or above."""
    if not value >= 0:
        raise ValueError(f"{name}: expected a value of 0 or above, got {value}")


def check_choice(name: str, value: str, choices: List[str]) -> None:
    """Raise unless a configuration string is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {choices}, got {value}")


def check_fraction(name: str, value: float) -> None:
    """Raise unless a configuration value is in [0, 1]."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: expected a value in [0, 1], got {value}")


def check_broadcast(name: str, tensor: Tensor, shape: List[int]) -> None:
    """Raise unless ``tensor`` broadcasts to ``shape``."""
    fits = tensor.dim() <= len(shape)
    if fits:
        for back in range(1, tensor.dim() + 1):
            size = tensor.shape[tensor.dim() - back]
            fits = fits and (size == 1 or size == shape[len(shape) - back])
    if not fits:
        raise ValueError(
            f"{name}: expected a shape that broadcasts to {shape}, got {list(tensor.shape)}"
        )
