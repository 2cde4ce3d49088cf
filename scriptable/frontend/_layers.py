"""The steps of a front end, each a module without data-dependent shapes or branches."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import (
    check_choice,
    check_positive,
    check_whole,
)
from scriptable._core.named import Named

_WINDOWS = {
    "hann": torch.hann_window,
    "hamming": torch.hamming_window,
    "blackman": torch.blackman_window,
    "bartlett": torch.bartlett_window,
    "kaiser": torch.kaiser_window,
    "ones": torch.ones,
}
WindowFunction = Annotated[Callable[..., Tensor], Named(_WINDOWS)]
"""Makes a window from its length; a configuration says which by name."""


def check_member(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise unless a configuration value, of whatever type, is one of ``choices``."""
    if value not in choices:
        raise ValueError(f"{name}: expected one of {list(choices)}, got {value!r}")


def check_at_most(name: str, value: float, limit_name: str, limit: float) -> None:
    """Raise unless ``value`` does not exceed ``limit``."""
    if value > limit:
        raise ValueError(f"{name}: expected at most {limit_name} = {limit}, got {value}")


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """``F.linear`` in the dtype of ``x``; see :func:`multiply`."""
    y = F.linear(x, weight)
    if y.dtype != x.dtype:
        y = F.linear(x.double(), weight.double()).to(x.dtype)
    return y


def multiply(x: Tensor, y: Tensor) -> Tensor:
    """``torch.matmul`` in the dtype of ``x``.

    Powers leave the range of half precision. Outside a script the front end switches autocast off;
    a script cannot, but autocast lets float64 pass.
    """
    z = torch.matmul(x, y)
    if z.dtype != x.dtype:
        z = torch.matmul(x.double(), y.double()).to(x.dtype)
    return z


def batch_multiply(x: Tensor, y: Tensor) -> Tensor:
    """``torch.bmm`` in the dtype of ``x``; see :func:`multiply`."""
    z = torch.bmm(x, y)
    if z.dtype != x.dtype:
        z = torch.bmm(x.double(), y.double()).to(x.dtype)
    return z


def convolve(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """``F.conv1d`` in the dtype of ``x``; see :func:`multiply`."""
    y = F.conv1d(x, kernel, stride=stride)
    if y.dtype != x.dtype:
        y = F.conv1d(x.double(), kernel.double(), stride=stride).to(x.dtype)
    return y


class Projection(nn.Module):
    """A constant matrix ``[I, O]`` over the last axis: ``[B, T, I]`` to ``[B, T, O]``."""

    weight: Tensor

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        # A copy: a part of a larger matrix would drag the whole into a saved file.
        self.register_buffer("weight", matrix.t().clone(memory_format=torch.contiguous_format))

    def forward(self, x: Tensor) -> Tensor:
        """Multiply."""
        return linear(x, self.weight)


class Log(nn.Module):
    """``scale * log(x + floor)``; a scale of 1 / log 10 makes it the decimal logarithm."""

    floor: Final[float]
    scale: Final[float]

    def __init__(self, floor: float, scale: float = 1.0) -> None:
        super().__init__()
        check_positive("log_floor", floor)
        self.floor = floor
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Compress."""
        y = torch.log(x + self.floor)
        if self.scale != 1.0:
            y = y * self.scale
        return y


class Decibel(nn.Module):
    """``10 log10(max(x, floor))``, cut off ``top_db`` below the loudest value of each item."""

    floor: Final[float]
    top_db: Final[float]
    scale: Final[float]

    def __init__(self, floor: float, top_db: float) -> None:
        super().__init__()
        self.floor = floor
        self.top_db = top_db
        # Not every backend has a kernel for log10.
        self.scale = 10.0 / math.log(10.0)

    def forward(self, x: Tensor) -> Tensor:
        """Compress."""
        y = torch.log(x.clamp(min=self.floor)) * self.scale
        return torch.maximum(y, y.amax(dim=[1, 2], keepdim=True) - self.top_db)


class Deltas(nn.Module):
    """Append the slope over time, ``order`` times: ``[B, (1 + order) F, T]``.

    The form is ``"regression"``, over five frames, or ``"difference"`` of the two neighbours; the
    end frames are repeated.
    """

    order: Final[int]
    form: Final[str]
    reach: Final[int]

    def __init__(self, order: int, form: str = "regression") -> None:
        super().__init__()
        check_whole("deltas", order)
        check_member("deltas", order, (0, 1, 2))
        check_choice("deltas_form", form, ["regression", "difference"])
        self.order = order
        self.form = form
        self.reach = 1 if form == "difference" else 2

    def slope(self, x: Tensor) -> Tensor:
        """``(x[t+1] - x[t-1] + 2 (x[t+2] - x[t-2])) / 10``, or ``x[t+1] - x[t-1]``."""
        first = x.narrow(2, 0, 1)
        last = x.narrow(2, x.size(2) - 1, 1)
        # F.pad would become an indexing op, which XNNPACK leaves outside its delegate.
        if self.form == "difference":
            return self.inner_slope(torch.cat([first, x, last], dim=2))
        return self.inner_slope(torch.cat([first, first, x, last, last], dim=2))

    def inner_slope(self, p: Tensor) -> Tensor:
        """The slope of the frames that have ``reach`` neighbours on both sides."""
        n = p.size(2) - 2 * self.reach
        if self.form == "difference":
            return p.narrow(2, 2, n) - p.narrow(2, 0, n)
        near = p.narrow(2, 3, n) - p.narrow(2, 1, n)
        far = p.narrow(2, 4, n) - p.narrow(2, 0, n)
        return (near + 2.0 * far) * 0.1

    def forward(self, x: Tensor) -> Tensor:
        """Append the slopes along the feature axis."""
        if self.order == 0:
            return x
        first = self.slope(x)
        if self.order == 1:
            return torch.cat([x, first], dim=1)
        return torch.cat([x, first, self.slope(first)], dim=1)
