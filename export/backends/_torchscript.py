"""What the three TorchScript backends share."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from export.backends._base import CONTRACT_FILE, Artefact, Inputs, Source, flatten
from export.errors import ArtefactError

T = TypeVar("T")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence exactly the two deprecation messages of TorchScript."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".?torch\.jit\.\w+.? is deprecated")
        warnings.filterwarnings("ignore", message=".*Lite Interpreter is deprecated")
        yield


def scripted(source: Source) -> torch.jit.ScriptModule:
    """The scripted module; a second try after a failure would only say that of its own names."""
    return source.once("scripted", lambda: torch.jit.script(source.module))


class TorchScriptArtefact(Artefact):
    """A TorchScript archive; ``prefix`` is what the names of its tensors begin with."""

    def __init__(self, path: Path, prefix: str = "") -> None:
        extra = {CONTRACT_FILE: ""}
        with quiet():
            self._module = read(path, lambda: torch.jit.load(str(path), _extra_files=extra))
        text = extra[CONTRACT_FILE]
        self._contract = read(path, lambda: text.decode() if isinstance(text, bytes) else text)
        self._prefix = prefix

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method of the loaded module."""
        with torch.no_grad():
            return flatten(getattr(self._module, method)(*inputs))

    def contract(self) -> str:
        """The contract kept as an extra file of the archive."""
        return self._contract

    def weights(self) -> dict[str, Tensor] | None:
        """The module's state under the names it was trained with."""
        state = self._module.state_dict()
        return {name.removeprefix(self._prefix): tensor for name, tensor in state.items()}


def read(path: Path, loader: Callable[[], T]) -> T:
    """Load a torch archive, turning torch's many errors into one line."""
    try:
        return loader()
    except Exception as error:  # whatever a damaged archive makes the reader raise
        line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ArtefactError(f"{path}: damaged, or not the format its name says ({line})") from error
