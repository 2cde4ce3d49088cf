"""What an artefact says of a recording, as a row of a shard.

``score`` says the same of the same file: both run ``Scorer.score_blocks``.
"""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from export.backends import Artefact, Inputs
from export.bulk.facts import EMBEDDING
from export.extras import require
from export.files import artefact_bytes
from export.runtime.contract import (
    AnyContract,
    Contract,
    SASVContract,
    SpeakerContract,
    StreamingContract,
)
from export.runtime.guards import Meter
from export.runtime.scorer import ScoredFile, Scorer, decide, open_artefact, undecided
from export.runtime.stream import StreamScorer
from export.runtime.verifier import Verifier

_SCORES = ("score", "llr", "posterior")


class Timed(Artefact):
    """An artefact, and how long it ran, in seconds of the processor."""

    def __init__(self, artefact: Artefact) -> None:
        self._artefact = artefact
        self.holds_interpreter = artefact.holds_interpreter
        self.seconds = 0.0

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """As the artefact itself."""
        start = time.thread_time()
        try:
            return self._artefact.run(method, inputs)
        finally:
            self.seconds += time.thread_time() - start

    def contract(self) -> str:
        """As the artefact's own."""
        return self._artefact.contract()


class Judge(ABC):
    """An artefact that is loaded, for one recording after the other."""

    def __init__(self, artefact: Timed, contract: AnyContract, note: str, digest: str) -> None:
        self.artefact = artefact
        self.contract = contract
        self.note = note
        self.digest = digest

    @property
    def rate(self) -> int:
        """Sample rate in Hz that recordings are brought to."""
        return self.contract.audio.sample_rate

    @abstractmethod
    def fields(self) -> list[tuple[str, Any]]:
        """Names and Arrow types of what is said of a recording."""

    @abstractmethod
    def judged(self, name: str, blocks: Iterable[Tensor], meter: Meter) -> dict[str, Any]:
        """What is said of a recording whose blocks ``[*]`` come through ``meter``."""


class _Scores(Judge):
    def __init__(self, *what: Any, name: str) -> None:
        super().__init__(*what)
        self._scorer: Scorer | StreamScorer
        if isinstance(self.contract, StreamingContract):
            self._scorer = StreamScorer(self.artefact, self.contract, name=name)
        else:
            assert isinstance(self.contract, Contract)
            self._scorer = Scorer(self.artefact, self.contract, name=name)

    def fields(self) -> list[tuple[str, Any]]:
        return _score_fields()

    def judged(self, name: str, blocks: Iterable[Tensor], meter: Meter) -> dict[str, Any]:
        return _row(self._scorer.score_blocks(name, blocks, meter))


class _Voices(Judge):
    """Embeddings; of an artefact that answers both questions the spoofing half beside them."""

    def __init__(self, *what: Any, name: str) -> None:
        super().__init__(*what)
        assert isinstance(self.contract, SpeakerContract)
        self._verifier = Verifier(self.artefact, self.contract, name=name)
        both = isinstance(self.contract, SASVContract)
        self._spoofing = (
            self.contract.spoofing() if isinstance(self.contract, SASVContract) else None
        )
        self._halves = _score_fields() if both else _score_fields()[3:]

    def fields(self) -> list[tuple[str, Any]]:
        arrow = require("pyarrow")
        assert isinstance(self.contract, SpeakerContract)
        size = self.contract.scoring.embedding_dim
        return [(EMBEDDING, arrow.list_(arrow.float32(), size)), *self._halves]

    def judged(self, name: str, blocks: Iterable[Tensor], meter: Meter) -> dict[str, Any]:
        heard = self._verifier.hear_blocks(name, blocks, meter)
        if self._spoofing is None:
            row = {"decision": None if heard.reason is None else "undecided"}
            row["reason"] = heard.reason
        elif heard.reason is not None:
            row = _row(undecided(self._spoofing, name, heard.reason))
        else:
            assert heard.spoofing_score is not None
            row = _row(decide(self._spoofing, name, heard.spoofing_score))
        vector = None if heard.embedding is None else np.asarray(heard.embedding[0])
        return {**row, EMBEDDING: vector}


def open_judge(path: Path, trust: bool = False) -> Judge:
    """Load an artefact of any backend and task.

    Raises:
        InputError: as :func:`export.runtime.scorer.open_artefact`.
    """
    artefact, contract, note = open_artefact(path, trust)
    digest = artefact.file_sha256 or _digest(path)
    kind = _Voices if isinstance(contract, SpeakerContract) else _Scores
    return kind(Timed(artefact), contract, note, digest, name=str(path))


def _digest(path: Path) -> str:
    """Of an artefact that holds none: over the file, or the files of a package."""
    assert artefact_bytes(path)
    digest = hashlib.sha256()
    for part in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if part.is_file():
            digest.update(part.relative_to(path).as_posix().encode())
            digest.update(part.read_bytes())
    return digest.hexdigest()


def _score_fields() -> list[tuple[str, Any]]:
    arrow = require("pyarrow")
    numbers: list[tuple[str, Any]] = [(name, arrow.float64()) for name in _SCORES]
    return [*numbers, ("decision", arrow.string()), ("reason", arrow.string())]


def _row(scored: ScoredFile) -> dict[str, Any]:
    return {name: getattr(scored, name) for name in (*_SCORES, "decision", "reason")}
