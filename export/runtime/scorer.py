"""Score audio files with a saved artefact and nothing else: window, run, average, decide."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export import backends
from export.backends import Artefact, Inputs
from export.errors import ArtefactError
from export.runtime import contract as contracts
from export.runtime.audio import read_waveform
from export.runtime.contract import AnyContract, Contract, SASVContract, VerificationContract
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
        result: int = 0,
    ) -> None:
        self.artefact = artefact
        self.contract = contract
        self.notes = notes
        self.name = name
        self.result = result

    def cut(self, waveform: Tensor) -> Tensor:
        """The windows ``[W, N]`` of a recording ``[L]`` at the contract's sample rate."""
        windows = self.contract.windows
        return cut_windows(waveform, windows.num_samples, windows.hop)

    def score_windows(self, windows: Tensor) -> Tensor:
        """Raw scores ``[W]`` of windows ``[W, N]``."""
        scores = run_windows(self.artefact, windows, self.name)[self.result].reshape(-1)
        if not bool(torch.isfinite(scores).all()):
            raise ArtefactError(f"{self.name}: gives a score that is not finite")
        return scores

    def score_waveform(self, waveform: Tensor) -> float:
        """Raw score of one recording ``[L]`` at the contract's sample rate."""
        return average_windows(self.score_windows(self.cut(waveform)))

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


def run_windows(artefact: Artefact, windows: Tensor, name: str) -> Inputs:
    """``forward`` on windows ``[W, N]``, one by one as the artefact takes them: ``[W, *]`` each."""
    try:
        results = [artefact.run("forward", (window.unsqueeze(0),)) for window in windows]
        return tuple(
            torch.stack([part[0] for part in parts]) for parts in zip(*results, strict=True)
        )
    except Exception as error:  # whatever a runtime raises on a program that is none of ours
        line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ArtefactError(
            f"{name}: fails on a window of {windows.shape[1]} samples ({line})"
        ) from error


def load_scorer(path: Path) -> Scorer:
    """Load a scorer of any backend, its contract, and check its weights where it holds any.

    Of an artefact that answers both questions, this is the spoofing half.
    """
    artefact, contract, note = open_artefact(path)
    if isinstance(contract, VerificationContract):
        raise ArtefactError(
            f"{path}: its contract decides same or different, not bona fide or spoof: "
            "use python -m export verify"
        )
    if isinstance(contract, SASVContract):
        return Scorer(artefact, contract.spoofing(), (note,), str(path), result=1)
    return Scorer(artefact, contract, (note,), str(path))


def open_artefact(path: Path) -> tuple[Artefact, AnyContract, str]:
    """Load an artefact of any backend and task; the third part says what is known of its weights.

    Raises:
        InputError: if there is no such file, or it does not hold what it should.
    """
    backend, artefact = backends.load(path)
    contract = contracts.parse_any(artefact.contract(), str(path))
    weights = artefact.weights()
    if weights is None:
        note = f"{backend.name}: weights not verified, the format keeps no named tensors"
        return artefact, contract, note
    found = contracts.weights_sha256(weights)
    if found != contract.weights_sha256:
        raise ArtefactError(
            f"{path}: its weights are not the ones of its contract "
            f"(sha256 {found[:12]}..., contract {contract.weights_sha256[:12]}...)"
        )
    return artefact, contract, f"{backend.name}: weights verified by sha256"
