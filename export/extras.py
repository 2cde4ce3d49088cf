"""Optional packages: a missing one is one line that says which extra installs it."""

import importlib
from typing import Any

from export.errors import MissingPackageError

_EXTRAS = {
    "executorch": "executorch",
    "coremltools": "coreml",
    "fsspec": "bulk",
    "ray": "ray",
    "sounddevice": "listen",
}
_OWN = ("export", "scriptable")


def require(module: str) -> Any:
    """Import a module of an optional package.

    Raises:
        MissingPackageError: if it is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackageError(missing(error.name or module)) from error


def missing(module: str) -> str:
    """What is said about a package that is not installed.

    Example:
        >>> missing("soundfile")
        "soundfile is not installed: pip install 'scriptable-speech[cli]'"
        >>> missing("yaml.nodes"), missing("coremltools")
        ("yaml is not installed: pip install 'scriptable-speech[cli]'",
         "coremltools is not installed: pip install 'scriptable-speech[coreml]'")
        >>> missing("torchaudio")
        'torchaudio is not installed: pip install torchaudio in the version of your torch'
    """
    package = module.partition(".")[0]
    if package in ("torch", "torchaudio"):
        return f"{package} is not installed: pip install {package} in the version of your torch"
    extra = _EXTRAS.get(package, "cli")
    return f"{package} is not installed: pip install 'scriptable-speech[{extra}]'"


def not_installed(error: ImportError) -> str:
    """The message about an import that failed, or an empty string where it is our own fault."""
    own = error.name is None or error.name.partition(".")[0] in _OWN
    return "" if own else missing(str(error.name))
