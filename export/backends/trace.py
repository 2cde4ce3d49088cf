"""``torch.jit.trace``: every method traced on its example, in one archive."""

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from export.backends._base import CONTRACT_FILE, Artefact, Backend, Inputs, Source
from export.backends._script_scan import scan_script
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
                _wrap(source.module, source.methods, source.dynamic_batch),
                source.methods,
                check_trace=False,
            )
            archive = io.BytesIO()
            torch.jit.save(traced, archive, _extra_files={CONTRACT_FILE: source.contract})
        # By Python: on a full disk torch's own writer may end the process.
        path.write_bytes(archive.getvalue())

    def scan(self, path: Path) -> None:
        """Refuse code that does more than compute."""
        scan_script(path)

    def load(self, path: Path) -> Artefact:
        """Load by ``torch.jit.load``."""
        return TorchScriptArtefact(path, prefix="module.")


def _wrap(module: nn.Module, methods: Mapping[str, Inputs], dynamic_batch: bool) -> nn.Module:
    """The module with its methods as plain functions that take inputs of the example's shapes.

    A trace has no shapes of its own: what the example's fixed would silently be wrong of others.
    """
    with quiet():
        fitting = torch.jit.script(_fitting)
    given = 1 if dynamic_batch else 0

    def calling(name: str) -> Callable[..., Any]:
        shapes = [list(x.shape[given:]) for x in methods[name]]

        def method(self: Any, *inputs: torch.Tensor) -> Any:
            checked = [fitting(x, shape, given) for x, shape in zip(inputs, shapes, strict=True)]
            return getattr(self.module, name)(*checked)

        return method

    wrapper = type("Traced", (nn.Module,), {name: calling(name) for name in methods})()
    wrapper.module = module
    return wrapper.eval()


def _fitting(x: torch.Tensor, shape: list[int], first: int) -> torch.Tensor:
    """The tensor itself, if its sizes from dimension ``first`` on are the given ones."""
    if x.shape[first:] != shape:
        raise ValueError(f"input: expected shape {shape} from dimension {first}, got {x.shape}")
    return x


BACKEND = Trace()
