"""Where real speech for checks lies, when it is at hand."""

import os
from pathlib import Path

VARIABLE = "SCRIPTABLE_SPEECH"
HINT = f"no real speech at hand: set {VARIABLE} to a folder of .wav or .flac recordings"


def speech_files() -> list[Path]:
    """Recordings below ``$SCRIPTABLE_SPEECH`` (default ``../shared/data/speech``), by name."""
    folder = Path(os.environ.get(VARIABLE, "../shared/data/speech"))
    return sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac"))
