"""Rows of the losses on images."""

from functools import partial

from torch import Generator, Tensor, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Padding, Row

_BATCH, _WIDTH, _HEIGHT = 3, 8, 6


class _PerItem(nn.Module):
    """The loss of each item; the reduction is a string, which runtimes do not take."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = scriptable.LaplacianVarianceLoss()

    def forward(self, predictions: Tensor, length: Tensor | None = None) -> Tensor:
        """Loss of each item."""
        return self.loss(predictions, length, "batch")


def _images(g: Generator) -> Inputs:
    return (draw.normal(g, _BATCH, _WIDTH, _HEIGHT),)


def _padded(g: Generator) -> Inputs:
    return (*_images(g), draw.lengths(g, _BATCH, _WIDTH))


ROWS = [
    Row(
        entry="Laplacian",
        module=partial(scriptable.Laplacian, 3),
        methods={"forward": _images},
    ),
    *(
        Row(
            entry="LaplacianVarianceLoss",
            variant=f"{name}, {'lengths' if padded else 'no lengths'}",
            module=module,
            methods={"forward": _padded if padded else _images},
            padding=Padding(length=1, inputs=(0,)) if padded else None,
        )
        for name, module in (("whole", scriptable.LaplacianVarianceLoss), ("batch", _PerItem))
        for padded in (True, False)
    ),
]
