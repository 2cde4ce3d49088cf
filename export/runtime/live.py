"""A scorer of windows as one of streams: after each chunk the score of the last window.

A file whose model has a method ``live`` beside ``forward`` computes the frames of a stream once;
that it has the method is all that says so. With any other file each window is scored whole.
"""

from pathlib import Path

import torch

from export.backends import Artefact, Inputs
from export.errors import ArtefactError
from export.runtime.contract import Contract, StreamingContract
from export.runtime.scorer import Scorer, open_artefact, scorer_of
from export.runtime.stream import StreamScorer
from export.runtime.stream_parts import ElapsedCalibration, Stream, StreamDecision

LIVE = "live"
_GAP_SECONDS = 1


class _Step(Artefact):
    """What a stream calls ``forward``, by a scorer of windows."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def contract(self) -> str:
        """That of the file."""
        return self._scorer.artefact.contract()


class _Cached(_Step):
    """By the file's own method."""

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """A chunk and the past → score, and the new past."""
        return self._scorer.artefact.run(LIVE, inputs)


class _Whole(_Step):
    """By the window itself. The past is how many samples were heard, then the last N − 1."""

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """A chunk and the past → score, 0 before there is a window, and the new past."""
        chunk, past = inputs
        size = self._scorer.contract.windows.num_samples
        heard = (past[:, :1] + chunk.shape[1]).clamp(max=size)
        window = torch.cat([past[:, 1:], chunk], dim=1)[:, -size:]
        score = self._scorer.score_windows(window) if int(heard) == size else torch.zeros(1)
        return score, torch.cat([heard, window[:, 1:]], dim=1)


def live_scorer(scorer: Scorer) -> StreamScorer:
    """A scorer of windows, to hear a stream with."""
    windows, rate = scorer.contract.windows, scorer.contract.audio.sample_rate
    sizes = [scorer.artefact.input_shape(LIVE, place) for place in (0, 1)]
    chunk, state = [shape[1] if shape is not None and len(shape) == 2 else None for shape in sizes]
    step: _Step = _Cached(scorer)
    how = "frames computed once"
    if scorer.result != 0 or chunk is None or state is None:
        step, chunk, state = _Whole(scorer), windows.hop, windows.num_samples
        how = "each window whole"
    contract = _as_stream(scorer.contract, chunk, state, scorer.name)
    note = f"a score every {chunk / rate:.2f} s, of the last {windows.num_samples / rate:.2f} s"
    return StreamScorer(step, contract, (*scorer.notes, f"{note}: {how}"), scorer.name)


def load_live_scorer(path: Path, trust: bool = False) -> StreamScorer:
    """Load a scorer of streams, or one of windows to hear a stream with.

    Raises:
        InputError: if there is no such file, or it is neither.
    """
    artefact, contract, note = open_artefact(path, trust)
    if isinstance(contract, StreamingContract):
        return StreamScorer(artefact, contract, (note,), str(path))
    return live_scorer(scorer_of(path, artefact, contract, note))


def _as_stream(contract: Contract, chunk: int, state: int, name: str) -> StreamingContract:
    """The same decisions, none before a whole window was heard."""
    if contract.schema_version == 1:
        raise ArtefactError(f"{name}: its contract is of version 1: export it again to listen")
    parts = ("task", "windows", "decision")
    same = {part: getattr(contract, part) for part in Contract.model_fields if part not in parts}
    decision, size = contract.decision, contract.windows.num_samples
    row = ElapsedCalibration(samples=size, scale=decision.scale, offset=decision.offset)
    return StreamingContract(
        **same,
        stream=Stream(
            chunk_samples=chunk,
            state_size=state,
            warmup_samples=size,
            longest_gap=_GAP_SECONDS * contract.audio.sample_rate,
        ),
        decision=StreamDecision(
            calibration=(row,),
            prior=decision.prior,
            threshold=decision.threshold,
            operating_point=decision.operating_point,
        ),
    )
