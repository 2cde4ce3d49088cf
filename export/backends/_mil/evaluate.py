"""Reads a MIL program from its protobuf and runs it op by op."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.backends._mil.registry import Kernel, find_kernel
from export.errors import ArtefactError

Value = Tensor | str | list[Tensor]
Env = dict[str, Value]

TYPES: dict[str, tuple[torch.dtype, type[np.generic]]] = {
    "BOOL": (torch.bool, np.bool_),
    "FLOAT16": (torch.float16, np.float16),
    "FLOAT32": (torch.float32, np.float32),
    "FLOAT64": (torch.float64, np.float64),
    "INT8": (torch.int8, np.int8),
    "INT16": (torch.int16, np.int16),
    "INT32": (torch.int32, np.int32),
    "INT64": (torch.int64, np.int64),
    "UINT8": (torch.uint8, np.uint8),
    "UINT16": (torch.uint16, np.uint16),
    "UINT32": (torch.uint32, np.uint32),
}

SEQUENCES = frozenset({"values", "loop_vars"})
"""Op inputs that stay a list even when the file gives one element."""

KERNEL_ERRORS = (
    ArtefactError,
    ArithmeticError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)

BLOB_SENTINEL = 0xDEADBEEF
BLOB_HEADER = np.dtype([("sentinel", "<u4"), ("kind", "<u4"), ("bytes", "<u8"), ("at", "<u8")])


@dataclass(frozen=True)
class Slot:
    """A named value of the program with the type that the file declares."""

    name: str
    dtype: torch.dtype
    shape: tuple[int | None, ...]
    """None stands for a size that is known only when the program runs."""

    def check(self, value: Tensor) -> None:
        """Hold a value against the declaration."""
        same = len(self.shape) == value.dim() and all(
            size in (None, actual) for size, actual in zip(self.shape, value.shape, strict=True)
        )
        if value.dtype != self.dtype or not same:
            raise ArtefactError(
                f"{self.name}: the file declares {self.dtype} {list(self.shape)}, "
                f"got {value.dtype} {list(value.shape)}"
            )


@dataclass(frozen=True)
class Step:
    """One operation: where its inputs come from and what it yields."""

    op: str
    operands: dict[str, list[str]]
    results: list[Slot]
    blocks: list["Block"]
    kernel: Kernel | None
    """None for control flow, which runs blocks instead."""

    def run(self, env: Env) -> Sequence[Tensor]:
        """The values of the results, checked against their declarations."""
        given: dict[str, Any] = {
            name: [env[n] for n in names] if name in SEQUENCES else env[names[0]]
            for name, names in self.operands.items()
        }
        try:
            found = CONTROL[self.op](self, given, env) if self.op in CONTROL else self._apply(given)
            values = [found] if isinstance(found, Tensor) else list(found)
            for slot, value in zip(self.results, values, strict=True):
                slot.check(value)
        except KERNEL_ERRORS as error:
            raise self._failure(error) from error
        return values

    def _apply(self, given: dict[str, Any]) -> Any:
        assert self.kernel is not None
        return self.kernel(**given)

    def _failure(self, error: Exception) -> ArtefactError:
        reason = str(error).strip().split("\n")[0]
        return ArtefactError(f"MIL op {self.op} ({self.results[0].name}): {reason}")


@dataclass(frozen=True)
class Block:
    """Operations in order, with the names that come in and go out."""

    inputs: list[str]
    outputs: list[str]
    constants: Env
    steps: list[Step]

    def run(self, values: Sequence[Value], outer: Env) -> list[Any]:
        """The outputs for the given inputs; names of the enclosing block are visible."""
        env = {**outer, **self.constants, **dict(zip(self.inputs, values, strict=True))}
        for step in self.steps:
            env.update(zip((slot.name for slot in step.results), step.run(env), strict=True))
        return [env[name] for name in self.outputs]


def _while_loop(step: Step, given: dict[str, Any], env: Env) -> list[Tensor]:
    condition, body = step.blocks
    state = given["loop_vars"]
    while bool(condition.run(state, env)[0]):
        state = body.run(state, env)
    return state


def _cond(step: Step, given: dict[str, Any], env: Env) -> list[Tensor]:
    return step.blocks[0 if bool(given["pred"]) else 1].run([], env)


CONTROL: dict[str, Callable[[Step, dict[str, Any], Env], list[Tensor]]] = {
    "cond": _cond,
    "while_loop": _while_loop,
}


@dataclass(frozen=True)
class Function:
    """One function of a program."""

    name: str
    inputs: list[Slot]
    block: Block

    def __call__(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Run on positional inputs of the declared types.

        Raises:
            ArtefactError: If an input does not fit its declaration, or an op fails.
        """
        if len(inputs) != len(self.inputs):
            raise ArtefactError(
                f"{self.name}: expected {len(self.inputs)} inputs, got {len(inputs)}"
            )
        for slot, value in zip(self.inputs, inputs, strict=True):
            slot.check(value)
        arguments = dict(zip((slot.name for slot in self.inputs), inputs, strict=True))
        with torch.no_grad():
            return self.block.run([], dict(arguments))


class _Reader:
    """Turns protobuf messages into values and steps."""

    def __init__(self, weights: Path | None) -> None:
        self.weights = weights
        self.files: dict[str, np.ndarray] = {}

    def slot(self, name: str, value_type: Any) -> Slot:
        if value_type.WhichOneof("type") != "tensorType":
            raise ArtefactError(f"{name}: only tensors are supported by the evaluator")
        tensor = value_type.tensorType
        shape = tuple(
            int(d.constant.size) if d.WhichOneof("dimension") == "constant" else None
            for d in tensor.dimensions
        )
        return Slot(name, self.types(tensor)[0], shape)

    def types(self, tensor: Any) -> tuple[torch.dtype, type[np.generic]]:
        field = tensor.DESCRIPTOR.fields_by_name["dataType"]
        name = field.enum_type.values_by_number[tensor.dataType].name
        if name not in TYPES:
            raise ArtefactError(f"MIL: the data type {name} is not supported by the evaluator")
        return TYPES[name]

    def value(self, spec: Any) -> Value:
        """A constant, written out in the program or kept in the weight file."""
        tensor = spec.type.tensorType
        if spec.WhichOneof("value") == "immediateValue":
            content = spec.immediateValue.tensor
            kind = content.WhichOneof("value")
            if kind == "strings":
                return str(content.strings.values[0])
        shape = [int(d.constant.size) for d in tensor.dimensions]
        dtype = self.types(tensor)[1]
        if spec.WhichOneof("value") == "blobFileValue":
            flat = self.blob(spec.blobFileValue, np.dtype(dtype), math.prod(shape))
        elif kind == "bytes":
            flat = np.frombuffer(content.bytes.values, dtype)
        else:
            flat = np.asarray(getattr(content, kind).values if kind else [], dtype)
        return torch.from_numpy(flat.reshape(shape).copy())

    def blob(self, spec: Any, dtype: np.dtype, count: int) -> np.ndarray:
        """``count`` elements of a weight file, found by the record at the given offset."""
        name = Path(spec.fileName).name
        if name not in self.files:
            if self.weights is None or not (self.weights / name).is_file():
                raise ArtefactError(f"{name}: the weight file is missing")
            self.files[name] = np.fromfile(self.weights / name, np.uint8)
        data = self.files[name]
        record = data[spec.offset : spec.offset + BLOB_HEADER.itemsize]
        if record.size < BLOB_HEADER.itemsize:
            raise ArtefactError(f"{name}: cut short at byte {data.size}")
        header = record.view(BLOB_HEADER)[0]
        needed = count * dtype.itemsize
        if header["sentinel"] != BLOB_SENTINEL or header["bytes"] != needed:
            raise ArtefactError(f"{name}: no {needed}-byte record at offset {spec.offset}")
        content = data[int(header["at"]) : int(header["at"]) + needed]
        if content.size < needed:
            raise ArtefactError(f"{name}: cut short at byte {data.size}")
        return content.view(dtype)

    def block(self, spec: Any) -> Block:
        constants: Env = {}
        steps = []
        for operation in spec.operations:
            if operation.type == "const":
                constants[operation.outputs[0].name] = self.value(operation.attributes["val"])
            else:
                steps.append(self.step(operation, constants))
        return Block([i.name for i in spec.inputs], list(spec.outputs), constants, steps)

    def step(self, spec: Any, constants: Env) -> Step:
        results = [self.slot(output.name, output.type) for output in spec.outputs]
        operands: dict[str, list[str]] = {}
        for name, argument in spec.inputs.items():
            operands[name] = []
            for place, binding in enumerate(argument.arguments):
                source = binding.name
                if binding.WhichOneof("binding") == "value":
                    source = f"{results[0].name}/{name}/{place}"
                    constants[source] = self.value(binding.value)
                operands[name].append(source)
        kernel = None if spec.type in CONTROL else find_kernel(spec.type, operands)
        return Step(spec.type, operands, results, [self.block(b) for b in spec.blocks], kernel)


def read_functions(program: Any, weights: Path | None) -> dict[str, Function]:
    """The functions of a ``MILSpec.Program`` message by name.

    Args:
        program: The protobuf message.
        weights: The folder of the package's weight files, if it has any.

    Raises:
        ArtefactError: If an op or a type is not implemented, or a weight file is damaged.
    """
    reader = _Reader(weights)
    functions = {}
    for name, spec in program.functions.items():
        inputs = [reader.slot(i.name, i.type) for i in spec.inputs]
        functions[name] = Function(
            name, inputs, reader.block(spec.block_specializations[spec.opset])
        )
    return functions
