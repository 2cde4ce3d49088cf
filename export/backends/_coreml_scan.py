"""``scan`` written out: Core ML's converter knows no higher-order operators."""

from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

aten = torch.ops.aten


def unroll_scans(program: ExportedProgram) -> ExportedProgram:
    """Replace every scan of a decomposed program by its steps, one after the other.

    The number of steps is a size of the inputs, so it is known; the program is changed in place.
    """
    module = program.graph_module
    scans = [node for node in module.graph.nodes if node.target is torch.ops.higher_order.scan]
    for node in scans:
        _unroll(program, node)
    if scans:
        module.graph.eliminate_dead_code()
        module.delete_all_unused_submodules()
        module.recompile()
    return program


def _unroll(program: ExportedProgram, scan: Node) -> None:
    module = program.graph_module
    body_name, carry, frames, constants = scan.args
    assert isinstance(body_name, Node) and isinstance(carry, list | tuple)
    assert isinstance(frames, list | tuple) and isinstance(constants, list | tuple)
    body = module.get_submodule(str(body_name.target))
    assert isinstance(body, GraphModule)
    steps = int(frames[0].meta["val"].shape[0])  # type: ignore[union-attr]
    stacks: list[list[Any]] = []
    current: list[Any] = list(carry)
    with module.graph.inserting_before(scan):
        for step in range(steps):
            now = [_call(module, aten.select.int, (frame, 0, step)) for frame in frames]
            results = _inline(module, body, [*current, *now, *constants])
            current, outputs = results[: len(carry)], results[len(carry) :]
            stacks.append(outputs)
        for user in list(scan.users):
            place = int(user.args[1])  # type: ignore[arg-type]
            if place < len(carry):
                result = current[place]
            else:
                column = [outputs[place - len(carry)] for outputs in stacks]
                result = _call(module, aten.stack.default, (column, 0))
            user.replace_all_uses_with(result)
            program.graph_signature.replace_all_uses(user.name, result.name)
            module.graph.erase_node(user)
    module.graph.erase_node(scan)


def _inline(module: GraphModule, body: GraphModule, inputs: list[Any]) -> list[Any]:
    """Copy the nodes of ``body`` to where the graph is being written; its results there."""
    known: dict[Node, Any] = {}
    waiting = iter(inputs)
    for node in body.graph.nodes:
        if node.op == "placeholder":
            known[node] = next(waiting)
        elif node.op == "output":
            return [known[result] for result in node.args[0]]
        elif node.op == "call_function":
            known[node] = module.graph.node_copy(node, known.__getitem__)
        else:
            raise NotImplementedError(f"scan: its step contains {node.op} {node.target}")
    raise AssertionError("scan: its step has no output")


def _call(module: GraphModule, target: Any, arguments: tuple[Any, ...]) -> Node:
    """A call with the value that the converter reads its shape from."""
    node = module.graph.call_function(target, arguments)
    values = torch.fx.map_arg(arguments, lambda argument: argument.meta["val"])
    value = target(*values)
    assert isinstance(value, Tensor)
    node.meta["val"] = value
    return node
