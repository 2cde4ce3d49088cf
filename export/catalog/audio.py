"""Rows of what takes a waveform."""

from collections.abc import Callable

from torch import Generator, Tensor, nn

import scriptable
from export.backends._base import Inputs
from export.catalog import draw
from export.catalog.row import Row

SAMPLES = 4000


def audio_row(
    entry: str,
    module: Callable[[], nn.Module],
    variant: str = "",
    on_device: bool = False,
    batch: int = 2,
    samples: int = SAMPLES,
) -> Row:
    """A row with noise as example and other content, and windows of real speech."""

    def waveform(g: Generator) -> Inputs:
        return (draw.waveform(g, batch, samples),)

    def speech(recording: Tensor) -> Inputs:
        return (scriptable.cut_windows(recording, samples, samples)[1 : 1 + batch],)

    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": waveform},
        speech={"forward": speech},
        on_device=on_device,
    )
