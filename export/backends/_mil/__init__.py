"""Evaluates the MIL program inside a Core ML package with torch kernels, on any host.

The evaluator reads the saved protobuf and weight file itself and shares no code with the
converter, so that a value folded wrongly at conversion shows as a difference.
"""

# Importing a kernel module fills the table of kernels.
from export.backends._mil import (
    kernels_elementwise,
    kernels_index,
    kernels_nn,
    kernels_reduce,
    kernels_shape,
)
from export.backends._mil.evaluate import Function, read_functions

__all__ = [
    "Function",
    "kernels_elementwise",
    "kernels_index",
    "kernels_nn",
    "kernels_reduce",
    "kernels_shape",
    "read_functions",
]
