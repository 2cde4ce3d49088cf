"""Rows of the autoencoders' losses.

Runtimes take tensors, not tuples: an adapter packs them into the tuple that the losses take.
"""

from functools import partial
from typing import Final, Optional

from torch import Generator, Tensor, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Padding, Row
from scriptable import (
    AutoencoderLossDetails,
    AutoencoderOutput,
    VariationalAutoencoderLossDetails,
    VariationalAutoencoderOutput,
)
from scriptable.losses import REDUCTIONS

_BATCH, _FRAMES, _FEATURES = 3, 7, 4


class _Variational(nn.Module):
    """:class:`scriptable.VariationalAutoencoderLoss` of tensors, the reduction frozen."""

    reduction: Final[str]

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.loss = scriptable.VariationalAutoencoderLoss(dist_loss_weight=0.5)
        self.reduction = reduction

    def forward(
        self,
        rec: Tensor,
        mean: Tensor,
        log_var: Tensor,
        targets: Tensor,
        length: Optional[Tensor] = None,
    ) -> VariationalAutoencoderLossDetails:
        """Loss and what it is made of."""
        output = VariationalAutoencoderOutput(rec, mean, mean, log_var, mean, mean)
        return self.loss.details(output, targets, length, self.reduction)


class _Plain(nn.Module):
    """:class:`scriptable.AutoencoderLoss` of tensors, the reduction frozen."""

    reduction: Final[str]

    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.loss = scriptable.AutoencoderLoss()
        self.reduction = reduction

    def forward(
        self, rec: Tensor, targets: Tensor, length: Optional[Tensor] = None
    ) -> AutoencoderLossDetails:
        """Loss of a batch."""
        return self.loss.details(AutoencoderOutput(rec, rec, rec), targets, length, self.reduction)


def _tensors(count: int, padded: bool, g: Generator) -> Inputs:
    drawn = tuple(draw.normal(g, _BATCH, _FRAMES, _FEATURES) for _ in range(count))
    return (*drawn, draw.lengths(g, _BATCH, _FRAMES)) if padded else drawn


ROWS = [
    Row(
        entry=entry,
        variant=f"{reduction}, {'lengths' if padded else 'no lengths'}",
        module=partial(module, reduction),
        methods={"forward": partial(_tensors, count, padded)},
        padding=Padding(length=count, inputs=tuple(range(count))) if padded else None,
        differentiable=tuple(range(count)),
    )
    for entry, module, count in (
        ("VariationalAutoencoderLoss", _Variational, 4),
        ("AutoencoderLoss", _Plain, 2),
    )
    for reduction, padded in (*((name, True) for name in REDUCTIONS), ("batchmean", False))
]
