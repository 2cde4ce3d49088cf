"""ExecuTorch with the XNNPACK delegate: the fast path on ARM and x86 processors."""

from pathlib import Path
from typing import Any

from export.backends._base import Source
from export.backends._executorch import ExecuTorchBackend
from export.backends._precision import PRECISIONS, reduced


class ExecuTorchXNNPACK(ExecuTorchBackend):
    """Lower with everything that XNNPACK takes delegated to it."""

    name = "executorch_xnnpack"
    suffix = ".xnnpack.pte"
    rank = 60
    tolerance = 1e-4
    precisions = PRECISIONS

    def save(self, source: Source, path: Path) -> None:
        """Lower and write; the delegate has kernels for half precision and for 8 bits."""
        super().save(reduced(source), path)

    def partitioners(self) -> list[Any]:
        """XNNPACK's, with the ELU that the delegate has and its default choice leaves out."""
        from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

        return [XnnpackPartitioner(configs=[*ALL_PARTITIONER_CONFIGS, _elu()])]


def _elu() -> type[Any]:
    from executorch.backends.xnnpack.partition.config.generic_node_configs import EluConfig

    class PlainElu(EluConfig):
        """ELU without the two scales that the delegate drops in silence, as in ``selu``."""

        def check_constraints(self, node: Any, ep: Any) -> bool:
            """Whether the delegate computes this node."""
            plain = all(scale == 1 for scale in node.args[2:])
            return plain and self.check_common_constraints(node, ep)

    return PlainElu


BACKEND = ExecuTorchXNNPACK()
