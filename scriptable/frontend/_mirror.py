"""Reflected padding that a delegate takes."""

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LARGEST = 64


def _reversal(count: int) -> Tensor:
    """The matrix that reverses ``count`` values."""
    return torch.eye(count).flip(0)


class Mirror(nn.Module):
    """``F.pad(x, [before, after], mode="reflect")`` of ``[B, 1, N]``.

    An exported graph would compute the index of every sample, outside all delegates: a quarter of a
    front end's time. There the ends are reversed by multiplying with ones and zeros, which is
    exact: as a small matrix whose rows, then columns are exchanged.
    """

    rows: Tensor
    columns: Tensor
    before: Final[int]
    after: Final[int]
    length: Final[int]
    small: Final[bool]

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.before = before
        self.after = after
        self.length = max(before, after, 1)
        few = max(n for n in range(1, math.isqrt(self.length) + 1) if self.length % n == 0)
        many = self.length // few
        self.small = many <= _LARGEST
        if not self.small:
            few = many = 1
        self.register_buffer("rows", _reversal(few))
        self.register_buffer("columns", _reversal(many))

    def reverse(self, x: Tensor) -> Tensor:
        """The ``length`` samples of ``[B, 1, length]``, the last one first."""
        y = x.reshape(-1, self.rows.size(0), self.columns.size(0))
        y = F.linear(y, self.columns).transpose(1, 2).contiguous()
        return F.linear(y, self.rows).transpose(1, 2).reshape(-1, 1, self.length)

    def forward(self, x: Tensor) -> Tensor:
        """Pad."""
        if torch.jit.is_scripting():
            return F.pad(x, [self.before, self.after], mode="reflect")
        else:
            if not (torch.compiler.is_exporting() and self.small):
                return F.pad(x, [self.before, self.after], mode="reflect")
            n = x.size(2)
            left = self.reverse(x.narrow(2, 1, self.length))
            right = self.reverse(x.narrow(2, n - 1 - self.length, self.length))
            left = left.narrow(2, self.length - self.before, self.before)
            return torch.cat([left, x, right.narrow(2, 0, self.after)], dim=2)
