"""The backends, one file each."""

ORDER = (
    "torchscript",
    "trace",
    "lite",
    "torch_export",
    "executorch_portable",
    "executorch_xnnpack",
    "coreml",
    "executorch_vulkan",
    "executorch_coreml",
)
