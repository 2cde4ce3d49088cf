"""Rows of whole networks."""

import scriptable
from export.catalog.audio import audio_row

# Portable kernels take hundreds of times eager's time: two frames of the encoder are enough.
_SAMPLES = 4700

ROWS = [
    audio_row("AASIST", lambda: scriptable.AASIST("AASIST-L"), "L", batch=1, samples=_SAMPLES),
]
