"""MIL ops of neural networks: products, convolutions, pooling, normalisation, attention."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from export.backends._mil.registry import axes_of, ints, kernel
from export.errors import ArtefactError

Pairs = list[tuple[int, int]]

CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


@kernel("matmul")
def matmul(
    x: Tensor,
    y: Tensor,
    transpose_x: bool | Tensor = False,
    transpose_y: bool | Tensor = False,
) -> Tensor:
    """Product over the last two axes, each side first transposed if asked."""
    left = x.transpose(-1, -2) if bool(transpose_x) and x.dim() > 1 else x
    right = y.transpose(-1, -2) if bool(transpose_y) and y.dim() > 1 else y
    return left @ right


@kernel("linear")
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X · weightᵀ + bias."""
    product = x @ weight.T
    return product if bias is None else product + bias


@kernel("einsum")
def einsum(values: list[Tensor], equation: str) -> Tensor:
    """Einstein summation."""
    return torch.einsum(equation, *values)


@kernel("scaled_dot_product_attention")
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
) -> Tensor:
    """softmax(query · keyᵀ / sqrt(E) + mask) · value."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return torch.softmax(scores, -1) @ value


def _paddings(
    pad_type: str, pad: Tensor | None, sizes: list[int], spans: list[int], strides: list[int]
) -> Pairs:
    """Elements to add before and after each spatial axis; ``spans`` are dilated kernels."""
    if pad_type == "valid":
        return [(0, 0)] * len(sizes)
    if pad_type == "custom":
        amounts = [0] * (2 * len(sizes)) if pad is None else ints(pad)
        return list(zip(amounts[::2], amounts[1::2], strict=True))
    if pad_type not in ("same", "same_lower"):
        raise ArtefactError(f"MIL: unknown pad_type {pad_type}")
    pairs = []
    for size, span, stride in zip(sizes, spans, strides, strict=True):
        total = max(0, (math.ceil(size / stride) - 1) * stride + span - size)
        smaller, larger = total // 2, total - total // 2
        pairs.append((smaller, larger) if pad_type == "same" else (larger, smaller))
    return pairs


def _pad_spatial(x: Tensor, pairs: Pairs, value: float = 0.0) -> Tensor:
    return F.pad(x, [amount for pair in reversed(pairs) for amount in pair], value=value)


@kernel("conv")
def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: int | Tensor = 1,
) -> Tensor:
    """Convolution over 1 to 3 spatial axes."""
    spatial = x.dim() - 2
    steps = [1] * spatial if strides is None else ints(strides)
    spread = [1] * spatial if dilations is None else ints(dilations)
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], spread, strict=True)]
    padded = _pad_spatial(x, _paddings(pad_type, pad, list(x.shape[2:]), spans, steps))
    return CONVOLUTIONS[spatial](
        padded, weight, bias, stride=steps, dilation=spread, groups=int(groups)
    )


@kernel("conv_transpose")
def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Tensor | None = None,
    output_shape: Tensor | None = None,
    pad_type: str = "valid",
    strides: Tensor | None = None,
    dilations: Tensor | None = None,
    groups: int | Tensor = 1,
) -> Tensor:
    """Transposed convolution; padding crops the result, an output shape may extend it."""
    spatial = x.dim() - 2
    steps = [1] * spatial if strides is None else ints(strides)
    spread = [1] * spatial if dilations is None else ints(dilations)
    result = TRANSPOSED[spatial](x, weight, stride=steps, dilation=spread, groups=int(groups))
    if pad_type == "same":
        totals = [
            n - size * s for n, size, s in zip(result.shape[2:], x.shape[2:], steps, strict=True)
        ]
        crops = [(total // 2, total - total // 2) for total in totals]
    else:
        crops = _paddings(pad_type, pad, list(x.shape[2:]), [], steps)
    if output_shape is not None:
        wanted = zip(ints(output_shape)[2:], result.shape[2:], crops, strict=True)
        crops = [(before, n - before - size) for size, n, (before, _) in wanted]
    result = _pad_spatial(result, [(-before, -after) for before, after in crops])
    return result if bias is None else result + bias.reshape([1, -1] + [1] * spatial)


def _windows(x: Tensor, pairs: Pairs, kernel: list[int], strides: list[int], fill: float) -> Tensor:
    """All pooling windows: [n, C, *out, *kernel]."""
    windows = _pad_spatial(x, pairs, fill)
    for axis, (size, stride) in enumerate(zip(kernel, strides, strict=True), 2):
        windows = windows.unfold(axis, size, stride)
    return windows


def _pool_layout(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None,
    pad_type: str,
    pad: Tensor | None,
    ceil_mode: bool,
) -> tuple[list[int], list[int], Pairs, Pairs]:
    """Kernel, strides, the padding asked for, and that with what ceil mode adds at the end."""
    sizes, kernel = list(x.shape[2:]), ints(kernel_sizes)
    steps = [1] * len(kernel) if strides is None else ints(strides)
    asked = _paddings(pad_type, pad, sizes, kernel, steps)
    full = []
    for size, span, step, (before, after) in zip(sizes, kernel, steps, asked, strict=True):
        length = size + before + after
        count = (length - span + (step - 1 if ceil_mode else 0)) // step + 1
        if ceil_mode and (count - 1) * step >= size + before and before + after > 0:
            count -= 1
        full.append((before, after + max(0, (count - 1) * step + span - length)))
    return kernel, steps, asked, full


@kernel("max_pool")
def max_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    ceil_mode: bool | Tensor = False,
) -> Tensor:
    """Largest value of each window; padding never wins."""
    kernel, steps, _, full = _pool_layout(x, kernel_sizes, strides, pad_type, pad, bool(ceil_mode))
    return _windows(x, full, kernel, steps, -math.inf).flatten(-len(kernel)).amax(-1)


@kernel("avg_pool")
def avg_pool(
    x: Tensor,
    kernel_sizes: Tensor,
    strides: Tensor | None = None,
    pad_type: str = "valid",
    pad: Tensor | None = None,
    exclude_padding_from_average: bool | Tensor = False,
    ceil_mode: bool | Tensor = False,
) -> Tensor:
    """Mean of each window; the padding asked for counts unless excluded."""
    kernel, steps, asked, full = _pool_layout(
        x, kernel_sizes, strides, pad_type, pad, bool(ceil_mode)
    )
    counted = torch.ones_like(x)
    if bool(exclude_padding_from_average):
        extra = full
    else:
        counted = _pad_spatial(counted, asked, 1.0)
        extra = [(0, f[1] - a[1]) for f, a in zip(full, asked, strict=True)]
    total = _windows(x, full, kernel, steps, 0.0).flatten(-len(kernel)).sum(-1)
    return total / _windows(counted, extra, kernel, steps, 0.0).flatten(-len(kernel)).sum(-1)


def _scale_shift(x: Tensor, gamma: Tensor | None, beta: Tensor | None, shape: list[int]) -> Tensor:
    scaled = x if gamma is None else x * gamma.reshape(shape)
    return scaled if beta is None else scaled + beta.reshape(shape)


def _standardise(x: Tensor, axes: list[int], epsilon: float | Tensor) -> Tensor:
    centred = x - x.mean(dim=axes, keepdim=True)
    return centred / torch.sqrt((centred * centred).mean(dim=axes, keepdim=True) + epsilon)


@kernel("batch_norm")
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float | Tensor = 1e-5,
) -> Tensor:
    """Normalised per channel: gamma · (x − mean) / sqrt(variance + epsilon) + beta per channel."""
    shape = [1, -1] + [1] * (x.dim() - 2)
    scaled = (x - mean.reshape(shape)) / torch.sqrt(variance + epsilon).reshape(shape)
    return _scale_shift(scaled, gamma, beta, shape)


@kernel("instance_norm")
def instance_norm(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float | Tensor = 1e-5,
) -> Tensor:
    """Standardised over the spatial axes of each channel."""
    shape = [1, -1] + [1] * (x.dim() - 2)
    return _scale_shift(_standardise(x, list(range(2, x.dim())), epsilon), gamma, beta, shape)


@kernel("layer_norm")
def layer_norm(
    x: Tensor,
    axes: Tensor | None = None,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    epsilon: float | Tensor = 1e-5,
) -> Tensor:
    """Standardised over the given axes."""
    over = axes_of(axes, x.dim())
    shape = [size if axis in over else 1 for axis, size in enumerate(x.shape)]
    return _scale_shift(_standardise(x, over, epsilon), gamma, beta, shape)


@kernel("l2_norm")
def l2_norm(x: Tensor, epsilon: float | Tensor = 1e-6) -> Tensor:
    """X / sqrt(Σx² + epsilon) over the last three axes."""
    return x / torch.sqrt((x * x).sum(dim=(-3, -2, -1), keepdim=True) + epsilon)


@kernel("upsample_nearest_neighbor")
def upsample_nearest_neighbor(
    x: Tensor,
    scale_factor_height: int | Tensor = 1,
    scale_factor_width: int | Tensor = 1,
) -> Tensor:
    """Each element repeated; only whole factors."""
    for axis, factor in ((-2, float(scale_factor_height)), (-1, float(scale_factor_width))):
        if factor != int(factor):
            raise ArtefactError(f"MIL op upsample_nearest_neighbor: factor {factor} is not whole")
        x = x.repeat_interleave(int(factor), axis)
    return x
