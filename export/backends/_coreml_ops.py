"""Decompositions that coremltools needs: ops it refuses, and ops it converts to other values."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import default_decompositions

aten = torch.ops.aten

Decomposition = Callable[..., Any]
DECOMPOSITIONS: dict[Any, Decomposition] = {}
NATIVE = (aten.roll.default,)
"""Ops that coremltools converts right and whose default decomposition it refuses."""


def decomposes(*ops: Any) -> Callable[[Decomposition], Decomposition]:
    """Register the decorated function for ``ops``; it may return NotImplemented to keep one."""

    def register(function: Decomposition) -> Decomposition:
        DECOMPOSITIONS.update(dict.fromkeys(ops, function))
        return function

    return register


def table() -> dict[Any, Decomposition]:
    """The default decompositions with ours in place."""
    found = default_decompositions()
    for op in NATIVE:
        found.pop(op, None)
    found.update(DECOMPOSITIONS)
    return cast(dict[Any, Decomposition], found)


# Ops that coremltools converts without complaint to something else.


@decomposes(aten._log_softmax.default)
def _log_softmax(x: Tensor, dim: int, half_to_float: bool) -> Tensor:
    # Converted as log(softmax + 1e-45), which saturates at −103.
    shifted = x - x.amax(dim, keepdim=True)
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


@decomposes(aten.reciprocal.default)
def _reciprocal(x: Tensor) -> Tensor:
    # Converted as 1 / (x + 1e-4).
    return torch.ones((), dtype=x.dtype) / x


@decomposes(aten.rsqrt.default)
def _rsqrt(x: Tensor) -> Tensor:
    # Converted as 1 / sqrt(x + 1e-12).
    return torch.ones((), dtype=x.dtype) / x.sqrt()


@decomposes(aten.elu.default)
def _elu(x: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Tensor:
    # The scales, which SELU uses, are dropped.
    if scale == 1 and input_scale == 1:
        return NotImplemented
    return scale * torch.where(x > 0, x, float(alpha) * (torch.exp(x * input_scale) - 1))


@decomposes(aten.gelu.default)
def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    # The approximation is dropped.
    if approximate == "none":
        return NotImplemented
    return 0.5 * x * (1 + torch.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


@decomposes(aten.var_mean.correction)
def _var_mean(
    x: Tensor,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> tuple[Tensor, Tensor]:
    if correction is not None and correction != int(correction):
        return NotImplemented
    axes = [axis % x.dim() for axis in dim] if dim else list(range(x.dim()))
    mean = x.mean(axes, keepdim=True)
    count = 1
    for axis in axes:
        count = count * x.shape[axis]
    squares = (x - mean).square().sum(axes, keepdim=keepdim)
    freedom = count - int(1 if correction is None else correction)
    return squares / freedom, mean if keepdim else mean.squeeze(axes)


@decomposes(aten.var.correction)
def _var(
    x: Tensor,
    dim: Sequence[int] | None = None,
    *,
    correction: float | None = None,
    keepdim: bool = False,
) -> Tensor:
    # The correction is dropped when all axes are reduced.
    return _var_mean(x, dim, correction=correction, keepdim=keepdim)[0]


@decomposes(aten.argmax.default)
def _argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    # Without an axis, the last one is taken.
    if dim is not None or keepdim:
        return NotImplemented
    return x.reshape(-1).argmax(0)


@decomposes(aten.argmin.default)
def _argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    if dim is not None or keepdim:
        return NotImplemented
    return x.reshape(-1).argmin(0)


@decomposes(aten.diagonal.default, aten.diagonal_copy.default)
def _diagonal(x: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    # Converted as the whole matrix.
    square = x.movedim((dim1, dim2), (-2, -1))
    rows, columns = square.shape[-2:]
    length = min(rows + min(offset, 0), columns - max(offset, 0))
    first = offset if offset >= 0 else -offset * columns
    flat = square.reshape(*square.shape[:-2], rows * columns)
    return flat[..., first : first + (length - 1) * (columns + 1) + 1 : columns + 1]


@decomposes(aten.full_like.default)
def _full_like(x: Tensor, value: float, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor:
    # The dtype is taken from the literal, so that an integer fills a float tensor with integers.
    if not (dtype or x.dtype).is_floating_point or isinstance(value, float):
        return NotImplemented
    return torch.full_like(x, float(value), dtype=dtype)


@decomposes(aten.full.default)
def _full(
    size: Sequence[int], value: float, *, dtype: torch.dtype | None = None, **_: Any
) -> Tensor:
    if dtype is None or not dtype.is_floating_point or isinstance(value, float):
        return NotImplemented
    return torch.full(size, float(value), dtype=dtype)


@decomposes(aten.clamp.default)
def _clamp_by_number(x: Tensor, min: float | None = None, max: float | None = None) -> Tensor:
    # Integers become floats, which no later gather takes as an index.
    if x.is_floating_point():
        return NotImplemented
    lifted = x if min is None else torch.maximum(x, torch.full_like(x, min))
    return lifted if max is None else torch.minimum(lifted, torch.full_like(lifted, max))


# Ops that coremltools refuses.


@decomposes(aten.hardtanh.default)
def _hardtanh(x: Tensor, min_val: float = -1, max_val: float = 1) -> Tensor:
    return x.clamp(float(min_val), float(max_val))


@decomposes(aten.clamp.Tensor)
def _clamp(x: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor:
    lifted = x if min is None else torch.maximum(x, min)
    return lifted if max is None else torch.minimum(lifted, max)


@decomposes(aten.isinf.default)
def _isinf(x: Tensor) -> Tensor:
    return x.abs() == float("inf")


@decomposes(aten.bitwise_and.Tensor)
def _bitwise_and(x: Tensor, y: Tensor) -> Tensor:
    return torch.logical_and(x, y) if x.dtype == y.dtype == torch.bool else NotImplemented


@decomposes(aten.bitwise_or.Tensor)
def _bitwise_or(x: Tensor, y: Tensor) -> Tensor:
    return torch.logical_or(x, y) if x.dtype == y.dtype == torch.bool else NotImplemented


@decomposes(aten.bitwise_xor.Tensor)
def _bitwise_xor(x: Tensor, y: Tensor) -> Tensor:
    return torch.logical_xor(x, y) if x.dtype == y.dtype == torch.bool else NotImplemented


@decomposes(aten.scatter.value)
def _scatter_value(x: Tensor, dim: int, index: Tensor, value: float) -> Tensor:
    # A number is refused where a size is dynamic.
    return x.scatter(dim, index, torch.full_like(index, value, dtype=x.dtype))


@decomposes(aten.trunc.default)
def _trunc(x: Tensor) -> Tensor:
    return torch.where(x < 0, x.ceil(), x.floor())


@decomposes(aten.fmod.Tensor, aten.fmod.Scalar)
def _fmod(x: Tensor, y: Tensor | float) -> Tensor:
    return x - torch.div(x, y, rounding_mode="trunc") * y


@decomposes(aten.lerp.Scalar, aten.lerp.Tensor)
def _lerp(start: Tensor, end: Tensor, weight: Tensor | float) -> Tensor:
    return start + weight * (end - start)


@decomposes(aten.unfold.default, aten.unfold_copy.default)
def _unfold(x: Tensor, dim: int, size: int, step: int) -> Tensor:
    axis = dim % x.dim()
    count = (x.shape[axis] - size) // step + 1
    place = torch.arange(count).unsqueeze(1) * step + torch.arange(size)
    windows = x.index_select(axis, place.reshape(-1))
    shape = [*x.shape[:axis], count, size, *x.shape[axis + 1 :]]
    return windows.reshape(shape).movedim(axis + 1, -1)


@decomposes(aten.alias.default)
def _alias(x: Tensor) -> Tensor:
    return x.clone()


@decomposes(aten.empty_permuted.default)
def _empty_permuted(size: Sequence[int], order: Sequence[int], **options: Any) -> Tensor:
    return torch.zeros(size, dtype=options.get("dtype"))
