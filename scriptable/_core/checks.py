"""Argument checks, one message form: ``name: expected ..., got ...``.

All of them look at shapes, dtypes and configuration only, never at values, so that they disappear
from a traced or exported graph; ``torch.jit.script`` compiles them as they stand.
"""

import math
import numbers
from collections.abc import Callable
from typing import Any, Dict, List, Tuple, get_args, get_type_hints

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
    """Raise unless a configuration value is a finite number above zero."""
    check_number(name, value)
    if not value > 0:
        raise ValueError(f"{name}: expected a value above 0, got {value}")


def check_not_negative(name: str, value: float) -> None:
    """Raise unless a configuration value is a finite number, zero or above."""
    check_number(name, value)
    if not value >= 0:
        raise ValueError(f"{name}: expected a value of 0 or above, got {value}")


def check_number(name: str, value: float) -> None:
    """Raise unless a configuration value is a finite number: no text, no flag, no NaN."""
    check_real(name, value)
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")


def check_real(name: str, value: float) -> None:
    """Raise unless a configuration value is a number, for whoever checks its range anyway."""
    if not torch.jit.is_scripting():
        # Floats and whole numbers as they usually come cost one comparison.
        if type(value) not in (float, int):
            _check_type(name, value, (numbers.Real, torch.SymFloat, torch.SymInt), "a number")


def check_whole(name: str, value: int) -> None:
    """Raise unless a configuration value is a whole number: no text, no flag, no fraction."""
    if not torch.jit.is_scripting():
        if type(value) is not int:
            _check_type(name, value, (numbers.Integral, torch.SymInt), "a whole number")


def check_size(name: str, value: int) -> None:
    """Raise unless a configuration value is a whole number of 1 or more."""
    check_whole(name, value)
    if value < 1:
        raise ValueError(f"{name}: expected a value above 0, got {value}")


def check_flag(name: str, value: bool) -> None:
    """Raise unless a configuration value is True or False; a text would count as True."""
    if not torch.jit.is_scripting():
        if type(value) is not bool:
            raise ValueError(f"{name}: expected True or False, got {shown(value)}")


def check_kinds(constructor: Callable[..., None], given: Dict[str, Any]) -> None:
    """Hold every number and flag among a constructor's arguments against its annotation."""
    for name, hint in get_type_hints(constructor).items():
        kinds = [kind for kind in get_args(hint) or [hint] if kind is not type(None)]
        kind = kinds[0] if len(kinds) == 1 else None
        if name == "return" or given[name] is None:
            continue
        if kind is bool:
            check_flag(name, given[name])
        elif kind is int:
            check_whole(name, given[name])
        elif kind is float:
            check_number(name, given[name])


def shown(value: object) -> str:
    """A value of the wrong type as an error shows it: a text in quotes, others as they print."""
    return repr(value) if isinstance(value, str) else str(value)


def _check_type(name: str, value: object, types: Tuple[Any, ...], expected: str) -> None:
    if isinstance(value, bool) or not isinstance(value, types):
        raise ValueError(f"{name}: expected {expected}, got {shown(value)}")


def check_choice(name: str, value: str, choices: List[str]) -> None:
    """Raise unless a configuration string is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {choices}, got {value}")


def check_fraction(name: str, value: float) -> None:
    """Raise unless a configuration value is in [0, 1]."""
    check_real(name, value)
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
