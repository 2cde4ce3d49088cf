"""Rows of the pipeline whose windows share the frames of a stream."""

import torch
from torch import Generator, Tensor, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.encoders import ATTENTION
from export.catalog.row import Row

_CHUNK, _SAMPLES, _STEPS = 800, 4000, 6


def _cached(normed: bool) -> scriptable.CachedScorePipeline:
    front = scriptable.LFCC(
        n_filter=20, n_lfcc=20, log_lf=True, hop_length=160, center=False, deltas=2
    )
    norm = scriptable.FeatureNorm(60).fit(1.0 + 2.0 * torch.randn(2, 60, 30))
    frontend: nn.Module = nn.Sequential(front, norm) if normed else front
    encoder, head = scriptable.LightCNN(60, 16), scriptable.OCSoftmax(16)
    return scriptable.CachedScorePipeline(frontend, encoder, head, _SAMPLES, _CHUNK)


def _row(normed: bool, variant: str) -> Row:
    def heard(samples: Tensor) -> Inputs:
        pipeline = row.build()
        past: Tensor = pipeline.initial_state(len(samples))  # type: ignore[operator]
        return draw.under_way(pipeline.live, past, samples, _CHUNK)  # type: ignore[arg-type]

    def live(generator: Generator) -> Inputs:
        # The example begins a stream, other content is in the midst of one.
        steps = 1 if generator.initial_seed() == 0 else _STEPS
        return heard(draw.waveform(generator, 2, steps * _CHUNK))

    row = Row(
        entry="CachedScorePipeline",
        variant=variant,
        module=lambda: _cached(normed),
        methods={"forward": lambda g: (draw.waveform(g, 2, _SAMPLES),), "live": live},
        speech={
            "forward": draw.speech(_SAMPLES),
            "live": lambda waveform: heard(*draw.speech(_STEPS * _CHUNK)(waveform)),
        },
        idle={"encoder.pooling.attention.bias": ATTENTION},
        on_device=True,
    )
    return row


ROWS = [_row(False, ""), _row(True, "normed")]
