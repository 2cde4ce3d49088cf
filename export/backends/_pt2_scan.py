"""A ``.pt2`` archive looked through before it is loaded.

Loading one evaluates text: guards and the generated graph as Python, sizes by sympy, and pickles
where plain reading fails. Every such text is held here against the form that ``torch.export`` gives
it.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from export.backends._archive import TorchArchive
from export.backends._operators import computes

_NAME = re.compile(r"[\w.\[\]'/-]*")
_IDENTIFIER = re.compile(r"\w*")
_SYMBOL = (
    r"(?:[suz][a-z]{0,3}\d+|Max|Min|Abs|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv|IntTrueDiv|"
    r"ModularIndexing|True|False)"
)
_PRINTED = r"(?:Symbol\('[suz][a-z]{0,3}\d+'(?:, [a-z]+=(?:True|False))*\)|Integer|Add|Mul|Pow)"
_SIZE = re.compile(rf"(?:{_PRINTED}|{_SYMBOL}\b|\d+|[-+*/()<>=!,&|~ ])*")
_GUARD = re.compile(r"(?:L\['\w+'\](?:\.size\(\)\[\d+\])?|\d+\b|and\b|or\b|not\b|[-+*/()<>=!% ])*")
_OPERATORS = (
    *("add", "sub", "mul", "floordiv", "truediv", "mod", "pow", "neg", "getitem"),
    *("eq", "ne", "lt", "le", "gt", "ge", "and_", "or_", "not_"),
)
_MATHS = ("ceil", "floor", "sqrt", "trunc")
_HIGHER = ("associative_scan", "cond", "map_impl", "scan", "while_loop")
_FIELDS = {
    "target": lambda text: _is_target(text),
    "as_operator": lambda text: _is_target(text),
    "expr_str": lambda text: _SIZE.fullmatch(text) is not None,
    "name": lambda text: _IDENTIFIER.fullmatch(text) is not None,
    "as_name": lambda text: _IDENTIFIER.fullmatch(text) is not None,
    "path_name": lambda text: re.fullmatch(r"(weight|tensor)_\d+", text) is not None,
}


def scan_pt2(path: Path) -> None:
    """Refuse an archive that would run more than its graph.

    Raises:
        ArtefactError: naming what it holds.
    """
    archive = TorchArchive(path)
    for record in archive.records:
        if record.startswith("data/aotinductor/"):
            raise archive.refuse("it holds compiled code")
        if record.startswith(("data/sample_inputs/", "data/constants/", "data/weights/")):
            if record.endswith(".pt"):
                _check_pickle(archive, record)
        if record.endswith(".json") and not record.startswith("extra/"):
            _check_document(archive, record)


def _check_pickle(archive: TorchArchive, record: str) -> None:
    content = archive.bytes(record)
    try:
        if content:
            torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:  # whatever the reader raises; torch would go on with a plain pickle
        raise archive.refuse(f"{record} is a pickle of more than tensors") from error


def _check_document(archive: TorchArchive, record: str) -> None:
    try:
        document = json.loads(archive.bytes(record))
        fields = list(_fields(document))
    except (ValueError, RecursionError) as error:
        raise archive.refuse(f"{record} cannot be read") from error
    for key, value in fields:
        if key == "use_pickle" and value is not False:
            raise archive.refuse(f"{record} names a pickle")
        if key in ("as_custom_obj", "custom_obj_values") and value:
            raise archive.refuse(f"{record} names an object of a class of its own")
        if key == "range_constraints" and not all(_SIZE.fullmatch(name) for name in value):
            raise archive.refuse(f"{record} names a size that is an expression of its own")
        if key == "guards_code" and not all(
            isinstance(text, str) and _GUARD.fullmatch(text) for text in value
        ):
            raise archive.refuse(f"{record} holds guards that are code")
        check = _FIELDS.get(key)
        if check is not None and isinstance(value, str) and not check(value):
            raise archive.refuse(f"{record}: {key}: {value[:60]!r} is none of torch.export's")


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every field of every object below a value."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from found.items()
            waiting += found.values()
        elif isinstance(found, list):
            waiting += found


def _is_target(text: str) -> bool:
    parts = text.split(".")
    if parts[:2] == ["torch", "ops"] and len(parts) in (4, 5):
        if parts[2] == "higher_order":
            return parts[3] in _HIGHER
        return computes(parts[2], parts[3])
    if parts[0] in ("_operator", "math") and len(parts) == 2:
        return parts[1] in (_OPERATORS if parts[0] == "_operator" else _MATHS)
    return (
        re.fullmatch(r"torch\.sym_(int|float|max|min|not|ite)|torch\._sym_sqrt", text) is not None
    )
