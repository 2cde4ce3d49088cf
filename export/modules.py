"""Python modules that the user names: a file or a dotted name, and dotted paths to classes."""

import ast
import importlib
import importlib.util
import inspect
import os
import sys
import textwrap
import traceback
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_type_hints

from torch import nn

from export.errors import InputError
from scriptable.config import nearest


def load_module(name: str) -> ModuleType:
    """Import ``FILE.py`` or ``package.module``; what goes wrong inside is one line with its place.

    Raises:
        InputError: if there is no such module, or importing it raises.
    """
    path = Path(name)
    if path.suffix == ".py":
        return _load_file(path)
    # As with python -m: the installed command does not look into the current folder by itself.
    _search(os.getcwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise InputError(
                f"{name}: no such module; give FILE.py or an importable name"
            ) from error
        raise InputError(_place(error, name)) from error
    except Exception as error:  # whatever the user's code raises
        raise InputError(_place(error, name)) from error


def load_name(dotted: str) -> Any:
    """What a dotted path such as ``my_package.encoders.TDNN`` names.

    Raises:
        InputError: if there is no such module, or nothing of that name in it.
    """
    module_name, _, name = dotted.rpartition(".")
    if not module_name:
        raise InputError(f"{dotted}: expected a dotted path such as my_package.module.{dotted}")
    module = load_module(module_name)
    if not hasattr(module, name):
        near = nearest(name, (other for other in vars(module) if not other.startswith("_")))
        hint = f"; did you mean {near!r}?" if near else ""
        raise InputError(f"{dotted}: {module_name} has no {name}{hint}")
    return getattr(module, name)


def makes_module(target: Any) -> bool:
    """Whether calling ``target`` makes a ``torch.nn.Module``, found out without calling it.

    A class of modules does; a function or a class method does that is annotated to return one, or
    whose every ``return`` gives what a class of modules, called in it, has made.
    """
    if isinstance(target, type):
        return issubclass(target, nn.Module)
    function = inspect.unwrap(getattr(target, "__func__", target))
    if not isinstance(function, FunctionType):
        return False
    try:
        annotated = get_type_hints(function).get("return")
    except Exception:  # an annotation may name what is not there
        annotated = None
    if annotated is not None:
        return isinstance(annotated, type) and issubclass(annotated, nn.Module)
    return _returns_module(function)


def _returns_module(function: FunctionType) -> bool:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError):
        return False
    known = function.__globals__
    made: set[str] = set()

    def is_made(node: ast.expr | None) -> bool:
        if isinstance(node, ast.Name):
            return node.id in made
        names = _dotted(node.func) if isinstance(node, ast.Call) else []
        found = known.get(names[0]) if names else None
        for name in names[1:]:
            found = getattr(found, name, None)
        return isinstance(found, type) and issubclass(found, nn.Module)

    returned = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and is_made(node.value):
            made |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.Return):
            returned.append(node.value)
    return bool(returned) and all(is_made(value) for value in returned)


def _dotted(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (names := _dotted(node.value)):
        return [*names, node.attr]
    return []


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    loaded = sys.modules.get(path.stem)
    name = path.stem if loaded is None else f"_user_{path.stem}"
    if loaded is not None and getattr(loaded, "__file__", None) == str(path.resolve()):
        return loaded
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # As for a script, what lies beside the file can be imported; and pickling finds the module.
    _search(str(path.resolve().parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        del sys.modules[name]
        raise InputError(_place(error, str(path))) from error
    return module


def _search(folder: str) -> None:
    """Import from a folder, too, behind our own packages: a file export.py there hides no ours."""
    for place in (str(Path(__file__).resolve().parents[1]), folder):
        if place not in sys.path and not (place == os.getcwd() and "" in sys.path):
            sys.path.append(place)


def _place(error: Exception, name: str) -> str:
    """One line: the file and line where it happened, and what."""
    what = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if isinstance(error, SyntaxError):
        return f"{error.filename or name}:{error.lineno}: SyntaxError: {error.msg}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    return f"{frames[-1].filename}:{frames[-1].lineno}: {what}" if frames else f"{name}: {what}"
