"""Compare recordings with a saved verifier and nothing else: embed, enrol, score, decide."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.backends import Artefact
from export.errors import ArtefactError, InputError
from export.runtime.audio import read_waveform
from export.runtime.contract import Contract, SASVContract, SpeakerContract
from export.runtime.scorer import open_artefact, run_windows
from scriptable import average_windows, cut_windows

# Vectors shorter than this have no direction in float32.
_NO_VOICE = 1e-8


@dataclass(frozen=True)
class VerifiedFile:
    """What a recording scored against an enrolment, and what the contract says it means."""

    enrol: tuple[str, ...]
    file: str
    score: float
    llr: float
    posterior: float
    threshold: float
    decision: str
    bonafide_llr: float | None = None
    """Of bona fide against spoof alone, where the artefact answers both questions."""
    spoofing: str | None = None
    """bonafide or spoof, likewise."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without the last two where the artefact answers one question."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Heard:
    """What the artefact makes of a recording."""

    name: str
    embedding: Tensor
    """``[1, D]``, of length 1."""
    spoofing_score: float | None
    """None where the artefact has none."""


@dataclass(frozen=True)
class Enrolment:
    """A speaker: unit vector ``[1, D]``, and the recordings that it comes from."""

    names: tuple[str, ...]
    embedding: Tensor


class Verifier:
    """An artefact that compares voices, with its contract."""

    def __init__(
        self,
        artefact: Artefact,
        contract: SpeakerContract,
        notes: tuple[str, ...] = (),
        name: str = "artefact",
    ) -> None:
        self.artefact = artefact
        self.contract = contract
        self.notes = notes
        self.name = name

    def hear(self, name: str, waveform: Tensor) -> Heard:
        """Embedding, and spoofing score if there is one, of a recording ``[L]``."""
        windows = self.contract.windows
        cut = cut_windows(waveform, windows.num_samples, windows.hop)
        embeddings, *rest = run_windows(self.artefact, cut, self.name)
        spoofing = average_windows(rest[0].reshape(-1)) if rest else None
        if (spoofing is not None) != isinstance(self.contract, SASVContract):
            raise ArtefactError(f"{self.name}: is not of the task {self.contract.task}")
        return Heard(name, self._mean(embeddings, name), spoofing)

    def enrol(self, recordings: Sequence[Heard]) -> Enrolment:
        """A speaker from what was heard of the recordings.

        Raises:
            InputError: if there is none, or their embeddings cancel out.
        """
        if not recordings:
            raise InputError("enrol: expected at least one recording")
        names = tuple(heard.name for heard in recordings)
        embeddings = torch.cat([heard.embedding for heard in recordings])
        return Enrolment(names, self._mean(embeddings, ", ".join(names)))

    def compare(self, enrolment: Enrolment, test: Heard) -> VerifiedFile:
        """One recording against an enrolled speaker."""
        inputs = [enrolment.embedding, test.embedding]
        spoofing: tuple[float, str] | tuple[()] = ()
        if isinstance(self.contract, SASVContract) and test.spoofing_score is not None:
            inputs.append(torch.tensor([test.spoofing_score]))
            countermeasure = self.contract.spoofing()
            llr = countermeasure.llr(test.spoofing_score)
            spoofing = (llr, countermeasure.decide(llr))
        score = self._verify(tuple(inputs), test.name)
        llr = self.contract.llr(score)
        return VerifiedFile(
            enrolment.names,
            test.name,
            score,
            llr,
            self.contract.posterior(llr),
            self.contract.decision.threshold,
            self.contract.decide(llr),
            *spoofing,
        )

    def read(self, path: Path) -> tuple[Tensor, tuple[str, ...]]:
        """A file's waveform ``[L]``, and remarks such as ``resampled from 44100 Hz``."""
        audio = read_waveform(path, self.contract.audio.sample_rate)
        return audio.waveform, tuple(f"{path}: {note}" for note in audio.notes)

    def _mean(self, embeddings: Tensor, what: str) -> Tensor:
        """Mean of unit vectors as a unit vector: ``[K, D]`` → ``[1, D]``."""
        expected = self.contract.scoring.embedding_dim
        if embeddings.dim() != 2 or embeddings.shape[1] != expected:
            raise ArtefactError(
                f"{self.name}: gives embeddings {list(embeddings.shape[1:])}, "
                f"its contract says [{expected}]"
            )
        mean = _unit(embeddings.double(), what).mean(dim=0, keepdim=True)
        return _unit(mean, what).float()

    def _verify(self, inputs: tuple[Tensor, ...], what: str) -> float:
        try:
            value = float(self.artefact.run("verify", inputs)[0].reshape(()))
        except Exception as error:  # whatever a runtime raises on a program that is none of ours
            line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ArtefactError(f"{self.name}: verify fails on {what} ({line})") from error
        if not math.isfinite(value):
            raise ArtefactError(f"{self.name}: gives a score that is not finite: {what}")
        return value


def _unit(vectors: Tensor, what: str) -> Tensor:
    """Each row divided by its length."""
    norms = vectors.norm(dim=1, keepdim=True)
    if not bool(((norms > _NO_VOICE) & torch.isfinite(norms)).all()):
        raise InputError(f"{what}: its embedding is zero or not finite: no voice to compare")
    return vectors / norms


def load_verifier(path: Path) -> Verifier:
    """Load a verifier of any backend, its contract, and check its weights where it holds any."""
    artefact, contract, note = open_artefact(path)
    if isinstance(contract, Contract):
        raise ArtefactError(
            f"{path}: its contract decides bona fide or spoof, not same or different: "
            "use python -m export score"
        )
    notes = (note, contract.caution) if contract.caution else (note,)
    return Verifier(artefact, contract, notes, str(path))
