"""Rows of the length mask, the masked reduction, and masked losses of the user's own."""

from functools import partial
from typing import Final, Optional

from torch import Generator, Tensor, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Padding, Row
from scriptable.losses import REDUCTIONS

_BATCH, _FRAMES, _FEATURES = 3, 7, 4


class _LengthMask(nn.Module):
    len_dim: Final[int]

    def __init__(self, len_dim: int = 1) -> None:
        super().__init__()
        self.len_dim = len_dim

    def forward(self, data: Tensor, length: Tensor) -> Tensor:
        return scriptable.compute_length_mask(data, length, self.len_dim)


class _ReduceLoss(nn.Module):
    reduction: Final[str]
    label_smoothing: Final[float]

    def __init__(self, reduction: str, label_smoothing: float = 0.0) -> None:
        super().__init__()
        self.reduction = reduction
        self.label_smoothing = label_smoothing

    def forward(self, loss: Tensor, mask: Tensor, predictions: Optional[Tensor] = None) -> Tensor:
        return scriptable.reduce_loss(loss, mask, self.reduction, self.label_smoothing, predictions)


class _FeatureDistance(nn.Module):
    """Mean over the features: its loss has one dimension less than its inputs."""

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets).square().mean(2)


def _data(g: Generator) -> Inputs:
    return draw.normal(g, _BATCH, _FRAMES, _FEATURES), draw.lengths(g, _BATCH, _FRAMES)


def _whole_numbers(g: Generator) -> Inputs:
    data = draw.labels(g, _BATCH, _FEATURES, _FRAMES, classes=9)
    return data, draw.lengths(g, _BATCH, _FRAMES)


def _loss(g: Generator) -> Inputs:
    loss = draw.normal(g, _BATCH, _FRAMES)
    return loss, scriptable.compute_length_mask(loss, draw.lengths(g, _BATCH, _FRAMES))


def _smoothed_loss(g: Generator) -> Inputs:
    return (*_loss(g), draw.normal(g, _BATCH, _FEATURES, _FRAMES).log_softmax(1))


def _pair(g: Generator) -> Inputs:
    shape = (_BATCH, _FRAMES, _FEATURES)
    return draw.normal(g, *shape), draw.normal(g, *shape)


def _padded(g: Generator) -> Inputs:
    return (*_pair(g), draw.lengths(g, _BATCH, _FRAMES))


def _channels_first(g: Generator) -> Inputs:
    predictions = draw.normal(g, _BATCH, _FEATURES, _FRAMES).log_softmax(1)
    targets = draw.labels(g, _BATCH, _FRAMES, classes=_FEATURES)
    return predictions, targets, draw.lengths(g, _BATCH, _FRAMES)


def _masked(reduction: str) -> nn.Module:
    return scriptable.MaskedLoss(nn.SmoothL1Loss(reduction="none"), reduction=reduction)


_PADDING = Padding(length=2, inputs=(0, 1))

ROWS = [
    Row("compute_length_mask", lambda: _LengthMask(), {"forward": _data}, differentiable=()),
    Row(
        "compute_length_mask",
        lambda: _LengthMask(2),
        {"forward": _whole_numbers},
        "len_dim=2, integers",
        differentiable=(),
    ),
    *[
        Row("reduce_loss", partial(_ReduceLoss, reduction), {"forward": _loss}, reduction)
        for reduction in REDUCTIONS
    ],
    Row(
        "reduce_loss",
        lambda: _ReduceLoss("mean", 0.1),
        {"forward": _smoothed_loss},
        "mean, smoothed",
        differentiable=(0, 2),
    ),
    *[
        Row(
            "compute_masked_loss",
            partial(_masked, reduction),
            {"forward": _padded},
            f"{reduction}, lengths",
            also=("MaskedLoss",),
            padding=_PADDING,
            differentiable=(0, 1),
        )
        for reduction in REDUCTIONS
    ],
    Row(
        "compute_masked_loss",
        lambda: _masked("mean"),
        {"forward": _pair},
        "mean, no lengths",
        differentiable=(0, 1),
    ),
    Row(
        "compute_masked_loss",
        lambda: scriptable.MaskedLoss(nn.NLLLoss(reduction="none"), label_smoothing=0.1),
        {"forward": _channels_first},
        "mean, channels first, smoothed",
    ),
    Row(
        "compute_masked_loss",
        lambda: scriptable.MaskedLoss(_FeatureDistance(), mask_shape="predictions"),
        {"forward": _padded},
        "mask_shape=predictions",
        padding=_PADDING,
        differentiable=(0, 1),
    ),
    Row(
        "compute_masked_loss",
        lambda: scriptable.MaskedLoss(_FeatureDistance(), mask_shape="loss"),
        {"forward": _padded},
        "mask_shape=loss",
        differentiable=(0, 1),
    ),
]
