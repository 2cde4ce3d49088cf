"""``--live cached``: a scorer of windows that hears a stream, too."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Draw
from export.errors import InputError
from export.runtime.live import LIVE
from scriptable import CachedScorePipeline, ScorePipeline
from scriptable.cached import split_frontend
from scriptable.frontend.framing import framing

CACHED = "cached"
_SECONDS = 0.16


def check_live(live: str | None, precisions: Sequence[str]) -> None:
    """Refuse another word, and fewer bits, whose files are judged by windows alone.

    Raises:
        InputError: naming the option.
    """
    if live not in (None, CACHED):
        raise InputError(f"live: expected {CACHED}, got {live}")
    if live is not None and tuple(precisions) != ("float32",):
        raise InputError(
            f"live: expected a precision of float32 alone, got {', '.join(precisions)}"
        )


def with_live(pipeline: ScorePipeline, sample_rate: int) -> CachedScorePipeline:
    """The same parts with a method ``live``, for chunks of 160 ms, or the hops nearest to that.

    Raises:
        InputError: if the parts cannot do that.
    """
    if type(pipeline) not in (ScorePipeline, CachedScorePipeline):
        raise InputError(f"live: expected a ScorePipeline, got {type(pipeline).__name__}")
    parts = (pipeline.frontend, pipeline.encoder, pipeline.head, pipeline.num_samples)
    try:
        hop = framing(split_frontend(pipeline.frontend)[0])[1]
        chunk = hop * max(1, round(_SECONDS * sample_rate / hop))
        made = CachedScorePipeline(*parts, chunk).eval()
    except ValueError as error:
        raise InputError(f"live: {error}") from error
    with torch.no_grad():
        first, _ = made.live(torch.zeros(1, chunk), made.initial_state())
    if not bool(torch.isfinite(first).all()):
        raise InputError("live: the score of frames of zeros, with which it begins, is not finite")
    return made


def live_draws(
    pipeline: CachedScorePipeline,
) -> tuple[dict[str, Draw], dict[str, Callable[[Tensor], Inputs]]]:
    """How the method ``live`` is drawn for parity: made-up chunks, and real speech."""
    size = pipeline.chunk_samples
    most = -(-pipeline.window_samples // size) + 1

    def heard(stream: Tensor) -> Inputs:
        return draw.under_way(pipeline.live, pipeline.initial_state(), stream, size)

    def made_up(generator: Generator) -> Inputs:
        # The example begins a stream, any other content has filled a window.
        steps = 1 if generator.initial_seed() == 0 else most
        return heard(draw.waveform(generator, 1, steps * size))

    def spoken(waveform: Tensor) -> Inputs:
        waveform = waveform.repeat(-(-most * size // len(waveform)))
        return heard(waveform[: most * size].unsqueeze(0))

    return {LIVE: made_up}, {LIVE: spoken}
