"""Rows of the encoders and their parts."""

import torch
from torch import Tensor, nn

import scriptable
from export.catalog import draw
from export.catalog.row import Row

ATTENTION = "the same number added to all frames: the softmax over time does not see it"


class _Frames(nn.Module):
    """A network of someone else's: time first, and a tuple as its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 7)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames ``[B, T, F]`` → the loudest of each item, and new frames ``[B, T, 7]``."""
        made = torch.tanh(self.layer(frames))
        return made.amax((1, 2)), made


# Portable kernels take hundreds of times eager's time: two frames of the encoder are enough.
_AASIST_SAMPLES = 4700
_AFFINE = ("weight", "bias")
_UNUSED = "the published networks contain it but never use it"

ROWS = [
    Row(
        entry="MaxFeatureMap",
        module=scriptable.MaxFeatureMap,
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 5, 4),)},
    ),
    Row(
        entry="AttentiveStatisticsPooling",
        module=lambda: scriptable.AttentiveStatisticsPooling(6, 4),
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 9),)},
        idle={"attention.bias": ATTENTION},
    ),
    Row(
        entry="RunningStatisticsPooling",
        module=lambda: scriptable.RunningStatisticsPooling(6, 4),
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 9),)},
        idle={"attention.bias": ATTENTION},
    ),
    Row(
        entry="CausalLightCNN",
        module=lambda: scriptable.CausalLightCNN(20, 16),
        methods={"forward": lambda g: (draw.normal(g, 2, 20, 24),)},
        idle={"pooling.attention.bias": ATTENTION},
    ),
    Row(
        entry="CausalLightCNN",
        variant="forgets",
        module=lambda: scriptable.CausalLightCNN(20, 16, half_life=12.0),
        methods={"forward": lambda g: (draw.normal(g, 2, 20, 24),)},
        idle={"pooling.attention.bias": ATTENTION},
    ),
    Row(
        entry="LightCNN",
        module=lambda: scriptable.LightCNN(20, 16),
        methods={"forward": lambda g: (draw.normal(g, 2, 20, 24),)},
        idle={"pooling.attention.bias": ATTENTION},
    ),
    Row(
        entry="AASIST",
        variant="L",
        module=lambda: scriptable.AASIST("AASIST-L"),
        methods={"forward": lambda g: (draw.waveform(g, 1, _AASIST_SAMPLES),)},
        speech={"forward": lambda waveform: (draw.speech(_AASIST_SAMPLES)(waveform)[0][:1],)},
        unused={f"encoder.{i}.0.bn1.{kind}": _UNUSED for i in range(1, 6) for kind in _AFFINE},
    ),
    Row(
        entry="AdaptedEncoder",
        module=lambda: scriptable.AdaptedEncoder(_Frames(), input="BTF", output=1, frames="BTD"),
        methods={"forward": lambda g: (draw.normal(g, 2, 5, 9),)},
    ),
]
