"""MIL ops that reduce, accumulate, sort or rank along axes."""

from collections.abc import Callable

import torch
from torch import Tensor

from export.backends._mil.registry import DTYPES, KERNELS, axes_of, kernel


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(dim=axes, keepdim=keep, dtype=x.dtype) if axes else x


def _prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in reversed(axes):
        x = x.prod(dim=axis, keepdim=keep, dtype=x.dtype)
    return x


REDUCTIONS: dict[str, Callable[[Tensor, list[int], bool], Tensor]] = {
    "reduce_l1_norm": lambda x, axes, keep: _sum(x.abs(), axes, keep),
    "reduce_l2_norm": lambda x, axes, keep: _sum(x * x, axes, keep).sqrt(),
    "reduce_log_sum": lambda x, axes, keep: _sum(x, axes, keep).log(),
    "reduce_log_sum_exp": lambda x, axes, keep: x.logsumexp(dim=axes, keepdim=keep),
    "reduce_max": lambda x, axes, keep: x.amax(dim=axes, keepdim=keep),
    "reduce_mean": lambda x, axes, keep: x.mean(dim=axes, keepdim=keep),
    "reduce_min": lambda x, axes, keep: x.amin(dim=axes, keepdim=keep),
    "reduce_prod": _prod,
    "reduce_sum": _sum,
    "reduce_sum_square": lambda x, axes, keep: _sum(x * x, axes, keep),
}


def _reduction(
    function: Callable[[Tensor, list[int], bool], Tensor],
) -> Callable[..., Tensor]:
    def run(x: Tensor, axes: Tensor | None = None, keep_dims: bool | Tensor = False) -> Tensor:
        return function(x, axes_of(axes, x.dim()), bool(keep_dims))

    return run


KERNELS.update({name: _reduction(function) for name, function in REDUCTIONS.items()})


@kernel("reduce_argmax")
def reduce_argmax(
    x: Tensor,
    axis: int | Tensor = -1,
    keep_dims: bool | Tensor = False,
    output_dtype: str = "int32",
) -> Tensor:
    """Index of the largest value; the first of equals."""
    found = torch.max(x, dim=int(axis), keepdim=bool(keep_dims)).indices
    return found.to(DTYPES[output_dtype])


@kernel("reduce_argmin")
def reduce_argmin(
    x: Tensor,
    axis: int | Tensor = -1,
    keep_dims: bool | Tensor = False,
    output_dtype: str = "int32",
) -> Tensor:
    """Index of the smallest value; the first of equals."""
    found = torch.min(x, dim=int(axis), keepdim=bool(keep_dims)).indices
    return found.to(DTYPES[output_dtype])


@kernel("cumsum")
def cumsum(
    x: Tensor,
    axis: int | Tensor = 0,
    exclusive: bool | Tensor = False,
    reverse: bool | Tensor = False,
) -> Tensor:
    """Running sum; exclusive leaves each element out of its own sum."""
    dim = int(axis)
    source = x.flip(dim) if bool(reverse) else x
    total = source.cumsum(dim, dtype=x.dtype)
    if bool(exclusive):
        shifted = total.narrow(dim, 0, total.shape[dim] - 1)
        total = torch.cat([torch.zeros_like(total.narrow(dim, 0, 1)), shifted], dim)
    return total.flip(dim) if bool(reverse) else total


@kernel("argsort")
def argsort(x: Tensor, axis: int | Tensor = -1, ascending: bool | Tensor = False) -> Tensor:
    """Indices that sort; equals keep their order."""
    order = torch.argsort(x, dim=int(axis), descending=not bool(ascending), stable=True)
    return order.to(torch.int32)


@kernel("topk")
def topk(
    x: Tensor,
    k: int | Tensor = 1,
    axis: int | Tensor = -1,
    ascending: bool | Tensor = False,
    sort: bool | Tensor = True,
    return_indices: bool | Tensor = True,
    output_indices_dtype: str = "int32",
) -> Tensor | tuple[Tensor, Tensor]:
    """The k largest (or smallest) values, sorted whether or not the file asks for it."""
    dim = int(axis)
    count = x.shape[dim] if int(k) == -1 else int(k)
    values, order = torch.sort(x, dim=dim, descending=not bool(ascending), stable=True)
    values = values.narrow(dim, 0, count)
    if not bool(return_indices):
        return values
    return values, order.narrow(dim, 0, count).to(DTYPES[output_indices_dtype])


@kernel("softmax")
def softmax(x: Tensor, axis: int | Tensor = -1) -> Tensor:
    """exp(x) / Σ exp(x), shifted by the largest value."""
    dim = int(axis)
    weights = torch.exp(x - x.amax(dim=dim, keepdim=True))
    return weights / weights.sum(dim=dim, keepdim=True)
