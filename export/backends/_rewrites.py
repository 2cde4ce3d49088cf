"""Forms that converters refuse or get wrong, written so that they take them and compute them right.

What the ExecuTorch and Core ML backends start from is the exported program with these rewrites.
Each says what goes wrong without it, and where upstream knows of it. What only Core ML needs is in
``_coreml_ops.py``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

aten = torch.ops.aten

Export = Callable[[torch.nn.Module], ExportedProgram]
"""Exports a module on the inputs of the program that is being rewritten."""

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@dataclass(frozen=True)
class Rewrite:
    """One operator in another form."""

    form: Callable[..., Any]
    """Computes the same; ``NotImplemented`` leaves the operator as it is."""
    problem: str
    upstream: str


def _max(x: Tensor, dim: int, keepdim: bool = False) -> Any:
    axis = dim % max(x.dim(), 1)
    if x.dim() == 4 and axis in (2, 3):
        if keepdim:
            return NotImplemented if axis == dim else torch.max(x, axis, True)
        values = torch.max(x, axis, True)[0].squeeze(axis)
    else:
        values = x.amax(axis, keepdim)
    return values, x.argmax(axis, keepdim)


def _max_pool2d(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    ceil_mode: bool = False,
) -> Any:
    if len(stride):
        return NotImplemented
    kernel = list(kernel_size)
    return F.max_pool2d(x, kernel, kernel, list(padding), list(dilation), ceil_mode)


def _selu(x: Tensor) -> Tensor:
    return _SELU_SCALE * F.elu(x, _SELU_ALPHA)


def _log_sigmoid(x: Tensor) -> Tensor:
    return x.clamp(max=0.0) - torch.log1p(torch.exp(-x.abs()))


REWRITES: dict[Any, Rewrite] = {
    aten.max.dim: Rewrite(
        _max,
        "XNNPACK's partitioner takes every max over an axis of four, and the delegate then refuses "
        "all but those over axis 2 or 3 that keep it",
        "https://github.com/pytorch/executorch/issues/3516",
    ),
    aten.max_pool2d.default: Rewrite(
        _max_pool2d,
        "Core ML's converter does not know that without a stride it is the size of the kernel",
        "https://github.com/apple/coremltools/issues/759",
    ),
    aten.selu.default: Rewrite(
        _selu,
        "XNNPACK's ELU has no scale, so that SELU stays with the portable kernels",
        "https://github.com/pytorch/executorch/pull/4539",
    ),
    aten.log_sigmoid.default: Rewrite(
        _log_sigmoid,
        "written as the logarithm of a sigmoid, it is minus infinity below about -100",
        "https://github.com/pytorch/pytorch/pull/14830",
    ),
}

FOLDING = "https://github.com/pytorch/executorch/issues/22078"
"""Weights that are computed from constants: delegates take only constant ones, and leave the others
to kernels hundreds of times slower."""

_WEIGHTED = {
    aten.conv1d.default,
    aten.conv1d.padding,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.conv_transpose1d.default,
    aten.conv_transpose2d.input,
    aten.convolution.default,
    aten.linear.default,
}
_VIEWS = {
    "alias",
    "contiguous",
    "detach",
    "permute",
    "reshape",
    "squeeze",
    "t",
    "transpose",
    "unsqueeze",
    "view",
}
# Of integers: what is stored is the small tensor, which the delegate computes with.
_STORED = {"dequantize_per_channel", "dequantize_per_tensor"}


def rewritten(program: ExportedProgram, export: Export) -> ExportedProgram:
    """The program with all rewrites and constant weights, or itself where nothing applies."""
    found = {node.target for node in program.graph.nodes if node.target in REWRITES}
    if found:
        program = program.run_decompositions({op: REWRITES[op].form for op in found})
    module = program.module(check_guards=False)
    assert isinstance(module, GraphModule)
    return export(module) if fold_weights(module) else program


def fold_weights(module: GraphModule) -> int:
    """Make a buffer of every computed weight of a convolution or a linear layer; how many."""
    values = _constants(module)
    folded: dict[Node, str] = {}
    for node in module.graph.nodes:
        if node.target not in _WEIGHTED:
            continue
        weight = node.args[1]
        if not isinstance(weight, Node) or weight not in values or not _is_computed(weight):
            continue
        if weight not in folded:
            folded[weight] = f"folded_weight_{len(folded)}"
            module.register_buffer(folded[weight], values[weight].detach().clone().contiguous())
        with module.graph.inserting_before(node):
            constant = module.graph.get_attr(folded[weight])
        node.update_arg(1, constant)
    if folded:
        module.graph.eliminate_dead_code()
        module.recompile()
    return len(folded)


def _constants(module: GraphModule) -> dict[Node, Any]:
    """The values of the nodes that no input, no chance and no changing buffer has a part in."""
    written = {
        argument
        for node in module.graph.nodes
        if _writes(node)
        for argument in node.all_input_nodes
        if argument.op == "get_attr"
    }
    changing = {node.target for node in written}
    values: dict[Node, Any] = {}
    for node in module.graph.nodes:
        if node.op == "get_attr" and node.target not in changing:
            value = _attribute(module, str(node.target))
            if isinstance(value, Tensor):
                values[node] = value
        elif node.op == "call_function" and _is_fixed(node, values):
            arguments = torch.fx.map_arg((node.args, node.kwargs), values.__getitem__)
            with torch.no_grad():
                values[node] = node.target(*arguments[0], **arguments[1])
    return values


def _is_fixed(node: Node, values: dict[Node, Any]) -> bool:
    if not all(argument in values for argument in node.all_input_nodes):
        return False
    if not isinstance(node.target, torch._ops.OpOverload):
        return getattr(node.target, "__name__", "") == "getitem"
    by_chance = torch.Tag.nondeterministic_seeded in node.target.tags
    # What is made from sizes alone may be large, and depend on a size that is left open.
    return not by_chance and not _writes(node) and not _symbolic(node)


def _symbolic(node: Node) -> bool:
    leaves = torch.utils._pytree.tree_leaves((node.args, node.kwargs))
    return any(isinstance(leaf, torch.SymInt) for leaf in leaves)


def _writes(node: Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable


def _is_computed(node: Node) -> bool:
    """Whether more than a change of shape or scale lies between the stored tensors and this one."""
    if node.op == "get_attr":
        return False
    target = node.target
    name = target.overloadpacket.__name__ if isinstance(target, torch._ops.OpOverload) else ""
    return name not in _VIEWS | _STORED or any(
        _is_computed(argument) for argument in node.all_input_nodes
    )


def _attribute(module: torch.nn.Module, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name)
    return found
