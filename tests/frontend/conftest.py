"""Real speech for the front ends."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
SPEECH = Path(os.environ.get("SCRIPTABLE_SPEECH", ROOT.parent / "shared" / "data" / "speech"))


@pytest.fixture(scope="session")
def speech() -> Tensor:
    """The beginning of every recording, ``[B, 24000]``."""
    files = sorted(SPEECH.rglob("*.wav"))
    if not files:
        pytest.skip(f"no *.wav under {SPEECH}: point SCRIPTABLE_SPEECH at a folder with speech")
    soundfile = pytest.importorskip("soundfile")
    signals = [torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in files]
    return torch.stack([nn.functional.pad(x, (0, 24000))[:24000] for x in signals])
