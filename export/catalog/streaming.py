"""Rows of the pipelines that hear a stream chunk by chunk."""

from collections.abc import Callable

from torch import Generator, Tensor, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Draw, Row

_CHUNK, _DIM, _STEPS = 2560, 8, 3


def _score(half_life: float = 0.0) -> scriptable.StreamingScorePipeline:
    frontend = scriptable.LFCC(
        n_filter=20, n_lfcc=20, log_lf=True, hop_length=160, center=False, deltas=2
    )
    encoder = scriptable.CausalLightCNN(60, 16, half_life)
    return scriptable.StreamingScorePipeline(frontend, encoder, scriptable.OCSoftmax(16), _CHUNK)


def _embedding() -> scriptable.StreamingEmbeddingPipeline:
    frontend = scriptable.LogMel(n_mels=24, hop_length=160, center=False)
    encoder = scriptable.CausalLightCNN(24, _DIM)
    return scriptable.StreamingEmbeddingPipeline(frontend, encoder, _CHUNK)


def _stream(entry: str, module: Callable[[], nn.Module], variant: str = "", **more: Draw) -> Row:
    """A row whose state is one that its own module has come to, after a chunk or three."""

    def heard(stream: Tensor) -> Inputs:
        pipeline = row.build()
        past: Tensor = pipeline.initial_state(len(stream))  # type: ignore[operator]
        return draw.under_way(pipeline, past, stream, _CHUNK)

    def inputs(generator: Generator) -> Inputs:
        # The example is a stream's first chunk, other content one in its midst.
        steps = 0 if generator.initial_seed() == 0 else _STEPS
        return heard(draw.waveform(generator, 2, steps * _CHUNK + _CHUNK))

    def spoken(waveform: Tensor) -> Inputs:
        return heard(scriptable.cut_windows(waveform, (_STEPS + 1) * _CHUNK, _CHUNK)[3:5])

    row = Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": inputs, **more},
        speech={"forward": spoken},
        on_device=True,
    )
    return row


ROWS = [
    _stream("StreamingScorePipeline", _score),
    _stream("StreamingScorePipeline", lambda: _score(half_life=25.0), "forgets"),
    _stream(
        "StreamingEmbeddingPipeline",
        _embedding,
        verify=lambda g: (draw.normal(g, 3, _DIM), draw.normal(g, 4, _DIM)),
    ),
]
