"""Other containers of one recording, which the browser decodes: python recordings.py WAV FOLDER."""

import sys
from pathlib import Path

import soundfile

KINDS = {
    "deep.wav": ("WAV", "PCM_24"),
    "floating.wav": ("WAV", "FLOAT"),
    "lossless.flac": ("FLAC", "PCM_16"),
    "lossy.ogg": ("OGG", "VORBIS"),
}

if __name__ == "__main__":
    recording, folder = Path(sys.argv[1]), Path(sys.argv[2])
    samples, rate = soundfile.read(recording, dtype="float32")
    folder.mkdir(parents=True, exist_ok=True)
    for name, (container, subtype) in KINDS.items():
        soundfile.write(folder / name, samples, rate, subtype=subtype, format=container)
