"""Faster forms of masked arithmetic, for large tensors in plain eager mode on a processor.

``torch.where`` with a broadcast mask reads a byte per element and is six times slower there than an
AND with the bits of the elements, which a NaN does not survive either. Bits have no derivative, so
that each form is an ``autograd.Function``; its plain form, in differentiable operators, is what
everything else runs: scripting, tracing, export, compilation, transforms and second derivatives.
"""

import math
from typing import Any, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import FunctionCtx

from scriptable._core.values import in_plain_eager

_WHOLE = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
_LARGE = 1 << 15


def takes_shortcut(x: Tensor) -> bool:
    """Whether ``x`` is large enough to win, and nothing looks at the operators that run."""
    return (
        x.numel() >= _LARGE
        and x.device.type == "cpu"
        and x.dtype in _WHOLE
        and in_plain_eager(x)
        and forward_ad._current_level < 0
    )


def _bits(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """All bits set where the mask is not 0, none where it is."""
    if mask.dtype == torch.bool:
        return mask.to(_WHOLE[dtype]).neg_()
    # A comparison that writes floating-point numbers is six times faster than one that writes
    # booleans. The bits of 1.0, moved by 29, are a whole 1.
    ones = torch.ne(mask, 0, out=torch.empty(mask.shape, dtype=torch.float32))
    bits = ones.view(torch.int32).bitwise_right_shift_(29).neg_()
    return bits.to(_WHOLE[dtype])


def _kept(x: Tensor, mask: Tensor, fill: float) -> Tensor:
    bits, whole = _bits(mask, x.dtype), x.view(_WHOLE[x.dtype])
    if fill == 0.0 and bits.shape == x.shape:
        return bits.bitwise_and_(whole).view(x.dtype)
    kept = torch.bitwise_and(whole, bits)
    if fill != 0.0:
        pattern = torch.full((), fill, dtype=x.dtype).view(_WHOLE[x.dtype])
        kept.bitwise_or_(bits.bitwise_not_().bitwise_and_(pattern))
    return kept.view(x.dtype)


class Selected(torch.autograd.Function):
    """``torch.where(mask != 0, x, fill)`` of a mask that broadcasts to ``x``."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, mask: Tensor, fill: float) -> Tensor:
        """``x`` where the mask is true."""
        ctx.save_for_backward(mask)
        return _kept(x, mask, fill)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tuple[Tensor, None, None]:
        """The gradient where the mask is true."""
        (mask,) = ctx.saved_tensors
        if not torch.is_grad_enabled() and takes_shortcut(upstream):
            return _kept(upstream, mask, 0.0), None, None
        return torch.where(mask != 0, upstream, torch.zeros_like(upstream)), None, None


class SquaredErrors(torch.autograd.Function):
    """Σ over the valid frames of ``(x − y)²`` of each item, ``[B, T, *]`` → ``[B]``."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        """Sums of squares; the difference alone is kept."""
        difference = x - y
        difference.view(_WHOLE[x.dtype]).bitwise_and_(_bits(mask, x.dtype))
        ctx.save_for_backward(x, y, mask, difference)
        return torch.linalg.vector_norm(difference.flatten(1), dim=1).square()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tuple[Optional[Tensor], Optional[Tensor], None]:
        """2(x − y) for ``x``, its negative for ``y``."""
        x, y, mask, difference = ctx.saved_tensors
        if torch.is_grad_enabled():
            # A second derivative is asked for: what was kept knows nothing of the inputs.
            difference = torch.where(mask, x - y, torch.zeros_like(x))
        slope = (2.0 * upstream).reshape([-1] + [1] * (difference.dim() - 1))
        by_x = difference * slope
        return by_x, -by_x if ctx.needs_input_grad[1] else None, None


class FrameProducts(torch.autograd.Function):
    """Σ over the features of ``x·y`` of each valid frame, ``[B, T, F]`` → ``[B, T]``."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        """Products of the frames, 0 in the padding."""
        ctx.save_for_backward(x, y, mask)
        return torch.where(mask, (x * y).sum(2), 0.0)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tuple[Optional[Tensor], Optional[Tensor], None]:
        """The other factor, where the mask is true."""
        x, y, mask = ctx.saved_tensors
        inside, slope = mask.unsqueeze(2), upstream.unsqueeze(2)
        needs_x, needs_y, _ = ctx.needs_input_grad
        return (
            _product(y, slope, inside) if needs_x else None,
            _product(x, slope, inside) if needs_y else None,
            None,
        )


def _product(x: Tensor, slope: Tensor, mask: Tensor) -> Tensor:
    """``x·slope`` where the mask is true, whatever lies elsewhere."""
    if torch.is_grad_enabled() or not takes_shortcut(x):
        return torch.where(mask, x, torch.zeros_like(x)) * slope
    product = x * slope
    product.view(_WHOLE[x.dtype]).bitwise_and_(_bits(mask, x.dtype))
    return product


class Divergences(torch.autograd.Function):
    """Σ over the valid frames of ``½(μ² + e^v − 1 − v)`` of each item, ``[B, T, *]`` → ``[B]``.

    e^v goes on as its tangent above ``bend``.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, mean: Tensor, log_var: Tensor, mask: Tensor, bend: float
    ) -> Tensor:
        """Sums of divergences; what the two slopes are made of is kept."""
        kept_mean, kept_log_var = _kept(mean, mask, 0.0), _kept(log_var, mask, 0.0)
        below = kept_log_var.clamp(max=bend)
        # Not expm1, which is sixteen times slower.
        growth = torch.exp(below).sub_(1.0)
        terms = torch.sub(growth, kept_log_var)
        # As a rule nothing is above the bend, and the tangent costs two passes over memory.
        if bool(below.amax() >= bend):
            terms.add_(kept_log_var.sub_(below), alpha=math.exp(bend))
        ctx.bend = bend  # type: ignore[attr-defined]
        ctx.save_for_backward(mean, log_var, mask, kept_mean, growth)
        squares = torch.linalg.vector_norm(kept_mean.flatten(1), dim=1).square()
        return 0.5 * (squares + terms.flatten(1).sum(1))

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tuple[Tensor, Tensor, None, None]:
        """μ for the mean, ½(e^v − 1) for the logarithm of the variance."""
        mean, log_var, mask, kept_mean, growth = ctx.saved_tensors
        if torch.is_grad_enabled():
            # A second derivative is asked for, as in SquaredErrors.
            kept_mean = torch.where(mask, mean, torch.zeros_like(mean))
            kept_log_var = torch.where(mask, log_var, torch.zeros_like(log_var))
            growth = torch.exp(kept_log_var.clamp(max=ctx.bend)) - 1.0
        slope = upstream.reshape([-1] + [1] * (growth.dim() - 1))
        return kept_mean * slope, growth * (0.5 * slope), None, None
