"""Rows of source separation."""

from functools import partial

import torch
from torch import Generator, Tensor, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Draw, Row


class _Mask(nn.Module):
    """The function :func:`scriptable.get_mask`, whose only configuration is its input's shape."""

    def forward(self, source: Tensor, source_lengths: Tensor) -> Tensor:
        """The mask of the signals."""
        return scriptable.get_mask(source, source_lengths)


class _Reorder(nn.Module):
    """The function :func:`scriptable.reorder_tensor`."""

    def forward(self, sources: Tensor, perms: Tensor) -> Tensor:
        """The sources in the order of the permutations."""
        return scriptable.reorder_tensor(sources, perms)


def _signals(*shape: int) -> Draw:
    """Two independent tensors of one shape."""

    def pair(g: Generator) -> Inputs:
        return draw.normal(g, *shape), draw.normal(g, *shape)

    return pair


def _masked(g: Generator) -> Inputs:
    return draw.normal(g, 6, 3, 2), torch.randint(1, 7, (3,), generator=g)


def _reordered(g: Generator) -> Inputs:
    return draw.normal(g, 3, 5, 4), torch.rand(3, 4, generator=g).argsort(1)


def _pit(base_loss: nn.Module) -> scriptable.PitWrapper:
    return scriptable.PitWrapper(base_loss)


ROWS = [
    Row(
        entry="PitWrapper",
        variant="mse, 4 sources",
        module=partial(_pit, nn.MSELoss(reduction="none")),
        methods={"forward": _signals(3, 5, 4)},
        differentiable=(0, 1),
    ),
    Row(
        entry="PitWrapper",
        variant="l1, 6 sources",
        module=partial(_pit, nn.L1Loss(reduction="none")),
        methods={"forward": _signals(3, 5, 2, 6)},
        differentiable=(0, 1),
    ),
    Row(
        entry="PitWrapper",
        variant="si-snr, 3 sources",
        module=partial(_pit, scriptable.SISNRLoss()),
        methods={"forward": _signals(3, 8, 3)},
        differentiable=(0, 1),
    ),
    *(
        Row(
            entry=entry,
            variant="relative eps" if relative_eps else "",
            module=partial(module, relative_eps=relative_eps),
            methods={"forward": _signals(*shape)},
            also=(module.__name__,),
            differentiable=(0, 1),
        )
        for entry, module, shape in (
            ("cal_si_snr", scriptable.SISNRLoss, (8, 3, 2)),
            ("cal_snr", scriptable.SNRLoss, (8, 2, 3, 2)),
            ("get_si_snr_with_pitwrapper", scriptable.PITSISNRLoss, (3, 8, 3)),
            ("get_snr_with_pitwrapper", scriptable.PITSNRLoss, (3, 8, 2, 3)),
        )
        for relative_eps in (False, True)
    ),
    Row(entry="reorder_tensor", module=_Reorder, methods={"forward": _reordered}),
    Row(entry="get_mask", module=_Mask, methods={"forward": _masked}, differentiable=()),
]
