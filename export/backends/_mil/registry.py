"""The table of MIL kernels and the few conversions that every kernel needs."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from export.errors import ArtefactError

Kernel = Callable[..., Any]
AnyKernel = TypeVar("AnyKernel", bound=Kernel)

KERNELS: dict[str, Kernel] = {}
"""MIL op type to a function whose parameters are the op's inputs."""

DTYPES = {
    "bool": torch.bool,
    "fp16": torch.float16,
    "fp32": torch.float32,
    "fp64": torch.float64,
    "int8": torch.int8,
    "int16": torch.int16,
    "int32": torch.int32,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "uint16": torch.uint16,
    "uint32": torch.uint32,
}
"""The names that MIL's string-valued dtype inputs use."""


def kernel(name: str) -> Callable[[AnyKernel], AnyKernel]:
    """Register the decorated function as the kernel of the MIL op ``name``."""

    def register(function: AnyKernel) -> AnyKernel:
        if name in KERNELS:
            raise ValueError(f"kernel: {name} is registered twice")
        KERNELS[name] = function
        return function

    return register


def find_kernel(op: str, given: Mapping[str, object]) -> Kernel:
    """The kernel of ``op``, which must know every input that the file gives it.

    Raises:
        ArtefactError: If the op, or one of its inputs, is not implemented.
    """
    if op not in KERNELS:
        raise ArtefactError(f"MIL op {op}: not supported by the evaluator")
    parameters = inspect.signature(KERNELS[op]).parameters
    for name in given:
        if name not in parameters:
            raise ArtefactError(f"MIL op {op}: input {name} is not supported by the evaluator")
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in given:
            raise ArtefactError(f"MIL op {op}: input {name} is missing")
    return KERNELS[op]


def ints(value: Tensor) -> list[int]:
    """A rank-1 (or rank-0) integer tensor as a list."""
    return [int(v) for v in value.reshape(-1).tolist()]


def flags(value: Tensor | None, count: int) -> list[bool]:
    """A boolean mask of ``count`` entries; absent means all false."""
    if value is None:
        return [False] * count
    return [bool(v) for v in value.reshape(-1).tolist()]


def axes_of(axes: Tensor | None, rank: int) -> list[int]:
    """Non-negative, ascending axes; absent means all of them."""
    if axes is None:
        return list(range(rank))
    return sorted(axis % rank if rank else 0 for axis in ints(axes))


def indices_within(indices: Tensor, size: int) -> Tensor:
    """The indices as int64.

    Raises:
        ArtefactError: If one lies outside [0, size): Core ML leaves the result undefined from
            iOS 17 on, so there is no value to compare with.
    """
    wide = indices.long()
    if wide.numel() and (int(wide.min()) < 0 or int(wide.max()) >= size):
        raise ArtefactError(
            f"index: expected values in [0, {size}), got {int(wide.min())} to {int(wide.max())}"
        )
    return wide
