"""What is kept of a shard beside its rows, and of a worker while it makes one; knows no torch."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from export.bulk.places import is_url
from export.bulk.store import Store
from export.errors import InputError
from export.extras import require

FOLDER = "shards"
FOOTER = b"scriptable.facts"
EMBEDDING = "embedding"
WRITTEN = (
    *("path", "seconds", "sample_rate", "score", "llr", "posterior", "decision", "reason"),
    *(EMBEDDING, "error", "artefact", "contract_version"),
)
"""Columns of a shard that a manifest cannot carry through."""

STEP = 1 / 64
"""Scores are counted in steps of this size."""


@dataclass
class Facts:
    """What a shard holds, kept in its footer so that a summary need not read the rows."""

    recordings: int = 0
    errors: int = 0
    undecided: int = 0
    audio_seconds: float = 0.0
    decisions: dict[str, int] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds that each stage took: ``fetch`` of the clock, the others of the processor."""
    scores: dict[str, int] = field(default_factory=dict)
    """How many scores lie in each step, by its number."""

    def __add__(self, other: "Facts") -> "Facts":
        def joined(name: str) -> dict[str, Any]:
            mine, more = getattr(self, name), getattr(other, name)
            return {key: mine.get(key, 0) + more.get(key, 0) for key in {**mine, **more}}

        return Facts(
            self.recordings + other.recordings,
            self.errors + other.errors,
            self.undecided + other.undecided,
            self.audio_seconds + other.audio_seconds,
            joined("decisions"),
            joined("stages"),
            joined("scores"),
        )


class Pulse:
    """How far a worker is, for who watches it: a list, or memory that two processes share."""

    SIZE = 4

    def __init__(self, cells: Any = None) -> None:
        self.cells = [0.0] * self.SIZE if cells is None else cells

    def start(self) -> None:
        """A slice begins."""
        self.cells[:] = [time.monotonic(), 0.0, 0.0, 0.0]

    def at(self, index: int) -> None:
        """This recording of the slice is next."""
        self.cells[1] = index
        self.beat()

    def beat(self) -> None:
        """Still alive."""
        self.cells[0] = time.monotonic()

    def done(self, is_error: bool) -> None:
        """One recording more."""
        self.cells[2] += 1
        self.cells[3] += is_error


def read_facts(content: Any, digest: str, place: str) -> Facts:
    """What a shard holds, from its footer.

    Raises:
        InputError: if it is damaged, or of another artefact.
    """
    arrow = require("pyarrow")
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        found = require("pyarrow.parquet").read_metadata(source).metadata or {}
    except (arrow.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{place}: damaged; remove it, and its recordings are scored again"
        ) from error
    if FOOTER not in found:
        raise InputError(f"{place}: is not a shard of this run; remove it")
    document = json.loads(found[FOOTER])
    if document.pop("artefact") != digest:
        raise InputError(f"{place}: is of another artefact; give another folder")
    return Facts(**document)


def local_shards(store: Store) -> Callable[[str], Any]:
    """How a shard is opened for its footer alone: by its path where it has one."""
    return store.read if is_url(store.place) else lambda name: f"{store.place}/{name}"
