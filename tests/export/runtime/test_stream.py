"""From samples as they come to verdicts, and all that may go wrong on the way."""

from pathlib import Path

import pytest
import torch
from artefact_helpers import voice, write_wav
from stream_helpers import CHUNK, RATE, ROWS, THRESHOLD, save_stream, stream_contract, tiny_stream
from torch import Tensor

from export.backends import Artefact, Inputs, Source, all_backends, save
from export.bulk.judges import open_judge
from export.catalog import draw
from export.errors import ArtefactError, InputError
from export.runtime.audio import Recording
from export.runtime.contract import StreamingContract
from export.runtime.eager import EagerArtefact
from export.runtime.scorer import load_scorer
from export.runtime.stream import REFUSED, StreamScorer, Verdict, load_stream_scorer


def noise(seed: int, chunks: float) -> Tensor:
    return draw.waveform(torch.Generator().manual_seed(seed), 1, int(chunks * CHUNK))[0]


@pytest.fixture
def scorer() -> StreamScorer:
    pipeline = tiny_stream()
    return StreamScorer(EagerArtefact(pipeline), stream_contract(pipeline))


def by_hand(contract: StreamingContract, scorer: StreamScorer, stream: Tensor) -> list[Verdict]:
    """Verdicts of audio that no guard refuses, from the raw scores and the table."""
    found = []
    for index, score in enumerate(scorer.raw_scores(stream).tolist()):
        samples = (index + 1) * CHUNK
        held = [row for row in ROWS if row[0] <= samples]
        if samples < 0.3 * RATE:
            why = f"too short: {samples / RATE:.3f} s, at least 0.300 s are needed"
            found.append(Verdict(samples, None, None, None, THRESHOLD, "undecided", why))
            continue
        llr = held[-1][1] * score + held[-1][2]
        decision = "bonafide" if llr >= THRESHOLD else "spoof"
        posterior = contract.posterior(llr)
        found.append(Verdict(samples, score, llr, posterior, THRESHOLD, decision))
    return found


@pytest.mark.parametrize("block", [1, 700, CHUNK, 5000, 1 << 20])
def test_blocks_of_any_length_give_a_verdict_a_chunk(scorer: StreamScorer, block: int) -> None:
    stream = noise(1, 14.4) if block > 1 else noise(1, 2.2)
    expected = by_hand(scorer.contract, scorer, stream)
    assert list(scorer.verdicts(stream.split(block))) == expected
    assert scorer.position == len(stream) and scorer.samples == len(expected) * CHUNK
    assert list(scorer.verdicts(stream.split(block))) == expected, "a second stream is a new one"


def test_the_table_changes_the_row_where_it_says(scorer: StreamScorer) -> None:
    llrs = [scorer.contract.llr(1.0, samples) for samples in (4000, 7999, 8000, 31999, 32000)]
    assert llrs == [2.25, 2.25, 3.5, 3.5, 6.25]
    assert scorer.contract.llr(1.0) == 6.25
    with pytest.raises(ValueError, match="nothing is calibrated after 3999 samples"):
        scorer.contract.llr(1.0, 3999)


def test_before_the_first_row_nothing_is_decided() -> None:
    pipeline = tiny_stream()
    rows = stream_contract(pipeline).decision.calibration[1:]
    scorer = StreamScorer(EagerArtefact(pipeline), stream_contract(pipeline, calibration=rows))
    reasons = [verdict.reason for verdict in scorer.hear(noise(2, 4))]
    assert reasons[0] is not None and reasons[0].startswith("too short: 0.160 s")
    assert reasons[1:] == [
        "too early: 0.320 s, decisions begin at 0.500 s",
        "too early: 0.480 s, decisions begin at 0.500 s",
        None,
    ]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_chunk_that_is_not_finite_is_refused_and_forgotten(
    scorer: StreamScorer, bad: float
) -> None:
    stream = noise(3, 8)
    expected = scorer.hear(stream)
    scorer.reset()
    found = scorer.hear(stream[: 4 * CHUNK])
    state = scorer.state.clone()
    poisoned = noise(4, 1)
    poisoned[17] = bad
    (refused,) = scorer.hear(poisoned)
    assert refused.decision == "undecided" and refused.reason == REFUSED
    assert refused.score is None and refused.samples == 4 * CHUNK
    assert torch.equal(scorer.state, state)
    assert found + scorer.hear(stream[4 * CHUNK :]) == expected


class Broken(Artefact):
    """Answers as it is told to."""

    def __init__(self, answer: Inputs | Exception) -> None:
        self.answer = answer

    def run(self, method: str, inputs: Inputs) -> Inputs:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def contract(self) -> str:
        return ""


def test_a_model_that_fails_leaves_the_state_alone(scorer: StreamScorer) -> None:
    scorer.hear(noise(5, 3))
    state, size = scorer.state.clone(), scorer.contract.stream.state_size
    scorer.artefact = Broken((torch.tensor([float("nan")]), torch.ones(1, size)))
    (verdict,) = scorer.hear(noise(6, 1))
    assert verdict.reason == "refused: the model gives no finite number for the chunk"
    for answer in ((torch.zeros(1), torch.zeros(1, size + 1)), (torch.zeros(1),)):
        scorer.artefact = Broken(answer)
        with pytest.raises(ArtefactError, match="for a chunk, expected"):
            scorer.hear(noise(6, 1))
    scorer.artefact = Broken(RuntimeError("no memory"))
    with pytest.raises(ArtefactError, match=r"artefact: fails on a chunk \(no memory\)"):
        scorer.hear(noise(6, 1))
    assert torch.equal(scorer.state, state) and scorer.samples == 3 * CHUNK


def test_chunks_and_blocks_of_another_shape_are_refused(scorer: StreamScorer) -> None:
    with pytest.raises(InputError, match=r"chunk: expected shape \[2560\], got \[2559\]"):
        scorer.hear_chunk(torch.zeros(CHUNK - 1))
    with pytest.raises(InputError, match=r"block: expected floating-point samples of shape \[L\]"):
        scorer.hear(torch.zeros(1, CHUNK))
    with pytest.raises(InputError, match=r"block: .* of torch.int16"):
        scorer.hear(torch.zeros(CHUNK, dtype=torch.int16))
    assert scorer.samples == 0


def test_a_stream_that_stops_in_a_chunk_keeps_its_last_verdict(scorer: StreamScorer) -> None:
    stream = noise(7, 5.9)
    found = scorer.hear(stream)
    assert len(found) == 5
    assert scorer.hear(torch.zeros(0)) == []


def test_silence_is_undecided_and_not_poisoning(scorer: StreamScorer) -> None:
    verdicts = scorer.hear(torch.zeros(10 * CHUNK))
    assert all(verdict.decision == "undecided" for verdict in verdicts)
    assert str(verdicts[-1].reason).startswith("too quiet: ")
    assert scorer.hear(noise(8, 6))[-1].decision != "undecided"


def test_a_clock_that_skips(scorer: StreamScorer) -> None:
    stream = noise(9, 12)
    expected = scorer.hear(stream)

    scorer.reset()
    found = scorer.hear(stream[:9000], at=0)
    found += scorer.hear(stream[8000:], at=8000)
    assert found == expected, "what was heard twice counts once"

    scorer.reset()
    scorer.hear(stream[: 2 * CHUNK + 100], at=0)
    state = scorer.state.clone()
    found = scorer.hear(noise(10, 3), at=2 * CHUNK + 100 + RATE)
    assert torch.equal(state, state) and [v.samples // CHUNK for v in found] == [3, 4, 5]
    assert scorer.restarts == 0

    found = scorer.hear(stream, at=scorer.position + RATE + 1)
    assert scorer.restarts == 1
    assert found == expected, "after a longer gap it begins anew"
    assert scorer.hear(stream[:500], at=0) == [], "all of it was heard"


def test_files_of_all_kinds(tmp_path: Path) -> None:
    path = save_stream("torchscript", tmp_path / "stream.pt")
    scorer = load_stream_scorer(path)
    assert scorer.contract.model == "tiny stream"
    with pytest.raises(ArtefactError, match="is of the task streaming"):
        load_scorer(path)


def test_an_archive_is_judged_as_its_files_are_scored(tmp_path: Path) -> None:
    judge = open_judge(save_stream("torchscript", tmp_path / "stream.pt"))
    scorer = load_stream_scorer(tmp_path / "stream.pt")
    for samples in (20000, 3000):
        wav = write_wav(tmp_path / f"{samples}.wav", voice(samples))
        expected, _ = scorer.score_file(wav)
        with Recording(wav, RATE) as recording:
            found = judge.judged(str(wav), recording.blocks(), recording.meter)
        assert found == {name: getattr(expected, name) for name in found}
        assert (expected.score is None) == (samples == 3000)


def test_channels_that_cancel_are_refused_as_of_any_recording(tmp_path: Path) -> None:
    pipeline = tiny_stream()
    scorer = StreamScorer(EagerArtefact(pipeline), stream_contract(pipeline))
    one = voice(20000)
    wav = write_wav(tmp_path / "a.wav", torch.stack([one, -one], dim=1))
    result, notes = scorer.score_file(wav)
    assert result.decision == "undecided" and str(result.reason).startswith("channels cancel")
    assert notes == ("mixed down from 2 channels",)


@pytest.mark.parametrize("name", ["torchscript", "torch_export", "onnx"])
def test_sizes_that_the_model_has_not_are_refused_at_loading(name: str, tmp_path: Path) -> None:
    pipeline = tiny_stream()
    right = stream_contract(pipeline)
    backend = all_backends()[name]
    if reason := backend.unavailable():
        pytest.skip(reason)
    inputs = (torch.zeros(1, CHUNK), pipeline.initial_state())
    for what, wrong in (("chunks", {"chunk_samples": 1280}), ("a state", {"state_size": 7})):
        contract = right.model_copy(update={"stream": right.stream.model_copy(update=wrong)})
        path = tmp_path / f"x{backend.suffix}"
        source = Source(pipeline, {"forward": inputs}, contract.model_dump_json())
        save(backend, source, path)
        with pytest.raises(ArtefactError, match=f"takes {what} of shape .* its contract says"):
            load_stream_scorer(path)
        path.unlink()
