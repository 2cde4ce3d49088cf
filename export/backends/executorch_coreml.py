"""ExecuTorch with the Core ML delegate, for Apple devices: lowered, not run here."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from export.backends._base import Source
from export.backends._coremltools import quiet_coremltools
from export.backends._executorch import ExecuTorchBackend


class ExecuTorchCoreML(ExecuTorchBackend):
    """Lower with everything that Core ML takes delegated to it."""

    name = "executorch_coreml"
    suffix = ".coreml.pte"
    rank = 90
    tolerance = 1e-3
    runnable = False
    not_run_reason = "the Core ML delegate runs only on macOS and iOS"

    def unavailable(self) -> str:
        """Needs coremltools beside executorch."""
        if importlib.util.find_spec("coremltools") is None:
            return "coremltools is not installed: pip install 'scriptable-speech[coreml]'"
        return super().unavailable()

    def save(self, source: Source, path: Path) -> None:
        """Lower and write, without the progress bars of coremltools."""
        with quiet_coremltools():
            super().save(source, path)

    def prepared(self, program: ExportedProgram) -> ExportedProgram:
        """Without products by a vector, at which coremltools fails with an IndexError."""
        return program.run_decompositions({torch.ops.aten.matmul.default: _product})

    def partitioners(self) -> list[Any]:
        """Core ML's, in float32."""
        import coremltools as ct
        from executorch.backends.apple.coreml.compiler import CoreMLBackend
        from executorch.backends.apple.coreml.partition import CoreMLPartitioner

        specs = CoreMLBackend.generate_compile_specs(
            compute_precision=ct.precision.FLOAT32,
            minimum_deployment_target=ct.target.iOS17,
        )
        return [CoreMLPartitioner(compile_specs=specs)]


def _product(x: Tensor, y: Tensor) -> Tensor:
    if x.dim() == 1 or y.dim() == 1:
        return (x.unsqueeze(-1) * y).sum(-2) if y.dim() > 1 else (x * y).sum(-1)
    return NotImplemented


BACKEND = ExecuTorchCoreML()
