"""Score a stream with a saved artefact: a chunk at a time, the state kept here between two.

Other languages implement this again. After each chunk, in this order: the contract's guards, over
all samples that were scored since the stream began; then the calibration's row for so many samples,
before the first of which nothing is decided; then the threshold.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from export.backends import Artefact
from export.errors import ArtefactError, InputError
from export.runtime.audio import Recording
from export.runtime.contract import StreamingContract
from export.runtime.guards import Meter
from export.runtime.scorer import (
    UNDECIDED,
    ScoredFile,
    Scorer,
    guarded,
    open_artefact,
    refusal,
    scorer_of,
)

REFUSED = "refused: the chunk holds NaN or infinite samples"


@dataclass(frozen=True)
class Verdict:
    """What is known after a chunk. Undecided: no numbers, and why."""

    samples: int
    """Scored since the stream began, this chunk's included."""
    score: float | None
    llr: float | None
    posterior: float | None
    threshold: float
    decision: str
    reason: str | None = None


class StreamScorer:
    """An artefact of the task ``streaming`` with its contract, and one stream that it hears."""

    def __init__(
        self,
        artefact: Artefact,
        contract: StreamingContract,
        notes: tuple[str, ...] = (),
        name: str = "artefact",
    ) -> None:
        self.artefact = artefact
        self.contract = contract
        self.notes = notes
        self.name = name
        self.restarts = 0
        """How often a gap in the stream was so long that it began anew."""
        self.reset()

    def reset(self) -> None:
        """Begin a new stream, at its sample 0; what waits for the rest of its chunk is dropped."""
        self.position = 0
        self._begin()

    def _begin(self) -> None:
        self.state = torch.zeros(1, self.contract.stream.state_size)
        self.samples = 0
        self._waiting = torch.zeros(0)
        self._meter = Meter(self.contract.audio.sample_rate)

    def hear(self, block: Tensor, at: int | None = None) -> list[Verdict]:
        """Take any number of samples ``[*]`` at the contract's rate: one verdict a whole chunk.

        Args:
            block: the samples that come next.
            at: position of the first of them, counted from the reset, where the source has a clock;
                None: they follow those before. What was heard already is left out. After a gap the
                samples that wait for the rest of their chunk are dropped; after one longer than
                the contract's ``longest_gap`` the stream begins anew, too.

        Raises:
            InputError: if the block has another shape.
            ArtefactError: if the artefact fails; the state stays as it was.
        """
        if block.dim() != 1 or not block.is_floating_point():
            shape = f"{list(block.shape)} of {block.dtype}"
            raise InputError(f"block: expected floating-point samples of shape [L], got {shape}")
        if at is not None:
            block = self._follow(block, at)
        self.position += len(block)
        size = self.contract.stream.chunk_samples
        waiting = torch.cat([self._waiting, block.float()])
        whole = len(waiting) // size * size
        self._waiting = waiting[whole:].clone()
        return [self.hear_chunk(chunk) for chunk in waiting[:whole].split(size)] if whole else []

    def _follow(self, block: Tensor, at: int) -> Tensor:
        if at > self.position:
            if at - self.position > self.contract.stream.longest_gap:
                self._begin()
                self.restarts += 1
            self._waiting = torch.zeros(0)
            self.position = at
        return block[self.position - at :]

    def hear_chunk(self, chunk: Tensor) -> Verdict:
        """Take exactly one chunk ``[C]``.

        Raises:
            InputError: if the chunk has another length.
            ArtefactError: if the artefact fails; the state stays as it was.
        """
        size = self.contract.stream.chunk_samples
        if chunk.shape != (size,):
            raise InputError(f"chunk: expected shape [{size}], got {list(chunk.shape)}")
        if not bool(torch.isfinite(chunk).all()):
            return self._undecided(REFUSED)
        inputs = (chunk.contiguous().unsqueeze(0), self.state)
        found = guarded(self.artefact, "forward", inputs, f"{self.name}: fails on a chunk")
        if len(found) != 2 or found[0].numel() != 1 or found[1].shape != self.state.shape:
            raise ArtefactError(
                f"{self.name}: gives {[list(x.shape) for x in found]} for a chunk, "
                f"expected [[1], {list(self.state.shape)}]"
            )
        if not all(bool(torch.isfinite(x).all()) for x in found):
            return self._undecided("refused: the model gives no finite number for the chunk")
        self.state = found[1]
        self.samples += size
        self._meter.hear_channels(chunk.unsqueeze(1))
        self._meter.hear(chunk)
        return self._judge(float(found[0]))

    def _judge(self, score: float) -> Verdict:
        contract, samples = self.contract, self.samples
        rate, row = contract.audio.sample_rate, contract.decision.at(samples)
        if reason := refusal(contract, self._meter):
            return self._undecided(reason)
        if row is None:
            first = contract.decision.calibration[0].samples
            return self._undecided(
                f"too early: {samples / rate:.3f} s, decisions begin at {first / rate:.3f} s"
            )
        llr = contract.llr(score, samples)
        posterior, threshold = contract.posterior(llr), contract.decision.threshold
        return Verdict(samples, score, llr, posterior, threshold, contract.decide(llr))

    def _undecided(self, reason: str) -> Verdict:
        threshold = self.contract.decision.threshold
        return Verdict(self.samples, None, None, None, threshold, UNDECIDED, reason)

    def verdicts(self, blocks: Iterable[Tensor]) -> Iterator[Verdict]:
        """A stream from its beginning, as it comes."""
        self.reset()
        for block in blocks:
            yield from self.hear(block)

    def raw_scores(self, waveform: Tensor) -> Tensor:
        """Raw score after each chunk of a recording ``[L]``, whatever is in it: ``[K]``."""
        size, scores = self.contract.stream.chunk_samples, []
        state = torch.zeros(1, self.contract.stream.state_size)
        for chunk in waveform[: len(waveform) // size * size].split(size):
            score, state = self.artefact.run("forward", (chunk.unsqueeze(0), state))
            scores.append(float(score))
        return torch.tensor(scores, dtype=torch.float64)

    def score_waveform(self, waveform: Tensor) -> float:
        """Raw score of one recording ``[L]`` after its last whole chunk, whatever is in it."""
        scores = self.raw_scores(waveform)
        if len(scores) == 0:
            raise InputError(f"recording: has no chunk of {self.contract.stream.chunk_samples}")
        return float(scores[-1])

    def score_file(
        self, path: Path, tell: Callable[[Verdict], None] = lambda _: None
    ) -> tuple[ScoredFile, tuple[str, ...]]:
        """Score one file as a stream of its own, and ``tell`` every verdict on the way.

        Also returns remarks on what was done to the file.
        """
        with Recording(path, self.contract.audio.sample_rate) as recording:
            scored = self.score_blocks(str(path), recording.blocks(), recording.meter, tell)
            return scored, recording.notes

    def score_blocks(
        self,
        name: str,
        blocks: Iterable[Tensor],
        meter: Meter,
        tell: Callable[[Verdict], None] = lambda _: None,
    ) -> ScoredFile:
        """Score a recording whose blocks ``[*]`` come through ``meter``, as a stream of its own.

        The last verdict is the recording's, unless the guards refuse it: its meter knows the
        channels, and the samples that filled no chunk.
        """
        last = None
        for verdict in self.verdicts(blocks):
            tell(verdict)
            last = verdict
        threshold = self.contract.decision.threshold
        reason = refusal(self.contract, meter)
        if reason is None and last is None:
            reason = f"too short: less than a chunk of {self.contract.stream.chunk_samples} samples"
        if reason is not None or last is None:
            return ScoredFile(name, None, None, None, threshold, UNDECIDED, reason)
        return ScoredFile(
            name, last.score, last.llr, last.posterior, threshold, last.decision, last.reason
        )


def load_any_scorer(path: Path, trust: bool = False) -> Scorer | StreamScorer:
    """Load a scorer of windows or of streams, as its contract says.

    Raises:
        InputError: if there is no such file, or it is neither.
    """
    artefact, contract, note = open_artefact(path, trust)
    if isinstance(contract, StreamingContract):
        return StreamScorer(artefact, contract, (note,), str(path))
    return scorer_of(path, artefact, contract, note)


def load_stream_scorer(path: Path, trust: bool = False) -> StreamScorer:
    """Load a scorer of streams.

    Raises:
        InputError: if there is no such file, or it is none.
    """
    scorer = load_any_scorer(path, trust)
    if not isinstance(scorer, StreamScorer):
        raise ArtefactError(
            f"{path}: its contract is of the task {scorer.contract.task}, expected streaming; "
            "train one with python -m export demo --task streaming"
        )
    return scorer
