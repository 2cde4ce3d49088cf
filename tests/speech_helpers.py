"""Real speech for tests, where it is at hand."""

import os
from pathlib import Path

import pytest

from export.speech import HINT, VARIABLE, speech_files

SPEECH = Path(os.environ.get(VARIABLE) or "no recordings")
needs_speech = pytest.mark.skipif(not speech_files(), reason=HINT)
