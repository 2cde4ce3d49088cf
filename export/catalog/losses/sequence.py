"""Rows of the sequence losses."""

from functools import partial

import torch
from torch import Generator, Tensor, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Padding, Row
from scriptable.losses import REDUCTIONS

_BATCH, _FRAMES, _LABELS, _CLASSES = 3, 8, 3, 5
_BLANK = 1
_KERNEL = "the gradient of F.ctc_loss is the one by the logits, right through a log-softmax"


class _FromLogits(nn.Module):
    """A CTC loss behind the log-softmax that its gradient supposes."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(
        self, logits: Tensor, targets: Tensor, input_lens: Tensor, target_lens: Tensor
    ) -> Tensor:
        """Loss of a batch."""
        loss: Tensor = self.loss(logits.log_softmax(-1), targets, input_lens, target_lens)
        return loss


def _labels(g: Generator) -> Tensor:
    """Labels other than the blank."""
    drawn = draw.labels(g, _BATCH, _LABELS, classes=_CLASSES - 1)
    return drawn + (drawn >= _BLANK)


def _both_lengths(g: Generator) -> Inputs:
    return draw.lengths(g, _BATCH, _FRAMES), draw.lengths(g, _BATCH, _LABELS)


def _logits(g: Generator) -> Tensor:
    return draw.normal(g, _BATCH, _FRAMES, _CLASSES)


def _ctc(g: Generator) -> Inputs:
    return (_logits(g).log_softmax(-1), _labels(g), *_both_lengths(g))


def _ctc_logits(g: Generator) -> Inputs:
    return (_logits(g), _labels(g), *_both_lengths(g))


def _full(g: Generator) -> Inputs:
    """Nothing padded."""
    return (*_ctc(g)[:2], torch.ones(_BATCH), torch.ones(_BATCH))


def _kd(g: Generator) -> Inputs:
    teacher = 2 * _logits(g)
    return _logits(g).log_softmax(-1), teacher, draw.lengths(g, _BATCH, _FRAMES)


def _transducer(g: Generator) -> Inputs:
    logits = draw.normal(g, _BATCH, _FRAMES, _LABELS + 1, _CLASSES)
    return (logits, _labels(g), *_both_lengths(g))


_FRAMES_PADDED = Padding(length=2, inputs=(0,))


ROWS = [
    *(
        Row(
            entry="ctc_loss",
            variant=reduction,
            module=partial(scriptable.CTCLoss, _BLANK, reduction),
            methods={"forward": _ctc},
            also=("CTCLoss",),
            padding=_FRAMES_PADDED,
            detached=_KERNEL,
        )
        for reduction in REDUCTIONS
    ),
    Row(
        entry="ctc_loss",
        variant="mean, no padding",
        module=partial(scriptable.CTCLoss, _BLANK),
        methods={"forward": _full},
        detached=_KERNEL,
    ),
    Row(
        entry="ctc_loss",
        variant="mean, from logits",
        module=lambda: _FromLogits(scriptable.CTCLoss(_BLANK)),
        methods={"forward": _ctc_logits},
    ),
    Row(
        entry="ctc_loss_kd",
        module=partial(scriptable.CTCLossKD, _BLANK),
        methods={"forward": _kd},
        also=("CTCLossKD",),
        padding=Padding(length=2, inputs=(0, 1)),
        detached=_KERNEL,
    ),
    *(
        Row(
            entry="transducer_loss",
            variant=reduction,
            module=partial(scriptable.TransducerLoss, _BLANK, reduction),
            methods={"forward": _transducer},
            also=("TransducerLoss",),
            padding=_FRAMES_PADDED,
        )
        for reduction in REDUCTIONS
    ),
]
