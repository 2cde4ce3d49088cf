"""Score audio files with a saved artefact and nothing else: window, run, average, decide."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export import backend as backends
from export import contract as contracts
from export.audio import read_waveform
from export.backend import Artefact
from export.contract import Contract
from export.errors import ArtefactError
from scriptable import average_windows, cut_windows


@dataclass(frozen=True)
class ScoredFile:
    """What a recording scored, and what the contract says it means."""

    file: str
    score: float
    llr: float
    posterior: float
    threshold: float
    decision: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON and CSV."""
        return asdict(self)


class Scorer:
    """An artefact with its contract."""

    def __init__(
        self,
        artefact: Artefact,
        contract: Contract,
        notes: tuple[str, ...] = (),
        name: str = "artefact",
    ) -> None:
        self.artefact = artefact
        self.contract = contract
        self.notes = notes
        self.name = name

    def score_waveform(self, waveform: Tensor) -> float:
        """Raw score of one recording ``[L]`` at the contract's sample rate."""
        windows = self.contract.windows
        cut = cut_windows(waveform, windows.num_samples, windows.hop)
        try:
            scores = [self.artefact.run("forward", (window.unsqueeze(0),))[0] for window in cut]
            score = average_windows(torch.cat([score.reshape(1) for score in scores]))
        except Exception as error:  # whatever a runtime raises on a program that is none of ours
            line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise ArtefactError(
                f"{self.name}: fails on a window of {windows.num_samples} samples ({line})"
            ) from error
        if not math.isfinite(score):
            raise ArtefactError(f"{self.name}: gives a score that is not finite")
        return score

    def score_file(self, path: Path) -> tuple[ScoredFile, tuple[str, ...]]:
        """Score one file; also returns remarks such as ``resampled from 44100 Hz``."""
        audio = read_waveform(path, self.contract.audio.sample_rate)
        score = self.score_waveform(audio.waveform)
        return decide(self.contract, str(path), score), audio.notes


def decide(contract: Contract, file: str, score: float) -> ScoredFile:
    """What the raw score of a recording means."""
    llr = contract.llr(score)
    return ScoredFile(
        file,
        score,
        llr,
        contract.posterior(llr),
        contract.decision.threshold,
        contract.decide(llr),
    )


def load_scorer(path: Path) -> Scorer:
    """Load an artefact of any backend, its contract, and check its weights where it holds any."""
    backend, artefact = backends.load(path)
    contract = contracts.parse(artefact.contract(), str(path))
    weights = artefact.weights()
    if weights is None:
        note = f"{backend.name}: weights not verified, the format keeps no named tensors"
        return Scorer(artefact, contract, (note,), str(path))
    found = contracts.weights_sha256(weights)
    if found != contract.weights_sha256:
        raise ArtefactError(
            f"{path}: its weights are not the ones of its contract "
            f"(sha256 {found[:12]}..., contract {contract.weights_sha256[:12]}...)"
        )
    note = f"{backend.name}: weights verified by sha256"
    return Scorer(artefact, contract, (note,), str(path))
