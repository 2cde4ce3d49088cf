"""The contract of a scorer of streams from its held-out scores; golden streams; the commands."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from artefact_helpers import Command, assert_refused, voice, write_wav
from pipe_helpers import listened
from stream_helpers import CHUNK, RATE, THRESHOLD, save_stream, tiny_stream

from export.corpus import BONA_FIDE, SPOOF, Utterance
from export.errors import InputError
from export.jobs.streaming import (
    after,
    alarms,
    choose_threshold,
    elapsed_chunks,
    make_stream_contract,
    poisson_upper,
    scores_over_time,
    stream_row,
)
from export.runtime.contract import StreamingContract, parse_any
from export.runtime.guards import Guards
from export.runtime.stream import StreamScorer, load_stream_scorer

FOLDER = "stream"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stream("torchscript", tmp_path_factory.mktemp(FOLDER) / "stream.pt")


def sequences(*rows: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(row, dtype=torch.float64) for row in rows]


def test_an_alarm_is_a_fall_below_the_threshold() -> None:
    llrs = sequences([1.0, -1.0, -2.0, 1.0, -1.0], [-1.0, 1.0], [2.0, 0.0], [])
    assert alarms(llrs, 0.0) == 3
    assert alarms(llrs, 0.5) == 4
    assert alarms(llrs, -2.0) == 0


def test_the_threshold_is_the_highest_with_so_few_alarms() -> None:
    llrs = sequences([3.0, 1.0], [2.0, 2.5], [0.5, 4.0])
    threshold, words = choose_threshold(llrs, hours=0.5, per_hour=2.0)
    assert threshold == 1.0 and alarms(llrs, threshold) == 1
    assert words.startswith("at most 2 false alarms per hour: 1 in 0.5 h of bona fide")
    threshold, words = choose_threshold(llrs, hours=0.5, per_hour=0.0)
    assert threshold == 0.5 and ": 0 in 0.5 h" in words and "below 5.99 per hour" in words
    with pytest.raises(InputError, match="no bona fide recording is long enough"):
        choose_threshold(sequences([], []), 0.5, 2.0)


@pytest.mark.parametrize("count", [0, 1, 4, 30])
def test_at_the_upper_bound_so_few_alarms_are_seen_once_in_twenty(count: int) -> None:
    mean = poisson_upper(count)
    below = sum(math.exp(-mean) * mean**i / math.factorial(i) for i in range(count + 1))
    assert below == pytest.approx(0.05, abs=1e-9)


def test_scores_of_a_short_stream_are_those_of_its_end() -> None:
    scores = sequences([1.0, 2.0, 3.0], [4.0])
    assert after(scores, 2).tolist() == [2.0, 4.0]
    assert after(scores, 9).tolist() == [3.0, 4.0]


def utterances(count: int, shortest: int) -> list[Utterance]:
    made = []
    for i in range(count):
        label = BONA_FIDE if i % 2 else SPOOF
        wave = voice(shortest + 900 * i, 110 + 15.0 * i, i)
        made.append(Utterance(f"u{i}", f"s{i}", "-", label, wave))
    return made


def test_many_streams_at_once_score_like_each_alone() -> None:
    pipeline = tiny_stream()
    chosen = utterances(5, 9000)
    for utterance, found in zip(chosen, scores_over_time(pipeline, chosen), strict=True):
        count = len(utterance.waveform) // CHUNK
        state, alone = pipeline.initial_state(), []
        for chunk in utterance.waveform[: count * CHUNK].split(CHUNK):
            with torch.no_grad():
                score, state = pipeline(chunk.unsqueeze(0), state)
            alone.append(float(score))
        torch.testing.assert_close(
            found, torch.tensor(alone, dtype=torch.float64), rtol=0, atol=2e-6
        )
    with pytest.raises(InputError, match="short: shorter than a chunk of 2560 samples"):
        scores_over_time(pipeline, [Utterance("short", "s", "-", 1, torch.zeros(CHUNK - 1))])


def made(scores: list[torch.Tensor], labels: list[int]) -> tuple[StreamingContract, list[str]]:
    return make_stream_contract(
        tiny_stream(), RATE, scores, torch.tensor(labels), 0.5, 60.0, Guards()
    )


def test_each_elapsed_time_is_calibrated_by_its_own_scores() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = [i % 2 for i in range(40)]
    # The later, the farther the classes are apart.
    scores = [
        torch.randn(26, generator=generator, dtype=torch.float64)
        + (2 * label - 1) * torch.linspace(0.5, 2.5, 26, dtype=torch.float64)
        for label in labels
    ]
    contract, notes = made(scores, labels)
    assert notes == []
    rows = contract.decision.calibration
    assert [row.samples for row in rows] == [3 * CHUNK, 6 * CHUNK, 12 * CHUNK, 25 * CHUNK]
    assert rows[0].scale < rows[-1].scale
    assert contract.guards is not None and contract.guards.min_seconds == 3 * CHUNK / RATE
    assert parse_any(contract.model_dump_json(), "x") == contract
    real = [score for score, label in zip(scores, labels, strict=True) if label == 1]
    llrs = [
        torch.tensor([contract.llr(float(s), k * CHUNK) for k, s in enumerate(score, 1) if k >= 3])
        for score in real
    ]
    hours = 20 * 26 * CHUNK / RATE / 3600
    assert alarms(llrs, contract.decision.threshold - 1e-6) <= 60 * hours


def test_a_time_that_cannot_be_calibrated_has_no_row() -> None:
    labels = [0, 1] * 10
    late = torch.arange(26) >= 9
    scores = [
        torch.where(late, 2.0 * label - 1, 1.0 - 2 * label).double()
        + 0.1 * torch.randn(26, dtype=torch.float64)
        for label in labels
    ]
    contract, notes = made(scores, labels)
    assert [row.samples for row in contract.decision.calibration] == [12 * CHUNK, 25 * CHUNK]
    assert len(notes) == 2 and notes[0].startswith("nothing is decided after 0.5 s: held-out")
    with pytest.raises(InputError, match="bona fide does not score higher"):
        made([-score for score in scores], labels)


def test_no_time_is_before_the_warm_up() -> None:
    pipeline = tiny_stream(chunk=480, stride=1)
    chunks = elapsed_chunks(pipeline, 800)
    assert min(chunks.values()) * 480 >= pipeline.warmup_samples


def test_a_row_is_drawn_from_streams_under_way() -> None:
    pipeline = tiny_stream()
    row = stream_row(pipeline, "x")
    chunk, state = row.draw("forward", 0)
    assert chunk.shape == (1, CHUNK) and torch.equal(state, pipeline.initial_state())
    _, state = row.draw("forward", 1)
    assert bool((state != 0).any())
    spoken = row.speech["forward"](voice(3 * CHUNK + 7))
    assert spoken[0].shape == (1, CHUNK) and bool((spoken[1] != 0).any())
    assert row.speech["forward"](voice(100))[0].shape == (1, CHUNK)


def test_a_file_of_either_kind_is_scored(path: Path, tmp_path: Path, command: Command) -> None:
    wav = write_wav(tmp_path / "a.wav", voice(20000))
    short = write_wav(tmp_path / "b.wav", voice(2000))
    ran = command("score", path, wav, short, "--json", "--trace")
    assert ran.code == 0, ran
    first, second = json.loads(ran.out)
    assert len(first["trace"]) == 20000 // CHUNK
    last = first["trace"][-1]
    assert last["samples"] == 7 * CHUNK and last["threshold"] == THRESHOLD
    assert {key: first[key] for key in ("score", "llr", "posterior", "decision")} == {
        key: last[key] for key in ("score", "llr", "posterior", "decision")
    }
    assert first["decision"] in ("bonafide", "spoof")
    assert second["decision"] == "undecided" and second["score"] is None
    assert second["reason"].startswith("too short: 0.125 s") and second["trace"] == []

    ran = command("score", path, wav, "--json")
    assert "trace" not in json.loads(ran.out)[0]
    ran = command("score", path, wav, "--trace")
    assert len(ran.out.splitlines()) == 1 + 7 + 1
    assert "7680 samples" in ran.out


def test_windows_have_no_trace(artefacts: Any, tmp_path: Path, command: Command) -> None:
    wav = write_wav(tmp_path / "a.wav", voice(8000))
    path = artefacts.path("torchscript")
    assert_refused(command("score", path, wav, "--trace"), "trace: expected a scorer of streams")


def test_a_pipe_is_heard(
    path: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav = write_wav(tmp_path / "a.wav", voice(20000))
    pcm = (np.rint(voice(20000).numpy().astype(np.float64) * 32767)).astype("<i2")
    import soundfile

    pcm = soundfile.read(wav, dtype="int16")[0].astype("<i2")
    ran = listened(command, monkeypatch, pcm.tobytes() + b"\x01", path, "--json")
    assert ran.code == 0, ran
    lines = [json.loads(line) for line in ran.out.splitlines()]
    scored = json.loads(command("score", path, wav, "--json", "--trace").out)
    assert lines == scored[0]["trace"]
    ran = listened(command, monkeypatch, pcm.tobytes(), path)
    assert len(ran.out.splitlines()) == 7
    assert ran.out.splitlines()[0].startswith("     0.16 s  LLR        -  undecided  (too short")


def test_a_pipe_without_samples_is_refused(
    path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content in (b"", b"\x00"):
        ran = listened(command, monkeypatch, content, path)
        assert ran.code == 2 and "stdin: no samples" in ran.err and ran.out == ""


@pytest.mark.parametrize("header", ["RIFF", "RF64", "fLaC", "OggS"])
def test_an_audio_file_is_not_heard_as_samples(
    header: str, path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = listened(command, monkeypatch, header.encode() + bytes(4 * CHUNK), path)
    assert ran.code == 2 and ran.out == ""
    assert f"stdin: begins with {header}, as a file does; pipe in 16-bit PCM" in ran.err


def test_a_closed_stdin_is_refused(
    path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    ran = command("listen", path)
    assert ran.code == 2 and ran.out == ""
    assert ran.err.splitlines()[-1].startswith("error: stdin: is closed; pipe in 16-bit PCM")


def test_the_help_names_the_whole_package(command: Command) -> None:
    assert "scriptable-speech[listen]" in command("listen", "--help").out


def test_golden_streams_are_what_the_file_gives(
    path: Path, tmp_path: Path, command: Command
) -> None:
    folder = tmp_path / "vectors"
    ran = command("vectors", path, "--out", folder)
    assert ran.code == 0 and "14 streams" in ran.out
    index = json.loads((folder / "vectors.json").read_text())
    by_name = {case["name"]: case for case in index["cases"]}
    for case in index["cases"]:
        replay(load_stream_scorer(path), case, folder)
    said = [by_name[name]["verdicts"] for name in ("chunk_by_chunk", "at_once", "in_odd_blocks")]
    assert said[0] == said[1] == said[2]
    assert by_name["shorter_than_a_chunk"]["verdicts"] == []
    assert sum("refused" in str(v["reason"]) for v in by_name["not_a_number"]["verdicts"]) == 1
    assert sum("refused" in str(v["reason"]) for v in by_name["infinite"]["verdicts"]) == 1
    assert by_name["heard_twice"]["verdicts"] == said[0]
    assert [by_name[name]["restarts"] for name in ("a_gap", "a_long_gap")] == [0, 1]
    for name, reason in (("silence", "too quiet"), ("quiet", "too quiet"), ("clipped", "clipped")):
        assert reason in by_name[name]["verdicts"][-1]["reason"]
    assert command("vectors", path, "--out", folder).code == 0, "its own folder is written again"


def replay(scorer: StreamScorer, case: dict[str, Any], folder: Path) -> None:
    """Feed the blocks as another implementation would."""
    samples = torch.from_numpy(np.fromfile(folder / case["samples_file"], dtype="<f4"))
    states = np.fromfile(folder / case["states_file"], dtype="<f4")
    start, found = 0, []
    for block in case["blocks"]:
        found += scorer.hear(samples[start : start + block["length"]], block["at"])
        start += block["length"]
    assert start == len(samples)
    assert [vars(verdict) for verdict in found] == case["verdicts"]
    states = states.reshape(case["n_chunks"], scorer.contract.stream.state_size)
    if len(states):
        assert np.array_equal(states[-1], scorer.state[0].numpy())
