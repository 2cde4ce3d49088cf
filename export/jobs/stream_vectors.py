"""Golden streams: samples as they come, and after each chunk the state, the score, the verdict.

Another implementation feeds the blocks, and must find what the artefact gave here.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export.files import staged_folder
from export.jobs.vectors import INDEX_FILE, Case, index_names, speech
from export.runtime.stream import StreamScorer, Verdict


@dataclass(frozen=True)
class Block:
    """Samples that come at once; ``at`` is their position where the source has a clock."""

    samples: Tensor
    at: int | None = None


def streams(sample_rate: int, chunk: int, longest_gap: int) -> dict[str, Sequence[Block]]:
    """The streams for a contract; each stands for one way to go wrong."""

    def voice(chunks: float) -> Tensor:
        case = Case("", sample_rate, 1, max(1, round(chunks * chunk)), speech)
        return speech(case)[:, 0].float() / 32768.0

    said = voice(30.0)
    silence = torch.zeros(10 * chunk)
    holed = said.clone()
    holed[12 * chunk + chunk // 3] = float("nan")
    endless = said.clone()
    endless[12 * chunk] = float("inf")
    loud = (said * 50).clamp(-1.0, 1.0)
    return {
        "chunk_by_chunk": [Block(part) for part in said.split(chunk)],
        "at_once": [Block(said)],
        "in_odd_blocks": [Block(part) for part in said.split(chunk // 2 + 7)],
        "stops_in_a_chunk": [Block(said[: 20 * chunk + chunk // 2])],
        "shorter_than_a_chunk": [Block(said[: chunk - 1])],
        "silence_then_speech": [Block(torch.cat([silence, said[: 15 * chunk]]))],
        "silence": [Block(silence)],
        "quiet": [Block(said.sign() / 32768.0)],
        "clipped": [Block(loud)],
        "not_a_number": [Block(holed)],
        "infinite": [Block(endless)],
        "heard_twice": [Block(said[: 9 * chunk], 0), Block(said[8 * chunk - 5 :], 8 * chunk - 5)],
        "a_gap": [
            Block(said[: 9 * chunk + 11], 0),
            Block(said[9 * chunk + 11 :], 9 * chunk + 11 + longest_gap),
        ],
        "a_long_gap": [
            Block(said[: 9 * chunk + 11], 0),
            Block(said[9 * chunk + 11 :], 9 * chunk + 12 + longest_gap),
        ],
    }


def write_stream_vectors(scorer: StreamScorer, folder: Path) -> int:
    """Write the golden streams of an artefact into ``folder``, whole or not at all.

    Returns:
        How many streams there are.

    Raises:
        InputError: as of :func:`export.jobs.vectors.write_vectors`.
    """
    listed = index_names(folder)
    contract = scorer.contract
    stream = contract.stream
    made = streams(contract.audio.sample_rate, stream.chunk_samples, stream.longest_gap)
    with staged_folder(folder, ours=listed) as temporary:
        index = {
            "contract": contract.document(),
            "cases": [_write(scorer, name, made[name], temporary) for name in made],
        }
        text = json.dumps(index, indent=1, allow_nan=False)
        (temporary / INDEX_FILE).write_text(text + "\n", encoding="utf-8")
    return len(made)


def _write(
    scorer: StreamScorer, name: str, blocks: Sequence[Block], folder: Path
) -> dict[str, Any]:
    samples, kept = f"{name}.samples.f32", f"{name}.states.f32"
    scorer.reset()
    verdicts: list[Verdict] = []
    states: list[Tensor] = []
    for block in blocks:
        # At most one chunk at a time: the state after every chunk is wanted.
        for part, at in _by_chunks(scorer, block):
            found = scorer.hear(part, at)
            verdicts += found
            states += [scorer.state[0]] * len(found)
    _floats(folder / samples, torch.cat([block.samples for block in blocks]))
    _floats(folder / kept, torch.cat(states) if states else torch.zeros(0))
    return {
        "name": name,
        "samples_file": samples,
        "blocks": [{"at": block.at, "length": len(block.samples)} for block in blocks],
        "states_file": kept,
        "n_chunks": len(verdicts),
        "restarts": scorer.restarts,
        "verdicts": [asdict(verdict) for verdict in verdicts],
    }


def _by_chunks(scorer: StreamScorer, block: Block) -> list[tuple[Tensor, int | None]]:
    """The block in parts that complete no more than one chunk each."""
    step = max(1, scorer.contract.stream.chunk_samples // 2)
    found: list[tuple[Tensor, int | None]] = []
    for start in range(0, len(block.samples), step):
        at = None if block.at is None else block.at + start
        found.append((block.samples[start : start + step], at))
    return found


def _floats(path: Path, values: Tensor) -> None:
    path.write_bytes(values.contiguous().numpy().astype("<f4").tobytes())
