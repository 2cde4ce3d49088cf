"""ExecuTorch with the XNNPACK delegate: the fast path on ARM and x86 processors."""

from typing import Any

from export.backends._executorch import ExecuTorchBackend


class ExecuTorchXNNPACK(ExecuTorchBackend):
    """Lower with everything that XNNPACK takes delegated to it."""

    name = "executorch_xnnpack"
    suffix = ".xnnpack.pte"
    rank = 60
    tolerance = 1e-4

    def partitioners(self) -> list[Any]:
        """XNNPACK's."""
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        return [XnnpackPartitioner()]


BACKEND = ExecuTorchXNNPACK()
