"""Recordings by the thousand, and what is in the folder of a run."""

import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import soundfile
import torch
from artefact_helpers import RATE

from export.bulk.places import absolute
from export.bulk.store import Store, open_store

ROOT = Path(__file__).resolve().parents[3]
EXPORT = (sys.executable, "-m", "export")


def write_many(folder: Path, count: int, samples: int = 1600) -> list[Path]:
    """Short recordings that all differ."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(7)
    paths = [folder / f"r{index:05d}.wav" for index in range(count)]
    for path in paths:
        noise = 0.1 * torch.randn(samples, generator=generator)
        soundfile.write(path, noise.numpy(), RATE, subtype="PCM_16")
    return paths


def shards_of(out: Path) -> list[Path]:
    """The finished shards, in order."""
    return sorted((out / "shards").glob("*.parquet"))


def rows_of(out: Path) -> list[dict[str, Any]]:
    """All rows, in the order of the input."""
    return [row for path in shards_of(out) for row in pyarrow.parquet.read_table(path).to_pylist()]


def store_at(path: Path) -> Store:
    """The store of a folder."""
    return open_store(absolute(str(path)))
