"""Tensors that weights may be: strided, with values, in a number format that torch computes in."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from export.errors import InputError

_DTYPES = frozenset(
    {
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
    }
)


def check_plain(state: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that no module here is loaded from.

    Raises:
        InputError: naming the file, the tensor, and what is special about it.
    """
    for name, tensor in state.items():
        kind = _special(tensor)
        if kind:
            raise InputError(
                f"{path}: {name} is {kind}: save plain dense tensors of float32, for instance by "
                "tensor.dequantize(), tensor.to_dense() or tensor.float()"
            )


def _special(tensor: Tensor) -> str:
    if tensor.is_meta:
        return "a tensor without values (on the device meta)"
    if tensor.is_quantized:
        return "a quantised tensor"
    if tensor.layout != torch.strided or tensor.is_nested:
        return f"a tensor of layout {str(tensor.layout).removeprefix('torch.')}"
    if tensor.dtype not in _DTYPES:
        return f"a tensor of {str(tensor.dtype).removeprefix('torch.')}"
    return ""
