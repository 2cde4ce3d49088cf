"""Constants that a cast to float64 makes anew."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class ExactConstants(nn.Module):
    """Computes its constants again on a cast to float64, where rounded float32 would show."""

    def constants_dtype(self) -> torch.dtype:
        """The dtype that the constants have now."""
        raise NotImplementedError

    def make_constants(self) -> None:
        """Compute the constants in the dtype that they have, on their device."""
        raise NotImplementedError

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "ExactConstants":
        before = self.constants_dtype()
        super()._apply(fn, recurse)
        if self.constants_dtype() == torch.float64 and before != torch.float64:
            self.make_constants()
        return self
