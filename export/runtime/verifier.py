"""Compare recordings with a saved verifier and nothing else: embed, enrol, score, decide."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.backends import Artefact
from export.errors import ArtefactError, InputError
from export.runtime.audio import Recording
from export.runtime.contract import Contract, SASVContract, SpeakerContract, StreamingContract
from export.runtime.guards import Meter
from export.runtime.scorer import UNDECIDED, guarded, open_artefact, refusal, run_windows
from export.runtime.windows import windows_of
from scriptable import average_windows

# Vectors shorter than this have no direction in float32.
_NO_VOICE = 1e-8


@dataclass(frozen=True)
class VerifiedFile:
    """What a recording scored against an enrolment, and what the contract says it means."""

    enrol: tuple[str, ...]
    file: str
    score: float | None
    llr: float | None
    posterior: float | None
    threshold: float
    decision: str | None
    bonafide_llr: float | None = None
    """Of bona fide against spoof alone, where the artefact answers both questions."""
    spoofing: str | None = None
    """bonafide, spoof or undecided, likewise."""
    reason: str | None = None
    """Why it is undecided; there are no numbers then."""
    error: str | None = None
    """Why the file could not be compared at all."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON; without the spoofing half where the artefact answers one question."""
        half = () if self.spoofing is not None else ("bonafide_llr", "spoofing")
        return {key: value for key, value in asdict(self).items() if key not in half}


@dataclass(frozen=True)
class Heard:
    """What the artefact makes of a recording."""

    name: str
    embedding: Tensor | None
    """``[1, D]``, averaged as the contract says; None where ``reason`` says why there is none."""
    spoofing_score: float | None
    """None where the artefact has none."""
    reason: str | None = None


@dataclass(frozen=True)
class Enrolment:
    """A speaker: embedding ``[1, D]``, and the recordings that it comes from."""

    names: tuple[str, ...]
    embedding: Tensor | None
    """None where ``reason`` says which recording is not to be compared, and why."""
    reason: str | None = None


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
        """Embedding, and spoofing score if any, of a recording ``[L]``, whatever is in it."""
        return self._heard(name, [waveform], lambda: None)

    def hear_blocks(self, name: str, blocks: Iterable[Tensor], meter: Meter) -> Heard:
        """The same of a recording whose blocks ``[*]`` come through ``meter``."""
        return self._heard(name, blocks, lambda: refusal(self.contract, meter))

    def hear_file(self, path: Path) -> tuple[Heard, tuple[str, ...]]:
        """The same of a file, and remarks such as ``resampled from 44100 Hz``."""
        with Recording(path, self.contract.audio.sample_rate) as recording:
            heard = self.hear_blocks(str(path), recording.blocks(), recording.meter)
            return heard, tuple(f"{path}: {note}" for note in recording.notes)

    def _heard(
        self, name: str, blocks: Iterable[Tensor], refused: Callable[[], str | None]
    ) -> Heard:
        windows = self.contract.windows
        cut = windows_of(blocks, windows.num_samples, windows.hop)
        embeddings, *rest = run_windows(self.artefact, cut, self.name)
        if bool(rest) != isinstance(self.contract, SASVContract):
            raise ArtefactError(f"{self.name}: is not of the task {self.contract.task}")
        if (reason := refused()) is not None:
            return Heard(name, None, None, reason)
        spoofing = self._spoofing(rest[0]) if rest else None
        return Heard(name, self._mean(embeddings, name), spoofing)

    def enrol(self, recordings: Sequence[Heard]) -> Enrolment:
        """A speaker from what was heard of the recordings.

        Raises:
            InputError: if there is none, or their embeddings cancel out.
        """
        if not recordings:
            raise InputError("enrol: expected at least one recording")
        names = tuple(heard.name for heard in recordings)
        for heard in recordings:
            if heard.reason is not None:
                return Enrolment(names, None, f"enrolment {heard.name}: {heard.reason}")
        embeddings = torch.cat([x.embedding for x in recordings if x.embedding is not None])
        return Enrolment(names, self._mean(embeddings, ", ".join(names)))

    def compare(self, enrolment: Enrolment, test: Heard) -> VerifiedFile:
        """One recording against an enrolled speaker."""
        threshold = self.contract.decision.threshold
        if enrolment.embedding is None or test.embedding is None:
            spoofing = UNDECIDED if isinstance(self.contract, SASVContract) else None
            return VerifiedFile(
                enrolment.names,
                test.name,
                None,
                None,
                None,
                threshold,
                UNDECIDED,
                spoofing=spoofing,
                reason=enrolment.reason or test.reason,
            )
        inputs = [enrolment.embedding, test.embedding]
        half: tuple[float, str] | tuple[()] = ()
        if isinstance(self.contract, SASVContract) and test.spoofing_score is not None:
            inputs.append(torch.tensor([test.spoofing_score]))
            countermeasure = self.contract.spoofing()
            llr = countermeasure.llr(test.spoofing_score)
            half = (llr, countermeasure.decide(llr))
        score = self._verify(tuple(inputs), test.name)
        llr = self.contract.llr(score)
        if not math.isfinite(llr) or (half and not math.isfinite(half[0])):
            raise ArtefactError(f"{self.name}: scale·score + offset overflows: {test.name}")
        return VerifiedFile(
            enrolment.names,
            test.name,
            score,
            llr,
            self.contract.posterior(llr),
            threshold,
            self.contract.decide(llr),
            *half,
        )

    def unreadable(self, enrolment: Enrolment, file: str, error: str) -> VerifiedFile:
        """A test recording that could not be compared at all."""
        threshold = self.contract.decision.threshold
        return VerifiedFile(enrolment.names, file, None, None, None, threshold, None, error=error)

    def _spoofing(self, scores: Tensor) -> float:
        if scores.shape[1:].numel() != 1 or not bool(torch.isfinite(scores).all()):
            raise ArtefactError(
                f"{self.name}: does not return one finite spoofing score per window"
            )
        return average_windows(scores.reshape(-1))

    def _mean(self, embeddings: Tensor, what: str) -> Tensor:
        """Embeddings ``[K, D]`` as one, ``[1, D]``: their mean, or that of unit vectors as one."""
        expected = self.contract.scoring.embedding_dim
        if embeddings.dim() != 2 or embeddings.shape[1] != expected:
            raise ArtefactError(
                f"{self.name}: gives embeddings {list(embeddings.shape[1:])}, "
                f"its contract says [{expected}]"
            )
        vectors = embeddings.double()
        units = _unit(vectors, what)
        if self.contract.scoring.enrolment == "mean":
            return vectors.mean(dim=0, keepdim=True).float()
        return _unit(units.mean(dim=0, keepdim=True), what).float()

    def _verify(self, inputs: tuple[Tensor, ...], what: str) -> float:
        said = f"{self.name}: verify fails on {what}"
        (found, *rest) = guarded(self.artefact, "verify", inputs, said)
        if rest or found.numel() != 1:
            raise ArtefactError(
                f"{self.name}: verify gives {list(found.shape)}, expected one number"
            )
        value = float(found)
        if not math.isfinite(value):
            raise ArtefactError(f"{self.name}: gives a score that is not finite: {what}")
        return value


def _unit(vectors: Tensor, what: str) -> Tensor:
    """Each row divided by its length."""
    norms = vectors.norm(dim=1, keepdim=True)
    if not bool(((norms > _NO_VOICE) & torch.isfinite(norms)).all()):
        raise InputError(f"{what}: its embedding is zero or not finite: no voice to compare")
    return vectors / norms


def load_verifier(path: Path, trust: bool = False) -> Verifier:
    """Load a verifier of any backend, its contract, and check its weights where it holds any."""
    artefact, contract, note = open_artefact(path, trust)
    if isinstance(contract, Contract | StreamingContract):
        raise ArtefactError(
            f"{path}: its contract decides bona fide or spoof, not same or different: "
            "use python -m export score"
        )
    notes = (note, contract.caution) if contract.caution else (note,)
    return Verifier(artefact, contract, notes, str(path))
