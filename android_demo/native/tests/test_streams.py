"""A stream in C++: what ``python -m export listen`` says of it, and the golden streams."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from artefact_helpers import RATE, Artefacts, Command, assert_refused, usable, voice, write_wav
from native_helpers import VERIFIED, Program, built, listen, run
from stream_helpers import CHUNK, save_stream, stream_contract, tiny_stream
from test_spoof_score import SAME_RATE, assert_equal
from torch import Tensor

from export import backends
from export.backends import Source
from export.jobs.stream_vectors import write_stream_vectors
from export.runtime.audio import read_waveform
from export.runtime.stream import REFUSED, StreamScorer, load_stream_scorer

# Sums of hundreds and logarithms stand in one state.
STATE = {"rtol": 2e-5, "atol": 1e-4}
NUMBERS = ("score", "llr", "posterior")


@pytest.fixture(scope="session")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    usable("executorch_xnnpack")
    path = tmp_path_factory.mktemp("stream") / "stream.xnnpack.pte"
    return save_stream("executorch_xnnpack", path)


@pytest.fixture(scope="session")
def scorer(stream: Path) -> StreamScorer:
    return load_stream_scorer(stream)


def pcm16(waveform: Tensor) -> Tensor:
    return (waveform * 32767.0).round().to(torch.int16)


def by_python(scorer: StreamScorer, pcm: Tensor) -> list[dict[str, Any]]:
    return [asdict(verdict) for verdict in scorer.verdicts([pcm.float() / 32768.0])]


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def assert_same(found: list[dict[str, Any]], expected: list[dict[str, Any]], place: str) -> None:
    """The same keys, counts, decisions and reasons; numbers within the backend's tolerance."""
    assert len(found) == len(expected), place
    for ours, theirs in zip(found, expected, strict=True):
        assert list(ours) == list(theirs), place
        exact = [name for name in theirs if name not in NUMBERS or theirs[name] is None]
        assert [ours[name] for name in exact] == [theirs[name] for name in exact], place
        if theirs["score"] is not None:
            assert ours["score"] == pytest.approx(theirs["score"], abs=SAME_RATE, rel=0), place
            for name in ("llr", "posterior"):
                assert ours[name] == pytest.approx(theirs[name], abs=10 * SAME_RATE), place


def replayed(model: Path, vectors: Path, out: Path) -> list[dict[str, Any]]:
    ran = run(built("native-sanitize", "replay_streams"), model, vectors, out)
    assert (ran.code, ran.err) == (0, ""), ran
    return lines_of(ran.out)


def test_equals_the_golden_streams(stream: Path, scorer: StreamScorer, tmp_path: Path) -> None:
    vectors = tmp_path / "vectors"
    assert write_stream_vectors(scorer, vectors) >= 14
    index = json.loads((vectors / "vectors.json").read_text(encoding="utf-8"))
    found = replayed(stream, vectors, tmp_path)
    assert [case["name"] for case in found] == [case["name"] for case in index["cases"]]
    for case, expected in zip(found, index["cases"], strict=True):
        name = case["name"]
        assert case["errors"] == []
        assert_same(case["verdicts"], expected["verdicts"], name)
        assert case["restarts"] == (name == "a_long_gap")
        states = np.fromfile(tmp_path / f"{name}.states.f32", "<f4")
        reference = np.fromfile(vectors / expected["states_file"], "<f4")
        np.testing.assert_allclose(states, reference, **STATE, err_msg=name)


def test_equals_python_on_ten_recordings(
    stream: Path, scorer: StreamScorer, speech: list[Path]
) -> None:
    assert len(speech) >= 10
    for path in speech[:10]:
        pcm = pcm16(read_waveform(path, RATE).waveform)
        ran = listen("--json", "--stream", stream, pcm=pcm)
        assert (ran.code, ran.err) == (0, f"{VERIFIED}\n"), path
        expected = by_python(scorer, pcm)
        assert len(expected) > 1 and expected[-1]["score"] is not None
        assert_same(lines_of(ran.out), expected, path.name)


def test_says_what_listen_says(stream: Path) -> None:
    """Both commands, their lines for people too; a sample and a half are left over."""
    pcm = pcm16(torch.cat([torch.zeros(4 * CHUNK), voice(8 * CHUNK + 1)]))
    ran = listen("--stream", stream, pcm=pcm, rest=b"\x07")
    reference = subprocess.run(
        [sys.executable, "-m", "export", "listen", str(stream)],
        input=pcm.numpy().tobytes() + b"\x07",
        capture_output=True,
        check=True,
    )
    assert ran.out == reference.stdout.decode()
    assert len(ran.out.splitlines()) == 12
    assert "undecided  (too quiet: " in ran.out and "LLR   " in ran.out


def test_a_recording_is_fed_in_chunks(
    stream: Path, tmp_path: Path, spoof_score: Program, command: Command
) -> None:
    files = [
        write_wav(tmp_path / "voice.wav", voice(9 * CHUNK + 100)),
        write_wav(tmp_path / "again.wav", voice(9 * CHUNK + 100)),
        write_wav(tmp_path / "cancel.wav", torch.stack([voice(20000), -voice(20000)], 1)),
        write_wav(tmp_path / "silent.wav", torch.zeros(20000)),
        write_wav(tmp_path / "short.wav", voice(CHUNK - 1)),
    ]
    ran, reference = (
        spoof_score("--json", stream, *files),
        command("score", stream, *files, "--json"),
    )
    assert ran.code == reference.code == 0, (ran, reference)
    found = json.loads(ran.out)
    assert_equal(found, json.loads(reference.out), SAME_RATE)
    assert found[0]["score"] == found[1]["score"], "each recording is a stream of its own"
    assert [entry["decision"] for entry in found[2:]] == ["undecided"] * 3
    assert found[2]["reason"].startswith("channels cancel")


def test_less_than_a_chunk_where_the_guards_allow_it(
    tmp_path: Path, spoof_score: Program, command: Command
) -> None:
    model = save_stream(
        "executorch_xnnpack", tmp_path / "s.xnnpack.pte", tiny_stream(chunk=3 * CHUNK)
    )
    path = write_wav(tmp_path / "short.wav", voice(3 * CHUNK - 1))
    ran, reference = spoof_score("--json", model, path), command("score", model, path, "--json")
    assert json.loads(ran.out) == json.loads(reference.out)
    assert json.loads(ran.out)[0]["reason"] == "too short: less than a chunk of 7680 samples"


def test_nothing_to_hear_is_bad_input(stream: Path) -> None:
    for rest in (b"", b"\x01"):
        ran = listen("--stream", stream, pcm=torch.zeros(0, dtype=torch.int16), rest=rest)
        assert ran.code == 2 and ran.out == ""
        assert ran.err == f"{VERIFIED}\nerror: stdin: no samples; {EXPECTED}\n"
    ran = listen("--json", "--stream", stream, pcm=pcm16(voice(CHUNK - 1)))
    assert (ran.code, ran.out) == (0, ""), "too short for a chunk, and no fault"
    ran = listen("--stream", stream, pcm=torch.zeros(2, dtype=torch.int16))
    assert (ran.code, ran.out) == (0, ""), "no longer than a header, and heard"


def test_the_model_is_not_heard_where_stdin_is_closed(stream: Path) -> None:
    program = built("native", "spoof_score")
    ran = run("sh", "-c", 'exec "$@" <&-', "sh", program, "--stream", stream)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"error: stdin: is closed; {EXPECTED}\n"


@pytest.mark.parametrize("header", ["RIFF", "RF64", "fLaC", "OggS"])
def test_an_audio_file_is_not_heard_as_samples(header: str, stream: Path) -> None:
    begins = torch.frombuffer(bytearray(header.encode()), dtype=torch.int16)
    ran = listen("--stream", stream, pcm=torch.cat([begins, pcm16(voice(2 * CHUNK))]))
    assert ran.code == 2 and ran.out == ""
    assert (
        ran.err == f"{VERIFIED}\nerror: stdin: begins with {header}, as a file does; {EXPECTED}\n"
    )


EXPECTED = "pipe in 16-bit PCM, mono, without a header"


def test_models_and_words_that_do_not_go_together(
    stream: Path, artefacts: Artefacts, spoof_score: Program
) -> None:
    windows = artefacts.path("executorch_xnnpack")
    assert_refused(spoof_score("--stream", windows), str(windows), "task streaming")
    assert_refused(spoof_score("--stream", stream, "a.wav"), "usage: ")
    assert_refused(spoof_score("--stream"), "usage: ")
    assert_refused(spoof_score(stream), "usage: ")


class Fragile(torch.nn.Module):
    """The chunk's mean plus what it kept; not a number when the sum is below zero."""

    def forward(self, chunk: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Score, and what is kept."""
        kept = past + chunk.mean()
        return torch.sqrt(kept.mean(1)), kept


def save_fragile(path: Path, promised: int, state: int) -> Path:
    contract = stream_contract(tiny_stream())
    shape = contract.stream.model_copy(update={"state_size": promised})
    text = contract.model_copy(update={"stream": shape}).model_dump_json()
    inputs = {"forward": (torch.zeros(1, CHUNK), torch.zeros(1, state))}
    backend = backends.all_backends()["executorch_xnnpack"]
    backends.save(backend, Source(Fragile().eval(), inputs, text), path)
    return path


def test_a_state_of_another_size_is_refused(tmp_path: Path, spoof_score: Program) -> None:
    usable("executorch_xnnpack")
    path = save_fragile(tmp_path / "other.xnnpack.pte", promised=4, state=3)
    assert_refused(spoof_score("--stream", path), "with a state of 4 numbers")


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Any]:
    """Writes a stream as golden streams are, and replays it."""

    def replay(model: Path, blocks: list[tuple[Tensor, bool]]) -> tuple[dict[str, Any], Any]:
        torch.cat([block for block, _ in blocks]).numpy().astype("<f4").tofile(tmp_path / "x.f32")
        listed = [{"at": None, "length": len(block), "chunk": chunk} for block, chunk in blocks]
        case = {"name": "x", "samples_file": "x.f32", "blocks": listed}
        (tmp_path / "vectors.json").write_text(json.dumps({"cases": [case]}), encoding="utf-8")
        (found,) = replayed(model, tmp_path, tmp_path)
        return found, np.fromfile(tmp_path / "x.states.f32", "<f4")

    yield replay


def test_what_is_refused_leaves_the_state_alone(tmp_path: Path, written: Any) -> None:
    usable("executorch_xnnpack")
    model = save_fragile(tmp_path / "fragile.xnnpack.pte", promised=3, state=3)
    good, low = torch.full((CHUNK,), 0.25), torch.full((CHUNK,), -1.0)
    holed = good.clone()
    holed[5] = float("nan")
    found, states = written(
        model,
        [
            (good, True),
            (good[:-1], True),
            (torch.cat([good, good[:1]]), True),
            (holed, True),
            (low, True),
            (good[:700], False),
            (good[700:], False),
        ],
    )
    assert found["errors"] == [f"chunk: expected {CHUNK} samples, got {n}" for n in (2559, 2561)]
    assert [verdict["samples"] // CHUNK for verdict in found["verdicts"]] == [1, 1, 1, 2]
    reasons = [verdict["reason"] for verdict in found["verdicts"]]
    assert reasons[1:3] == [REFUSED, "refused: the model gives no finite number for the chunk"]
    np.testing.assert_allclose(states.reshape(4, 3)[:, 0], [0.25, 0.25, 0.25, 0.5], rtol=1e-6)
