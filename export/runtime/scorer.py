"""Score audio files with a saved artefact and nothing else: window, run, average, decide."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export import backends
from export.backends import Artefact, Inputs
from export.errors import ArtefactError, InputError
from export.runtime import contract as contracts
from export.runtime.audio import Recording
from export.runtime.contract import (
    AnyContract,
    Contract,
    SASVContract,
    StreamingContract,
    VerificationContract,
)
from export.runtime.guards import Meter, peak
from export.runtime.windows import windows_of
from scriptable import average_windows, cut_windows

UNDECIDED = "undecided"


@dataclass(frozen=True)
class ScoredFile:
    """What a recording scored, and what the contract says it means.

    Undecided, or of a file that could not be read: no numbers, and ``reason`` or ``error``.
    """

    file: str
    score: float | None
    llr: float | None
    posterior: float | None
    threshold: float
    decision: str | None
    reason: str | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The numbers and the decision, for CSV."""
        return {key: value for key, value in asdict(self).items() if key not in _WORDS}

    def as_entry(self) -> dict[str, Any]:
        """For JSON: always the same keys."""
        return asdict(self)


_WORDS = ("reason", "error")


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

    def score_windows(self, windows: Iterable[Tensor]) -> Tensor:
        """Raw scores ``[W]`` of windows ``[W, N]``, or of any number of windows ``[N]``."""
        scores = run_windows(self.artefact, windows, self.name)[self.result]
        if scores.shape[1:].numel() != 1:
            raise ArtefactError(
                f"{self.name}: gives {list(scores.shape[1:])} numbers for a window, expected one"
            )
        return scores.reshape(-1)

    def score_waveform(self, waveform: Tensor) -> float:
        """Raw score of one recording ``[L]`` at the contract's sample rate, whatever is in it."""
        return self._mean(self.score_windows(self.cut(waveform)))

    def judge(self, file: str, scores: Tensor, meter: Meter) -> ScoredFile:
        """What the scores ``[W]`` of a recording's windows mean, if its audio allows a decision."""
        reason = refusal(self.contract, meter)
        if reason is not None:
            return undecided(self.contract, file, reason)
        return decide(self.contract, file, self._mean(scores))

    def score_file(self, path: Path) -> tuple[ScoredFile, tuple[str, ...]]:
        """Score one file; also returns remarks such as ``resampled from 44100 Hz``."""
        with Recording(path, self.contract.audio.sample_rate) as recording:
            scored = self.score_blocks(str(path), recording.blocks(), recording.meter)
            return scored, recording.notes

    def score_blocks(self, name: str, blocks: Iterable[Tensor], meter: Meter) -> ScoredFile:
        """Score a recording whose blocks ``[*]`` come through ``meter``."""
        windows = self.contract.windows
        cut = windows_of(blocks, windows.num_samples, windows.hop)
        return self.judge(name, self.score_windows(cut), meter)

    def _mean(self, scores: Tensor) -> float:
        if not bool(torch.isfinite(scores).all()):
            raise ArtefactError(f"{self.name}: gives a score that is not finite")
        return average_windows(scores)


def refusal(contract: AnyContract, meter: Meter) -> str | None:
    """Why the contract allows no decision on what went through the meter, if it does not."""
    return None if contract.guards is None else contract.guards.refusal(meter)


def decide(
    contract: Contract | StreamingContract, file: str, score: float, samples: int | None = None
) -> ScoredFile:
    """What the raw score of a recording means.

    Raises:
        ArtefactError: if the contract turns it into no finite LLR.
    """
    if isinstance(contract, StreamingContract):
        llr = contract.llr(score, samples)
    else:
        llr = contract.llr(score)
    if not math.isfinite(llr):
        raise ArtefactError(f"{file}: scale·score + offset overflows at a score of {score:.6g}")
    return ScoredFile(
        file,
        score,
        llr,
        contract.posterior(llr),
        contract.decision.threshold,
        contract.decide(llr),
    )


def undecided(contract: Contract, file: str, reason: str) -> ScoredFile:
    """No decision on a recording, and why."""
    return ScoredFile(file, None, None, None, contract.decision.threshold, UNDECIDED, reason=reason)


def unreadable(contract: AnyContract, file: str, error: str) -> ScoredFile:
    """A file that could not be scored at all."""
    return ScoredFile(file, None, None, None, contract.decision.threshold, None, error=error)


def run_windows(artefact: Artefact, windows: Iterable[Tensor], name: str) -> Inputs:
    """``forward`` on windows ``[N]``, one by one as the artefact takes them: ``[W, *]`` each.

    Raises:
        InputError: if a window holds NaN or infinity.
        ArtefactError: if the artefact fails on one.
    """
    first: Inputs = ()
    # As bytes: thousands of small tensors kept between large ones that come and go would keep the
    # memory of these, too.
    results: list[list[bytes]] = []
    for window in windows:
        if not math.isfinite(peak(window)):
            raise InputError("window: contains NaN or infinite samples")
        what = f"{name}: fails on a window of {len(window)} samples"
        found = guarded(artefact, "forward", (window.unsqueeze(0),), what)
        if results and [x.shape for x in found] != [x.shape for x in first]:
            raise ArtefactError(f"{name}: gives results of different shapes for two windows")
        if not found or any(x.dim() == 0 or len(x) != 1 for x in found):
            shapes = [list(x.shape) for x in found]
            raise ArtefactError(f"{name}: gives {shapes} for a window, expected [1, ...] each")
        first = first or found
        results.append([x.contiguous().numpy().tobytes() for x in found])
    if not results:
        raise InputError("recording: contains no samples")
    return tuple(
        torch.frombuffer(bytearray().join(parts), dtype=x.dtype).reshape(-1, *x.shape[1:])
        for x, parts in zip(first, zip(*results, strict=True), strict=True)
    )


def guarded(artefact: Artefact, method: str, inputs: Inputs, what: str) -> Inputs:
    """The results of a program that may be none of ours; whatever it raises is one line."""
    try:
        return artefact.run(method, inputs)
    except Exception as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise ArtefactError(f"{what} ({line})") from error


def load_scorer(path: Path, trust: bool = False) -> Scorer:
    """Load a scorer of any backend, its contract, and check its weights where it holds any.

    Of an artefact that answers both questions, this is the spoofing half.
    """
    return scorer_of(path, *open_artefact(path, trust))


def scorer_of(path: Path, artefact: Artefact, contract: AnyContract, note: str) -> Scorer:
    """The scorer that an opened artefact is.

    Raises:
        ArtefactError: if it is none of windows.
    """
    if isinstance(contract, VerificationContract):
        raise ArtefactError(
            f"{path}: its contract decides same or different, not bona fide or spoof: "
            "use python -m export verify"
        )
    if isinstance(contract, StreamingContract):
        raise ArtefactError(
            f"{path}: its contract is of the task streaming: it hears chunks, not windows"
        )
    if isinstance(contract, SASVContract):
        return Scorer(artefact, contract.spoofing(), (note,), str(path), result=1)
    return Scorer(artefact, contract, (note,), str(path))


def open_artefact(path: Path, trust: bool = False) -> tuple[Artefact, AnyContract, str]:
    """Load an artefact of any backend and task; the third part says what of it was verified.

    Args:
        path: the file, or package.
        trust: load it even if it holds code that no scorer needs.

    Raises:
        InputError: if there is no such file, or it does not hold what it should.
    """
    backend, artefact = backends.load(path, trust)
    contract = contracts.parse_any(artefact.contract(), str(path))
    contract = _sealed(path, artefact, contract)
    _check_shape(path, artefact, contract)
    weights = artefact.weights()
    verified = ["file"] if contract.schema_version > 1 else []
    if weights is not None:
        found = contracts.weights_sha256(weights)
        if found != contract.weights_sha256:
            raise ArtefactError(
                f"{path}: its weights are not the ones of its contract "
                f"(sha256 {found[:12]}..., contract {contract.weights_sha256[:12]}...)"
            )
        verified.append("weights")
    said = f"{' and '.join(verified)} verified by sha256" if verified else ""
    if contract.schema_version == 1:
        unsaid = "file not verified, a contract of version 1 has no digest of it"
        said = f"{said}; {unsaid}" if said else unsaid
    return artefact, contract, f"{backend.name}: {said}"


def _sealed(path: Path, artefact: Artefact, contract: AnyContract) -> AnyContract:
    """The contract with the digest that the file was held against, wherever in it that stands."""
    if contract.schema_version == 1:
        return contract
    if artefact.file_sha256 is None:
        raise ArtefactError(
            f"{path}: not verified: it has no digest, although its contract promises one"
        )
    return contract.model_copy(update={"file_sha256": artefact.file_sha256})


def _check_shape(path: Path, artefact: Artefact, contract: AnyContract) -> None:
    """The sizes in the contract against what the model takes, before anything is cut."""
    if isinstance(contract, StreamingContract):
        stream = contract.stream
        sizes = [("chunks", stream.chunk_samples), ("a state", stream.state_size)]
    else:
        sizes = [("windows", contract.windows.num_samples)]
    for at, (what, size) in enumerate(sizes):
        shape = artefact.input_shape("forward", at)
        if shape is not None and (
            len(shape) != 2 or shape[0] not in (1, None) or shape[1] not in (size, None)
        ):
            raise ArtefactError(
                f"{path}: takes {what} of shape {list(shape)}, its contract says [1, {size}]"
            )
