"""ExecuTorch with the Vulkan delegate, for the GPUs of Android phones: lowered, not run here."""

from functools import cache
from typing import Any

from export.backends._executorch import ExecuTorchBackend


class ExecuTorchVulkan(ExecuTorchBackend):
    """Lower with everything that Vulkan takes delegated to it."""

    name = "executorch_vulkan"
    suffix = ".vulkan.pte"
    rank = 80
    tolerance = 1e-3
    runnable = False
    not_run_reason = "the Vulkan delegate runs only on a device"

    def partitioners(self) -> list[Any]:
        """Vulkan's."""
        from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

        _keep_pattern_graphs()
        return [VulkanPartitioner()]


@cache
def _keep_pattern_graphs() -> None:
    """Make the graphs that Vulkan fuses by once in a process, and not for every delegated part.

    They do not depend on the program. ExecuTorch means to keep them itself, but registers each
    function below its ``lru_cache``; making them anew took two thirds of the time of a lowering.
    """
    from executorch.backends.vulkan.patterns import fusable_patterns

    for entry in fusable_patterns.values():
        if entry.get_graphs_fn is not None:
            entry.get_graphs_fn = cache(entry.get_graphs_fn)


BACKEND = ExecuTorchVulkan()
