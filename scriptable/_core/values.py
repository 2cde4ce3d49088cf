"""Checks of values: they raise in eager mode and in script, never in a static graph.

A traced or exported graph cannot raise, and on a graphics processor a look at a value would wait
for all the work before it. So Python looks at tensors on the processor; on CUDA the device asserts.
"""

import torch
from torch import Tensor


def in_plain_eager(x: Tensor) -> bool:
    """Whether ``x`` is an ordinary tensor and nothing looks at the operators that run."""
    return (
        type(x) in (Tensor, torch.nn.Parameter)
        and not torch.compiler.is_compiling()
        and not torch.compiler.is_exporting()
        and not torch.jit.is_tracing()
        and torch._C._functorch.peek_interpreter_stack() is None
        and not torch._C._functorch.is_legacy_batchedtensor(x)
    )


def can_be_checked(x: Tensor) -> bool:
    """Whether there are values in ``x``, and a check of them is not part of a graph."""
    if x.numel() == 0 or not (x.is_cpu or x.is_cuda):
        return False
    if torch.jit.is_scripting():
        return True
    else:
        return in_plain_eager(x)


def check_classes(name: str, index: Tensor, classes: int) -> None:
    """Raise unless every index is in [0, classes)."""
    if index.is_cuda:
        inside = (index.clamp(0, classes - 1) == index).all()
        torch._assert_async(inside, f"{name}: expected classes in [0, {classes - 1}]")
        return
    least, most = torch.aminmax(index)
    low, high = int(least), int(most)
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise ValueError(f"{name}: expected classes in [0, {classes - 1}], got {wrong}")


def check_relative(name: str, length: Tensor, frames: int) -> None:
    """Raise unless no length is negative, NaN, or of half a frame more than there are."""
    least, most = torch.aminmax(length.detach())
    end = 1.0 + 0.5 / max(frames, 1)
    if length.is_cuda:
        inside = torch.logical_and(least >= 0.0, most < end)
        torch._assert_async(inside, f"{name}: expected relative lengths in [0, 1]")
        return
    low, high = float(least), float(most)
    if not (low >= 0.0 and high < end):
        wrong = high if low >= 0.0 else low
        raise ValueError(f"{name}: expected relative lengths in [0, 1], got {wrong}")


def check_finite(scores: Tensor) -> None:
    """Raise unless every score is finite, naming the first trial whose score is not."""
    finite = torch.isfinite(scores)
    if not bool(finite.all()):
        trial = int((~finite).nonzero()[0])
        raise ValueError(
            f"scores: expected finite numbers, got {float(scores[trial])} at trial {trial}"
        )
