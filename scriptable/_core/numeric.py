"""Arithmetic that stays finite, in value and in gradient, where the textbook form does not."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision widened to float32; float32 and float64 as they are."""
    if x.dtype == torch.float16 or x.dtype == torch.bfloat16:
        return x.float()
    return x


@contextmanager
def without_tf32() -> Iterator[None]:
    """Products and convolutions of float32 without TF32, which keeps 10 bits of them on CUDA.

    It is the default of convolutions, and ``torch.set_float32_matmul_precision`` sets it for the
    others.
    """
    users = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]  # type: ignore[attr-defined]
    before = [user.fp32_precision for user in users]
    try:
        for user in users:
            user.fp32_precision = "ieee"
        yield
    finally:
        for user, precision in zip(users, before, strict=True):
            user.fp32_precision = precision


def precise_product(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product in the dtype of its factors under autocast, too."""
    product = a @ b
    if product.dtype != a.dtype:
        if torch.jit.is_scripting():
            # A script cannot leave autocast, which lets float64 pass.
            return (a.double() @ b.double()).to(a.dtype)
        else:
            with torch.autocast(a.device.type, enabled=False):
                product = a @ b
    return product


def inverse_norm(x: Tensor, dim: int) -> Tensor:
    """1/‖x‖ along ``dim``, kept; 0 for a zero vector, which has no direction to learn."""
    smallest = 1e-24
    squared = x.square().sum(dim, keepdim=True)
    inverse = squared.clamp(min=smallest).rsqrt()
    return torch.where(squared > smallest, inverse, torch.zeros_like(inverse))


def unit(x: Tensor, dim: int) -> Tensor:
    """``x`` at length one along ``dim``; zero vectors stay zero and get a zero gradient."""
    return x * inverse_norm(x, dim)


def softplus(x: Tensor) -> Tensor:
    """log(1 + eˣ) without overflow, and right above 20, where ``F.softplus`` turns into x."""
    return -F.logsigmoid(-x)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log softmax(logits)[label] per item: logits ``[B, C]``, legal int64 labels → ``[B]``."""
    return F.cross_entropy(logits, labels, reduction="none")


def mean_of(values: Tensor) -> Tensor:
    """The mean, and 0 with a gradient of 0 where there are no values: a sum over nothing."""
    return values.sum() / max(values.numel(), 1)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Σwv / Σw, and 0 where all weights are zero."""
    return (weights * values).sum() / weights.sum().clamp(min=1e-12)
