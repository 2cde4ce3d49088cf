"""TorchScript looked through before it is loaded: loading a module already runs its code."""

import ast
import pickletools
import re
from pathlib import Path

from export.backends._archive import TorchArchive
from export.backends._operators import computes, is_operator

_BUILTINS = frozenset(
    {
        "Exception",
        "annotate",
        "bool",
        "dict",
        "enumerate",
        "float",
        "int",
        "isinstance",
        "len",
        "list",
        "max",
        "min",
        "range",
        "str",
        "tuple",
        "unchecked_cast",
        "uninitialized",
        "zip",
    }
)
# What a serialised function calls another one.
_ALIAS = re.compile(r"_\d+")
_QUALIFIED = re.compile(r"(\w+)::(\w+)")


def scan_script(path: Path) -> None:
    """Refuse a TorchScript archive with an operator that does more than compute.

    Raises:
        ArtefactError: naming the first one, or if the code cannot be read.
    """
    archive = TorchArchive(path)
    for record in archive.records:
        if record.startswith("code/") and record.endswith(".py"):
            _scan_code(archive, record)
        elif record == "bytecode.pkl":
            _scan_bytecode(archive, record)


def _scan_code(archive: TorchArchive, record: str) -> None:
    try:
        tree = ast.parse(archive.bytes(record).decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise archive.refuse(f"its code in {record} cannot be read") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            _check_member(archive, node.value, node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if name == "getattr" and len(node.args) == 2 and isinstance(node.args[1], ast.Constant):
                # How a member is spelled whose name is none of Python's: getattr(self, "0").
                _check_member(archive, node.args[0], str(node.args[1].value))
            elif name not in _BUILTINS and not _ALIAS.fullmatch(name):
                raise archive.refuse(f"its code calls {name}")


def _check_member(archive: TorchArchive, owner: ast.expr, name: str) -> None:
    names = [*_dotted(owner), name] if _dotted(owner) else []
    if names[:1] == ["ops"]:
        # ops.aten is looked at as a part of ops.aten.linear.
        if (len(names) == 3 and not computes(names[1], names[2])) or len(names) > 3:
            raise archive.refuse(f"its code uses {names[1]}::{names[2]}")
    elif names[:1] == ["torch"]:
        if len(names) > 2 or (not computes("aten", names[1]) and not computes("prim", names[1])):
            raise archive.refuse(f"its code uses {'.'.join(names)}")
    elif names[:3] == ["__torch__", "torch", "classes"]:
        raise archive.refuse(f"its code uses the class {'.'.join(names)}")
    elif names[:1] not in (["__torch__"], ["CONSTANTS"]):
        # A tensor's method is an operator; a module may call a member likewise.
        harmless = computes("aten", name) or computes("prim", name)
        if is_operator(name) and not harmless:
            raise archive.refuse(f"its code uses {name}")


def _dotted(node: ast.expr) -> list[str]:
    """``torch.nn.x`` as its names; empty where it begins with something else than a name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (names := _dotted(node.value)):
        return [*names, node.attr]
    return []


def _scan_bytecode(archive: TorchArchive, record: str) -> None:
    """Of the lite interpreter: operators stand in it by name."""
    try:
        operations = list(pickletools.genops(archive.bytes(record)))
    except (ValueError, UnicodeDecodeError) as error:
        raise archive.refuse("its bytecode cannot be read") from error
    for _, argument, _ in operations:
        if isinstance(argument, str) and (found := _QUALIFIED.fullmatch(argument)):
            if not computes(*found.groups()):
                raise archive.refuse(f"its bytecode uses {argument}")
