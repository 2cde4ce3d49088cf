"""MIL ops that read or write by index."""

import math

import torch
from torch import Tensor

from export.backends._mil.registry import indices_within, ints, kernel
from export.errors import ArtefactError


@kernel("gather")
def gather(
    x: Tensor,
    indices: Tensor,
    axis: int | Tensor = 0,
    batch_dims: int | Tensor = 0,
    validate_indices: bool | Tensor = False,
) -> Tensor:
    """Slices of ``x`` along one axis, the leading ``batch_dims`` axes paired."""
    dim, batch = int(axis) % x.dim(), int(batch_dims)
    if batch:
        rows = [
            gather(part, index, axis=dim - 1, batch_dims=batch - 1)
            for part, index in zip(x.unbind(0), indices.unbind(0), strict=True)
        ]
        return torch.stack(rows)
    picked = x.index_select(dim, indices_within(indices, x.shape[dim]).reshape(-1))
    return picked.reshape(x.shape[:dim] + indices.shape + x.shape[dim + 1 :])


@kernel("gather_along_axis")
def gather_along_axis(
    x: Tensor,
    indices: Tensor,
    axis: int | Tensor = 0,
    validate_indices: bool | Tensor = False,
) -> Tensor:
    """One element of ``x`` per index, along one axis."""
    dim = int(axis) % x.dim()
    return torch.gather(x, dim, indices_within(indices, x.shape[dim]))


@kernel("gather_nd")
def gather_nd(
    x: Tensor,
    indices: Tensor,
    batch_dims: int | Tensor = 0,
    validate_indices: bool | Tensor = False,
) -> Tensor:
    """Slices of ``x`` at the coordinates in the last axis of ``indices``."""
    if int(batch_dims):
        rows = [
            gather_nd(part, index, batch_dims=int(batch_dims) - 1)
            for part, index in zip(x.unbind(0), indices.unbind(0), strict=True)
        ]
        return torch.stack(rows)
    columns = indices.unbind(-1)
    return x[tuple(indices_within(c, x.shape[i]) for i, c in enumerate(columns))]


def _combine(data: Tensor, index: Tensor, updates: Tensor, dim: int, mode: str) -> Tensor:
    """Write elementwise along ``dim``; ``index`` has the shape of ``updates``."""
    where = indices_within(index, data.shape[dim])
    if mode == "update":
        return data.scatter(dim, where, updates)
    if mode in ("add", "sub"):
        return data.scatter_add(dim, where, updates if mode == "add" else -updates)
    if mode == "div":
        product = torch.ones_like(data).scatter_reduce(dim, where, updates, "prod")
        return data / product
    reductions = {"mul": "prod", "max": "amax", "min": "amin"}
    if mode not in reductions:
        raise ArtefactError(f"MIL op scatter: unknown mode {mode}")
    return data.scatter_reduce(dim, where, updates, reductions[mode])


@kernel("scatter")
def scatter(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int | Tensor = 0,
    mode: str = "add",
    validate_indices: bool | Tensor = False,
) -> Tensor:
    """Write whole slices along one axis at a vector of positions."""
    dim = int(axis) % data.dim()
    shape = [1] * data.dim()
    shape[dim] = -1
    return _combine(data, indices.reshape(shape).expand(updates.shape), updates, dim, mode)


@kernel("scatter_along_axis")
def scatter_along_axis(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    axis: int | Tensor = 0,
    mode: str = "add",
    validate_indices: bool | Tensor = False,
) -> Tensor:
    """Write one element per index along one axis."""
    return _combine(data, indices, updates, int(axis) % data.dim(), mode)


@kernel("scatter_nd")
def scatter_nd(
    data: Tensor,
    indices: Tensor,
    updates: Tensor,
    mode: str = "add",
    validate_indices: bool | Tensor = False,
) -> Tensor:
    """Write slices at the coordinates in the last axis of ``indices``."""
    depth = indices.shape[-1]
    lead = list(data.shape[:depth])
    flat = torch.zeros(indices.shape[:-1], dtype=torch.int64)
    for position, size in enumerate(lead):
        flat = flat * size + indices_within(indices[..., position], size)
    width = math.prod(data.shape[depth:])
    rows = data.reshape(math.prod(lead), width)
    writes = updates.reshape(flat.numel(), width)
    index = flat.reshape(-1, 1).expand(writes.shape)
    return _combine(rows, index, writes, 0, mode).reshape(data.shape)


@kernel("one_hot")
def one_hot(
    indices: Tensor,
    one_hot_vector_size: Tensor,
    axis: int | Tensor = -1,
    on_value: Tensor | None = None,
    off_value: Tensor | None = None,
) -> Tensor:
    """``on_value`` at each index along a new axis; an index out of range gives no hit."""
    dim = int(axis) % (indices.dim() + 1)
    shape = [1] * (indices.dim() + 1)
    shape[dim] = -1
    classes = torch.arange(int(one_hot_vector_size)).reshape(shape)
    on = torch.tensor(1, dtype=torch.int32) if on_value is None else on_value
    off = torch.zeros((), dtype=on.dtype) if off_value is None else off_value
    return torch.where(indices.long().unsqueeze(dim) == classes, on, off)


@kernel("non_zero")
def non_zero(x: Tensor) -> Tensor:
    """Coordinates of the non-zero elements, in row order."""
    return torch.nonzero(x).to(torch.int32)


@kernel("reverse_sequence")
def reverse_sequence(
    x: Tensor,
    lengths: Tensor,
    seq_axis: int | Tensor = 0,
    batch_axis: int | Tensor = 0,
) -> Tensor:
    """Reverse the first ``lengths[b]`` steps of each sequence."""
    steps = x.movedim((int(batch_axis), int(seq_axis)), (0, 1)).clone()
    for row, length in zip(steps, ints(lengths), strict=True):
        row[:length] = row[:length].flip(0)
    return steps.movedim((0, 1), (int(batch_axis), int(seq_axis)))
