"""What a job made, for the report and for the terminal."""

from dataclasses import dataclass
from pathlib import Path

from export.parity.decisions import Rung
from export.parity.record import Record


@dataclass(frozen=True)
class ArtefactSummary:
    """One saved file."""

    name: str
    backend: str
    bytes: int
    latency_ms: float | None
    note: str = ""
    """For people, such as why there is no latency."""


@dataclass(frozen=True)
class Result:
    """What was made of a module, and how it compares."""

    records: list[Record]
    rungs: list[Rung]
    artefacts: list[ArtefactSummary]
    eager_ms: float
    equal_error_rate: float | None
    held_out: int
    files: list[Path]
    notes: tuple[str, ...]
    unit: str = "recordings"
    """What is counted by ``held_out``."""

    @property
    def passed(self) -> bool:
        """Whether every artefact agrees with the trained model, tensors and decisions."""
        failed = any(record.status == "fail" for record in self.records)
        return not failed and all(rung.decides_alike for rung in self.rungs)
