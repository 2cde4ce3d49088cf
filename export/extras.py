"""Optional packages: a missing one is one line that says which extra installs it."""

import importlib
from typing import Any

from export.errors import MissingPackageError


def require(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    Raises:
        MissingPackageError: if it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(missing(error.name or module, extra)) from error


def missing(package: str, extra: str) -> str:
    """What is said about a package that is not installed.

    Example:
        >>> missing("soundfile", "cli")
        "soundfile is not installed: pip install 'scriptable[cli]'"
    """
    return f"{package.partition('.')[0]} is not installed: pip install 'scriptable[{extra}]'"
