"""Running the built programs."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from artefact_helpers import Ran
from torch import Tensor

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "build" / "demo" / "spoof_scorer.xnnpack.pte"

# What it says first of a model whose file is as it was written.
VERIFIED = "note: file verified by sha256"

Program = Callable[..., Ran]


def built(folder: str, name: str) -> Path:
    """A program that make native, native-sanitize or native-arm64 builds."""
    path = ROOT / "build" / folder / name
    if not path.exists():
        pytest.skip(f"{name} is not built: make {folder}")
    return path


def run(*words: object) -> Ran:
    """A real process; a sanitizer that finds something aborts it with a report on stderr."""
    ran = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, timeout=900
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def listen(*words: object, pcm: Tensor, rest: bytes = b"") -> Ran:
    """``spoof_score`` with samples, and perhaps half a one, on its standard input."""
    ran = subprocess.run(
        [str(word) for word in (built("native", "spoof_score"), *words)],
        input=pcm.numpy().astype("<i2").tobytes() + rest,
        capture_output=True,
        check=False,
        timeout=900,
    )
    return Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())
