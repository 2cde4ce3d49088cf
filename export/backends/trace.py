"""``torch.jit.trace``: every method traced on its example, in one archive."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export.backends._base import CONTRACT_FILE, Artefact, Backend, Source
from export.backends._torchscript import TorchScriptArtefact, quiet


class Trace(Backend):
    """Trace each method; a value that Python branched on is baked in, and parity sees it."""

    name = "trace"
    suffix = ".trace.pt"
    rank = 20
    keeps_weights = True
    tolerance = 1e-5

    def save(self, source: Source, path: Path) -> None:
        """Trace and save."""
        with quiet(), warnings.catch_warnings():
            # Shape checks become constants, which is what static shapes mean; a constant made of
            # a value is what the parity run on other content is for.
            warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
            # Tracing the module itself would compile its exported methods instead of tracing them.
            traced = torch.jit.trace_module(
                _wrap(source.module, list(source.methods)), source.methods, check_trace=False
            )
            torch.jit.save(traced, str(path), _extra_files={CONTRACT_FILE: source.contract})

    def load(self, path: Path) -> Artefact:
        """Load by ``torch.jit.load``."""
        return TorchScriptArtefact(path, prefix="module.")


def _wrap(module: nn.Module, methods: list[str]) -> nn.Module:
    def calling(name: str) -> Callable[..., Any]:
        def method(self: Any, *inputs: torch.Tensor) -> Any:
            return getattr(self.module, name)(*inputs)

        return method

    wrapper = type("Traced", (nn.Module,), {name: calling(name) for name in methods})()
    wrapper.module = module
    return wrapper.eval()


BACKEND = Trace()
