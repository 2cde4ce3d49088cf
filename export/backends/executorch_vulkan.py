"""ExecuTorch with the Vulkan delegate, for the GPUs of Android phones: lowered, not run here."""

from typing import Any

from export.backends._executorch import ExecuTorchBackend


class ExecuTorchVulkan(ExecuTorchBackend):
    """Lower with everything that Vulkan takes delegated to it."""

    name = "executorch_vulkan"
    suffix = ".vulkan.pte"
    tolerance = 1e-3
    runnable = False
    not_run_reason = "the Vulkan delegate runs on a device only"

    def partitioners(self) -> list[Any]:
        """Vulkan's."""
        from executorch.backends.vulkan.partitioner.vulkan_partitioner import VulkanPartitioner

        return [VulkanPartitioner()]


BACKEND = ExecuTorchVulkan()
