"""Faster forms of two masked sums, for large tensors in plain eager mode on a processor.

``torch.where`` with a broadcast mask reads a byte per element and is six times slower there than an
AND with the bits of the elements, which a NaN does not survive either. Bits have no derivative, so
that each form is an ``autograd.Function``; its plain form, in differentiable operators, is what
everything else runs: scripting, tracing, export, compilation, transforms and second derivatives.

They are two because they win twofold: squared errors and divergences. Elsewhere a selection costs
more than ``where`` saves; the benchmarks' rows say how much.
"""

import math
from typing import Any, Optional, Tuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.function import FunctionCtx

from scriptable._core.values import in_plain_eager

_WHOLE = {torch.float32: torch.int32, torch.float64: torch.int64}
_LARGE = 1 << 15


def takes_shortcut(x: Tensor) -> bool:
    """Whether ``x`` is large enough to win, and nothing looks at the operators that run."""
    return (
        x.numel() >= _LARGE
        and x.device.type == "cpu"
        and x.is_floating_point()
        and in_plain_eager(x)
        and forward_ad._current_level < 0
    )


def _bits(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """All bits set where a boolean mask is true, none where it is false."""
    return mask.to(_WHOLE[dtype]).neg_()


def _kept(x: Tensor, mask: Tensor) -> Tensor:
    """A copy of ``x`` with 0 where the mask is false."""
    return torch.bitwise_and(x.view(_WHOLE[x.dtype]), _bits(mask, x.dtype)).view(x.dtype)


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


class Divergences(torch.autograd.Function):
    """Σ over the valid frames of ``½(μ² + e^v − 1 − v)`` of each item, ``[B, T, *]`` → ``[B]``.

    e^v goes on as its tangent above ``bend``.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx, mean: Tensor, log_var: Tensor, mask: Tensor, bend: float
    ) -> Tensor:
        """Sums of divergences; what the two slopes are made of is kept."""
        kept_mean, kept_log_var = _kept(mean, mask), _kept(log_var, mask)
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
