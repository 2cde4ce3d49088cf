"""Rows of the pipelines from a waveform to a score."""

from collections.abc import Callable

import torch
from torch import Generator, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.encoders import ATTENTION
from export.catalog.row import Draw, Row

_SPEAKERS, _BATCH, _DIM, _SAMPLES = 3, 4, 8, 4000


def _spoof() -> scriptable.ScorePipeline:
    frontend = scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True)
    encoder = scriptable.LightCNN(20, 16)
    return scriptable.ScorePipeline(frontend, encoder, scriptable.OCSoftmax(16), _SAMPLES)


def _embedding(scorer: nn.Module) -> scriptable.EmbeddingPipeline:
    frontend = scriptable.LogMel(n_mels=24)
    return scriptable.EmbeddingPipeline(frontend, scriptable.LightCNN(24, _DIM), _SAMPLES, scorer)


def _verification() -> nn.Module:
    return _embedding(scriptable.ScoreNorm(torch.randn(12, _DIM), "as", top=5))


def _sasv() -> nn.Module:
    fusion = scriptable.SASVScore(8.0, -2.0, 5.0, 0.5, 0.3)
    return scriptable.SASVPipeline(_embedding(scriptable.CosineScore()), _spoof(), fusion)


def _trial(g: Generator) -> Inputs:
    return draw.normal(g, _SPEAKERS, _DIM), draw.normal(g, _BATCH, _DIM)


def _pipeline(
    entry: str, module: Callable[[], nn.Module], encoders: tuple[str, ...], **verify: Draw
) -> Row:
    return Row(
        entry=entry,
        module=module,
        methods={"forward": lambda g: (draw.waveform(g, 2, _SAMPLES),), **verify},
        speech={"forward": draw.speech(_SAMPLES)},
        idle={f"{encoder}.pooling.attention.bias": ATTENTION for encoder in encoders},
        on_device=True,
    )


ROWS = [
    _pipeline("ScorePipeline", _spoof, ("encoder",)),
    _pipeline("EmbeddingPipeline", _verification, ("encoder",), verify=_trial),
    _pipeline(
        "SASVPipeline",
        _sasv,
        ("speaker.encoder", "countermeasure.encoder"),
        verify=lambda g: (*_trial(g), draw.normal(g, _BATCH)),
    ),
]
