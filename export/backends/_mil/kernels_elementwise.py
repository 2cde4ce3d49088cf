"""Elementwise MIL ops: arithmetic, comparisons, logic, activations, casts."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from export.backends._mil.registry import DTYPES, KERNELS, kernel
from export.errors import ArtefactError

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "acos": torch.acos,
    "asin": torch.asin,
    "atan": torch.atan,
    "atanh": torch.atanh,
    "ceil": torch.ceil,
    "cos": torch.cos,
    "cosh": torch.cosh,
    "erf": torch.erf,
    "exp": torch.exp,
    "floor": torch.floor,
    "identity": torch.clone,
    "logical_not": torch.logical_not,
    "relu": torch.relu,
    "round": torch.round,
    "sigmoid": torch.sigmoid,
    "sign": torch.sign,
    "sin": torch.sin,
    "sinh": torch.sinh,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "tan": torch.tan,
    "tanh": torch.tanh,
}

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "equal": torch.eq,
    "floor_div": torch.floor_divide,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "mod": torch.remainder,
    "mul": torch.mul,
    "not_equal": torch.ne,
    "pow": torch.pow,
    "sub": torch.sub,
}


def _unary(function: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor) -> Tensor:
        return function(x)

    return run


def _binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, y: Tensor) -> Tensor:
        return function(x, y)

    return run


KERNELS.update({name: _unary(function) for name, function in UNARY.items()})
KERNELS.update({name: _binary(function) for name, function in BINARY.items()})


@kernel("real_div")
def real_div(x: Tensor, y: Tensor) -> Tensor:
    """Quotient; of integers only where it is whole, as in arithmetic on shapes.

    What Core ML does with a remainder is not documented.
    """
    if x.is_floating_point():
        return x / y
    if bool((torch.remainder(x, y) != 0).any()):
        raise ArtefactError("integers that do not divide are not supported")
    return torch.floor_divide(x, y)


@kernel("exp2")
def exp2(x: Tensor) -> Tensor:
    """2**x in the dtype of ``x``, which may be an integer."""
    return torch.exp2(x).to(x.dtype)


@kernel("log")
def log(x: Tensor, epsilon: float | Tensor = 1e-45) -> Tensor:
    """Logarithm of ``x + epsilon``: at zero it gives about −103.3 and never −inf."""
    return torch.log(x + epsilon)


@kernel("rsqrt")
def rsqrt(x: Tensor, epsilon: float | Tensor = 1e-12) -> Tensor:
    """1 / sqrt(x + epsilon)."""
    return torch.reciprocal(torch.sqrt(x + epsilon))


@kernel("inverse")
def inverse(x: Tensor, epsilon: float | Tensor = 1e-4) -> Tensor:
    """1 / (x + epsilon)."""
    return torch.reciprocal(x + epsilon)


@kernel("clip")
def clip(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """min(max(x, alpha), beta)."""
    return torch.minimum(torch.maximum(x, alpha), beta)


@kernel("cast")
def cast(x: Tensor, dtype: str) -> Tensor:
    """To another dtype; a float goes to an integer by truncation, to bool by x != 0."""
    if dtype not in DTYPES:
        raise ArtefactError(f"MIL op cast: unknown dtype {dtype}")
    return x.to(DTYPES[dtype])


@kernel("select")
def select(cond: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """``a`` where ``cond``, else ``b``."""
    return torch.where(cond, a, b)


@kernel("softplus")
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)) without overflow."""
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


@kernel("softplus_parametric")
def softplus_parametric(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Alpha · softplus(beta · x), the parameters per channel."""
    shape = [1, -1] + [1] * (x.dim() - 2)
    return alpha.reshape(shape) * softplus(beta.reshape(shape) * x)


@kernel("softsign")
def softsign(x: Tensor) -> Tensor:
    """X / (1 + |x|)."""
    return x / (1 + x.abs())


@kernel("silu")
def silu(x: Tensor) -> Tensor:
    """X · sigmoid(x)."""
    return x * torch.sigmoid(x)


@kernel("relu6")
def relu6(x: Tensor) -> Tensor:
    """min(max(x, 0), 6)."""
    return x.clamp(0, 6)


@kernel("elu")
def elu(x: Tensor, alpha: Tensor) -> Tensor:
    """X above zero, else alpha · (exp(x) − 1)."""
    return torch.where(x > 0, x, alpha * torch.expm1(x))


@kernel("leaky_relu")
def leaky_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """X from zero on, else alpha · x."""
    return torch.where(x >= 0, x, alpha * x)


@kernel("prelu")
def prelu(x: Tensor, alpha: Tensor) -> Tensor:
    """Leaky ReLU with one slope per channel (axis 1)."""
    return leaky_relu(x, alpha.reshape([1, -1] + [1] * (x.dim() - 2)))


@kernel("threshold")
def threshold(x: Tensor, alpha: Tensor) -> Tensor:
    """max(x, alpha)."""
    return torch.maximum(x, alpha)


@kernel("thresholded_relu")
def thresholded_relu(x: Tensor, alpha: Tensor) -> Tensor:
    """X from alpha on, else zero."""
    return torch.where(x >= alpha, x, torch.zeros_like(x))


@kernel("clamped_relu")
def clamped_relu(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Leaky ReLU, at most beta."""
    return torch.minimum(leaky_relu(x, alpha), beta)


@kernel("linear_activation")
def linear_activation(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Alpha · x + beta."""
    return alpha * x + beta


@kernel("scaled_tanh")
def scaled_tanh(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Alpha · tanh(beta · x)."""
    return alpha * torch.tanh(beta * x)


@kernel("sigmoid_hard")
def sigmoid_hard(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Alpha · x + beta, limited to [0, 1]."""
    return (alpha * x + beta).clamp(0, 1)


@kernel("gelu")
def gelu(x: Tensor, mode: str = "EXACT") -> Tensor:
    """Gaussian error linear unit, exact or in one of two approximations."""
    if mode == "EXACT":
        return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))
    if mode == "TANH_APPROXIMATION":
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise ArtefactError(f"MIL op gelu: unknown mode {mode}")


@kernel("quantize")
def quantize(
    input: Tensor,
    scale: Tensor,
    output_dtype: str,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """Round(input / scale) + zero_point, saturated to the integer dtype."""
    limits = torch.iinfo(DTYPES[output_dtype])
    shift = torch.zeros(()) if zero_point is None else zero_point.to(input.dtype)
    levels = torch.round(input / _along(scale, input, axis)) + _along(shift, input, axis)
    return levels.clamp(limits.min, limits.max).to(DTYPES[output_dtype])


@kernel("dequantize")
def dequantize(
    input: Tensor,
    scale: Tensor,
    zero_point: Tensor | None = None,
    axis: Tensor | None = None,
) -> Tensor:
    """(input − zero_point) · scale."""
    shift = torch.zeros(()) if zero_point is None else zero_point.to(scale.dtype)
    return (input.to(scale.dtype) - _along(shift, input, axis)) * _along(scale, input, axis)


def _along(values: Tensor, x: Tensor, axis: Tensor | None) -> Tensor:
    """Per-axis values shaped to broadcast against ``x``."""
    if values.dim() == 0 or axis is None:
        return values
    shape = [1] * x.dim()
    shape[int(axis)] = -1
    return values.reshape(shape)
