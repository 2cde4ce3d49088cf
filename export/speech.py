"""Where real speech for checks lies, when it is at hand."""

import os
from pathlib import Path

VARIABLE = "SCRIPTABLE_SPEECH"
HINT = f"no real speech at hand: set {VARIABLE} to a folder of .wav or .flac recordings"


def speech_files() -> list[Path]:
    """Recordings below ``$SCRIPTABLE_SPEECH``, by name; none where it is not set."""
    folder = os.environ.get(VARIABLE)
    found = Path(folder).rglob("*") if folder else ()
    return sorted(path for path in found if path.suffix in (".wav", ".flac"))
