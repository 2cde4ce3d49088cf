"""ExecuTorch with its portable kernels: runs everywhere, nothing delegated."""

from typing import Any

from export.backends._executorch import ExecuTorchBackend


class ExecuTorchPortable(ExecuTorchBackend):
    """Lower without a delegate."""

    name = "executorch_portable"
    suffix = ".portable.pte"
    rank = 50
    tolerance = 1e-5
    slowness = 300.0

    def partitioners(self) -> list[Any]:
        """None."""
        return []


BACKEND = ExecuTorchPortable()
