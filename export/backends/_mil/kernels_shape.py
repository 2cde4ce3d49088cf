"""MIL ops that move elements: reshape, slice, pad, join, split, fill."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from export.backends._mil.registry import axes_of, flags, ints, kernel
from export.errors import ArtefactError


@kernel("reshape")
def reshape(x: Tensor, shape: Tensor) -> Tensor:
    """New shape; a 0 copies the size of ``x`` at the same place counted from the right."""
    target = ints(shape)
    for place, size in enumerate(target):
        source = place - len(target) + x.dim()
        if size == 0:
            target[place] = x.shape[source] if source >= 0 else 1
    return x.reshape(target)


@kernel("transpose")
def transpose(x: Tensor, perm: Tensor) -> Tensor:
    """Permuted axes."""
    return x.permute(ints(perm))


@kernel("squeeze")
def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Without the given axes of size 1, or without all of them."""
    if axes is None:
        return x.squeeze()
    gone = axes_of(axes, x.dim())
    if any(x.shape[axis] != 1 for axis in gone):
        raise ArtefactError(f"MIL op squeeze: axes {gone} of shape {list(x.shape)} are not all 1")
    return x.squeeze(gone)


@kernel("expand_dims")
def expand_dims(x: Tensor, axes: Tensor) -> Tensor:
    """With an axis of size 1 at each place of the result."""
    for axis in axes_of(axes, x.dim() + axes.numel()):
        x = x.unsqueeze(axis)
    return x


@kernel("flatten2d")
def flatten2d(x: Tensor, axis: int | Tensor = 1) -> Tensor:
    """The axes before and from ``axis`` on, each flattened."""
    return x.reshape(math.prod(x.shape[: int(axis)]), math.prod(x.shape[int(axis) :]))


@kernel("concat")
def concat(values: list[Tensor], axis: Tensor, interleave: bool | Tensor = False) -> Tensor:
    """Joined along an axis, one after the other or taking turns; scalars form a vector."""
    values = [value.reshape(1) if value.dim() == 0 else value for value in values]
    dim = int(axis) % values[0].dim()
    if bool(interleave):
        return torch.stack(values, dim + 1).flatten(dim, dim + 1)
    return torch.cat(values, dim)


@kernel("stack")
def stack(values: list[Tensor], axis: Tensor) -> Tensor:
    """Joined along a new axis."""
    return torch.stack(values, int(axis))


@kernel("split")
def split(
    x: Tensor,
    axis: Tensor,
    num_splits: Tensor | None = None,
    split_sizes: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Consecutive parts along an axis."""
    dim = int(axis)
    if split_sizes is not None:
        return torch.split(x, ints(split_sizes), dim)
    if num_splits is None:
        raise ArtefactError("MIL op split: neither num_splits nor split_sizes is given")
    return torch.split(x, x.shape[dim] // int(num_splits), dim)


def _positions(
    shape: list[int],
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None,
    begin_mask: Tensor | None,
    end_mask: Tensor | None,
    squeeze_mask: Tensor | None,
) -> list[range]:
    """The positions that a slice takes along each axis."""
    rank = len(shape)
    steps = [1] * rank if stride is None else ints(stride)
    from_edge, to_edge = flags(begin_mask, rank), flags(end_mask, rank)
    single = flags(squeeze_mask, rank)
    taken = []
    for axis, (size, first, last) in enumerate(zip(shape, ints(begin), ints(end), strict=True)):
        start = None if from_edge[axis] else first
        if single[axis]:
            at = (start or 0) % size
            taken.append(range(at, at + 1))
        else:
            stop = None if to_edge[axis] else last
            taken.append(range(*slice(start, stop, steps[axis]).indices(size)))
    return taken


@kernel("slice_by_index")
def slice_by_index(
    x: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """x[begin:end:stride] on each axis, the axes in ``squeeze_mask`` removed."""
    shape = list(x.shape)
    taken = _positions(shape, begin, end, stride, begin_mask, end_mask, squeeze_mask)
    for axis, positions in enumerate(taken):
        if positions != range(shape[axis]):
            x = x.index_select(axis, torch.tensor(list(positions), dtype=torch.int64))
    single = flags(squeeze_mask, len(shape))
    return x.squeeze([axis for axis in range(len(shape)) if single[axis]])


@kernel("slice_update")
def slice_update(
    x: Tensor,
    update: Tensor,
    begin: Tensor,
    end: Tensor,
    stride: Tensor | None = None,
    begin_mask: Tensor | None = None,
    end_mask: Tensor | None = None,
    squeeze_mask: Tensor | None = None,
) -> Tensor:
    """``x`` with the slice that ``slice_by_index`` would take replaced by ``update``."""
    taken = _positions(list(x.shape), begin, end, stride, begin_mask, end_mask, squeeze_mask)
    index = torch.meshgrid(*(torch.tensor(list(p)) for p in taken), indexing="ij")
    result = x.clone()
    result[index] = update.reshape(index[0].shape)
    return result


@kernel("slice_by_size")
def slice_by_size(x: Tensor, begin: Tensor, size: Tensor) -> Tensor:
    """``size`` elements from ``begin`` on each axis; −1 takes all that remain."""
    for axis, (first, count) in enumerate(zip(ints(begin), ints(size), strict=True)):
        start = first % x.shape[axis]
        x = x.narrow(axis, start, x.shape[axis] - start if count == -1 else count)
    return x


@kernel("pad")
def pad(
    x: Tensor,
    pad: Tensor,
    mode: str = "constant",
    constant_val: float | Tensor = 0.0,
) -> Tensor:
    """Added elements before and after the last axes, in axis order."""
    amounts = ints(pad)
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    if mode == "constant":
        reversed_order = [amount for pair in reversed(pairs) for amount in pair]
        return F.pad(x, reversed_order, value=float(constant_val))
    if mode not in ("reflect", "replicate"):
        raise ArtefactError(f"MIL op pad: unknown mode {mode}")
    for axis, (before, after) in enumerate(pairs, x.dim() - len(pairs)):
        size = x.shape[axis]
        place = torch.arange(-before, size + after)
        if mode == "replicate":
            place = place.clamp(0, size - 1)
        else:
            place = (size - 1) - ((size - 1) - place.abs()).abs()
        x = x.index_select(axis, place)
    return x


@kernel("crop")
def crop(x: Tensor, crop_height: Tensor, crop_width: Tensor) -> Tensor:
    """Without so many rows and columns at each edge of the last two axes."""
    (top, bottom), (left, right) = ints(crop_height), ints(crop_width)
    return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]


@kernel("tile")
def tile(x: Tensor, reps: Tensor) -> Tensor:
    """Repeated so many times along each axis."""
    return x.repeat(ints(reps))


@kernel("reverse")
def reverse(x: Tensor, axes: Tensor | None = None) -> Tensor:
    """Flipped along axes, or along all."""
    return x.flip(axes_of(axes, x.dim()))


@kernel("shape")
def shape(x: Tensor) -> Tensor:
    """The sizes of ``x``."""
    return torch.tensor(list(x.shape), dtype=torch.int32)


@kernel("fill")
def fill(shape: Tensor, value: float | Tensor = 0.0) -> Tensor:
    """A constant of the given shape."""
    return torch.as_tensor(value).expand(ints(shape)).clone()


@kernel("fill_like")
def fill_like(ref_tensor: Tensor, value: float | Tensor = 0.0) -> Tensor:
    """A constant shaped like another tensor."""
    return torch.as_tensor(value).expand(ref_tensor.shape).clone()


@kernel("range_1d")
def range_1d(start: Tensor, end: Tensor, step: Tensor) -> Tensor:
    """From ``start`` to below ``end``."""
    return torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype)


@kernel("band_part")
def band_part(x: Tensor, lower: int | Tensor = -1, upper: int | Tensor = -1) -> Tensor:
    """Zero outside so many diagonals below and above the main one; negative keeps all."""
    below = torch.arange(x.shape[-2]).unsqueeze(1) - torch.arange(x.shape[-1])
    kept = torch.ones_like(below, dtype=torch.bool)
    if int(lower) >= 0:
        kept &= below <= int(lower)
    if int(upper) >= 0:
        kept &= -below <= int(upper)
    return torch.where(kept, x, torch.zeros_like(x))


@kernel("sliding_windows")
def sliding_windows(x: Tensor, axis: Tensor, size: Tensor, stride: int | Tensor = 1) -> Tensor:
    """Windows along an axis; their elements form the axis after it."""
    dim = int(axis) % x.dim()
    return x.unfold(dim, int(size), int(stride)).movedim(-1, dim + 1)


@kernel("pixel_shuffle")
def pixel_shuffle(x: Tensor, upscale_factor: Tensor) -> Tensor:
    """Channels [C·r², H, W] spread into [C, H·r, W·r]."""
    return F.pixel_shuffle(x, int(upscale_factor))


@kernel("pixel_unshuffle")
def pixel_unshuffle(x: Tensor, downscale_factor: Tensor) -> Tensor:
    """Blocks [C, H·r, W·r] gathered into [C·r², H, W]."""
    return F.pixel_unshuffle(x, int(downscale_factor))
