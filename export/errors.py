"""The errors that the command line turns into one line, and the user's line that one came from."""

import re
import sys
import sysconfig
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

_OWN = Path(__file__).resolve().parents[1]
_SITE = sysconfig.get_paths()["purelib"]
# Where no line of a user's network is: what runs it, converts it, or comes with Python.
_FOREIGN = (
    *(
        f"{_SITE}/{name}/"
        for name in ("torch", "torchgen", "executorch", "coremltools", "numpy", "_pytest", "pluggy")
    ),
    f"{_OWN / 'export'}/",
    f"{_OWN / 'scriptable' / 'pipeline.py'}",
    f"{_OWN / 'scriptable' / 'encoders' / 'adapted.py'}",
)
_LINE = re.compile(r'File "([^"]+)", line (\d+)')


class InputError(Exception):
    """Bad input from outside: a file, an artefact, a protocol or an argument. Exit code 2."""


class ArtefactError(InputError):
    """A saved artefact that cannot be loaded or does not hold what it should."""


class MissingPackageError(InputError):
    """An optional package is needed and not installed; the message names the extra."""


def first_line(error: BaseException, most: int = 300) -> str:
    """The kind of an error and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:most] if lines else ''}"


def user_place(error: BaseException) -> str:
    """Where in the user's network an error came from: ``file.py:12``, or an empty string.

    By the line that was running, by the line that the message names, as scripting's do, or by the
    line that made the graph's node that a converter was at.
    """
    running = list(traceback.walk_tb(error.__traceback__))[::-1]
    for frame, number in running:
        if _is_users(frame.f_code.co_filename):
            return _shown(frame.f_code.co_filename, number)
    for text in (str(error), *(_made_by(frame) for frame, _ in running)):
        if place := place_in(text):
            return place
    return ""


def place_in(text: str) -> str:
    """The first line of the user's that a text such as a stack trace names, or an empty string."""
    for file, number in _LINE.findall(text):
        if _is_users(file):
            return _shown(file, int(number))
    return ""


def running_place() -> str:
    """The line of the user's that is running now, or an empty string."""
    for frame in reversed(traceback.extract_stack()):
        if _is_users(frame.filename):
            return _shown(frame.filename, frame.lineno or 0)
    return ""


def _made_by(frame: FrameType) -> str:
    """The stack trace of the graph's node that a function was working on, innermost line first."""
    for name in ("node", "n"):
        meta: Any = getattr(frame.f_locals.get(name), "meta", None)
        trace = meta.get("stack_trace") if isinstance(meta, dict) else None
        if isinstance(trace, str):
            return "\n".join(reversed(trace.splitlines()))
    return ""


def _is_users(file: str) -> bool:
    # A loaded TorchScript archive names its own text.
    if file.startswith(("<", "code/__torch__", *_FOREIGN)):
        return False
    library = sysconfig.get_paths()["stdlib"]
    in_library = file.startswith((f"{library}/", f"{sys.base_prefix}/lib/python"))
    return not in_library or "site-packages" in file


def _shown(file: str, number: int) -> str:
    """The file without what everyone's path begins with."""
    path = Path(file)
    for root in (Path(_SITE), Path.cwd()):
        if path.is_relative_to(root):
            path = path.relative_to(root)
            break
    return f"{path}:{number}"
