"""What the three TorchScript backends share."""

import re
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

_LONGEST = 200


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
        """Run one method of the loaded module, in the precision that it was saved in."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return flatten(getattr(self._module, method)(*inputs))

    def input_shape(self, method: str, place: int = 0) -> tuple[int | None, ...] | None:
        """Of a pipeline, which holds its number of samples; TorchScript itself keeps no shape."""
        if method not in ("forward", "live") or not hasattr(self._module, method):
            return None
        # Of a pipeline's window, or of a stream's chunk and state.
        names = ("num_samples", "chunk_samples") if method == "forward" else ("chunk_samples",)
        found = [
            getattr(self._module, name, None) for name in (("state_size",) if place else names)
        ]
        return next(((None, size) for size in found if isinstance(size, int)), None)

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
        raise ArtefactError(
            f"{path}: damaged, or not the format its name says ({first_sentence(error)})"
        ) from error


def first_sentence(error: Exception) -> str:
    """What torch says first, whole: its messages break lines in mid-sentence, and quote bytes."""
    text = " ".join(str(error).split()) or type(error).__name__
    sentence = re.split(r"(?<=[a-z\d)'\"])\. ", text, maxsplit=1)[0]
    return sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST].rsplit(' ', 1)[0]} ..."
