"""Which front ends a stream can have, and how long their frames are."""

from typing import Tuple

from torch import nn

from scriptable.frontend._base import FrontEnd as FrontEnd
from scriptable.frontend._layers import Log
from scriptable.frontend._spectrogram import Spectrogram


def framing(frontend: nn.Module) -> Tuple[int, int]:
    """Samples in a frame and between frames, if a frame is all that its features depend on.

    Raises:
        ValueError: if the features of a frame depend on the recording around it.
    """
    name = type(frontend).__name__
    plain = isinstance(frontend, FrontEnd) and type(frontend)._features is FrontEnd._features
    if not plain or not isinstance(frontend.spectrogram, Spectrogram):
        raise ValueError(f"frontend: expected LogMel, MFCC or LFCC, got {name}")
    spectrogram = frontend.spectrogram
    if spectrogram.center:
        raise ValueError(
            "frontend: expected center=False, got center=True, whose frames look ahead"
        )
    if spectrogram.pre_emphasis != 0.0:
        raise ValueError("frontend: expected pre_emphasis=0 in a stream, whose start it would need")
    if not isinstance(frontend.log, Log):
        raise ValueError(
            "frontend: expected a logarithm, got decibels below the loudest value of the recording"
        )
    width, hop = spectrogram.n_fft, spectrogram.hop_length
    if hop >= width:
        raise ValueError(f"frontend: expected a hop below n_fft = {width}, got {hop}")
    return width, hop
