"""From an audio file to a decision with a saved artefact, and the command that does it."""

import json
import math
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from artefact_helpers import (
    HOP,
    OFFSET,
    PRIOR,
    RATE,
    RUNNABLE,
    SCALE,
    THRESHOLD,
    WINDOW,
    Artefacts,
    Command,
    contract_of,
    eager_score,
    tiny_pipeline,
    usable,
    voice,
    write_wav,
)
from torch import Tensor

from export.backends import Artefact, Inputs
from export.errors import ArtefactError
from export.runtime.audio import read_waveform
from export.runtime.scorer import Scorer

KEYS = ["file", "score", "llr", "posterior", "threshold", "decision", "reason", "error"]

# Length of the audio → where its windows of 4000 samples begin at a hop of 1500.
LENGTHS = {
    WINDOW: [0],
    WINDOW + 1: [0, 1],
    WINDOW + HOP: [0, 1500],
    7200: [0, 1500, 3000, 3200],
    11500: [0, 1500, 3000, 4500, 6000, 7500],
}


class Spy(Artefact):
    """Gives the mean of a window, and keeps the windows."""

    def __init__(self) -> None:
        self.windows: list[Tensor] = []

    def run(self, method: str, inputs: Inputs) -> Inputs:
        assert method == "forward"
        self.windows.append(inputs[0])
        return (inputs[0].mean(1),)

    def contract(self) -> str:
        return ""


@pytest.fixture
def spy() -> Spy:
    return Spy()


@pytest.fixture
def scorer(spy: Spy) -> Scorer:
    return Scorer(spy, contract_of(tiny_pipeline()))


@pytest.mark.parametrize("length", LENGTHS)
def test_long_audio_is_cut_and_averaged(scorer: Scorer, spy: Spy, length: int) -> None:
    waveform = torch.arange(float(length)) / length
    score = scorer.score_waveform(waveform)
    assert [window.shape for window in spy.windows] == [(1, WINDOW)] * len(LENGTHS[length])
    assert [round(float(window[0, 0] * length)) for window in spy.windows] == LENGTHS[length]
    means = [(start + (WINDOW - 1) / 2) / length for start in LENGTHS[length]]
    assert score == pytest.approx(sum(means) / len(means), abs=1e-6)


@pytest.mark.parametrize("length", [1, 3, 1333, 2000, WINDOW - 1])
def test_short_audio_is_repeated_from_its_start(scorer: Scorer, spy: Spy, length: int) -> None:
    waveform = torch.arange(float(length))
    scorer.score_waveform(waveform)
    expected = [float(sample % length) for sample in range(WINDOW)]
    assert [window.tolist() for window in spy.windows] == [[expected]]


class Broken(Spy):
    def __init__(self, result: float | Exception) -> None:
        super().__init__()
        self.result = result

    def run(self, method: str, inputs: Inputs) -> Inputs:
        if isinstance(self.result, Exception):
            raise self.result
        return (torch.tensor([self.result]),)


@pytest.mark.parametrize("result", [math.nan, math.inf, RuntimeError("first\nlast"), KeyError()])
def test_a_runtime_that_fails_is_an_error_of_the_artefact(result: float | Exception) -> None:
    scorer = Scorer(Broken(result), contract_of(tiny_pipeline()), name="a.pte")
    with pytest.raises(ArtefactError, match=r"^a\.pte: ") as caught:
        scorer.score_waveform(torch.zeros(WINDOW))
    assert "\n" not in str(caught.value)


# All formats.


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_format_gives_eagers_score(artefacts: Artefacts, name: str) -> None:
    tolerance = usable(name).tolerance
    for length, starts in LENGTHS.items():
        waveform = voice(length, seed=length % 7)
        expected = eager_score(artefacts.pipeline, waveform, starts)
        assert artefacts.scorer(name).score_waveform(waveform) == pytest.approx(
            expected, abs=tolerance
        )
    short = voice(1700)
    repeated = torch.cat([short, short, short])[:WINDOW]
    expected = eager_score(artefacts.pipeline, repeated, [0])
    assert artefacts.scorer(name).score_waveform(short) == pytest.approx(expected, abs=tolerance)


def test_the_scores_of_the_tiny_scorer_differ(artefacts: Artefacts) -> None:
    # Else the test above could not fail.
    scores = [eager_score(artefacts.pipeline, voice(WINDOW, seed=seed), [0]) for seed in range(6)]
    assert max(scores) - min(scores) > 0.01


@pytest.mark.parametrize("name", RUNNABLE)
def test_stereo_at_another_rate_is_mixed_down_and_resampled(
    artefacts: Artefacts, name: str, tmp_path: Path, command: Command
) -> None:
    left, right = voice(16000, rate=44100), voice(16000, pitch=190.0, seed=3, rate=44100)
    path = write_wav(tmp_path / "stereo.wav", torch.stack([left, right], 1), 44100, "FLOAT")
    ran = command("score", artefacts.path(name), path, "--json")
    assert ran.code == 0
    assert ran.err.splitlines()[1:] == [
        f"note: {path}: mixed down from 2 channels",
        f"note: {path}: resampled from 44100 Hz",
    ]
    waveform = read_waveform(path, RATE).waveform
    assert len(waveform) == math.ceil(16000 * 160 / 441)
    starts = [0, 1500, len(waveform) - WINDOW]
    expected = eager_score(artefacts.pipeline, waveform, starts)
    [result] = json.loads(ran.out)
    assert result["score"] == pytest.approx(expected, abs=usable(name).tolerance)


def test_formats_decide_alike(artefacts: Artefacts) -> None:
    files = [voice(WINDOW + 700 * seed, 100 + 20.0 * seed, seed) for seed in range(6)]
    scores = {
        name: [artefacts.scorer(name).score_waveform(waveform) for waveform in files]
        for name in RUNNABLE
        if not usable(name).unavailable()
    }
    # A threshold in the middle of the scores, away from each of them.
    ordered = sorted(scores["torchscript"])
    middle = (ordered[2] + ordered[3]) / 2
    assert ordered[3] - ordered[2] > 2e-3
    contract = contract_of(tiny_pipeline(), threshold=SCALE * middle + OFFSET)
    decisions = {
        name: tuple(contract.decide(contract.llr(score)) for score in found)
        for name, found in scores.items()
    }
    assert set(decisions.values()) == {decisions["torchscript"]}
    assert sorted(decisions["torchscript"]) == ["bonafide"] * 3 + ["spoof"] * 3


# The command.


@pytest.mark.parametrize("name", RUNNABLE)
def test_json_is_pure_and_has_exactly_the_keys(
    artefacts: Artefacts, name: str, tmp_path: Path, command: Command
) -> None:
    paths = [write_wav(tmp_path / f"{i}.wav", voice(3000 + 2000 * i, seed=i)) for i in range(3)]
    ran = command("score", artefacts.path(name), *paths, "--json")
    assert ran.code == 0
    results = json.loads(ran.out)
    assert [result["file"] for result in results] == list(map(str, paths))
    for result in results:
        assert list(result) == KEYS
        assert result["llr"] == pytest.approx(SCALE * result["score"] + OFFSET)
        odds = math.exp(result["llr"]) * PRIOR / (1 - PRIOR)
        assert result["posterior"] == pytest.approx(odds / (1 + odds))
        assert result["threshold"] == THRESHOLD
        assert result["decision"] == ("bonafide" if result["llr"] >= THRESHOLD else "spoof")


def test_the_table_shows_what_the_json_says(
    artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    path = write_wav(tmp_path / "a [b].wav", voice(5000))
    [result] = json.loads(command("score", artefacts.path("trace"), path, "--json").out)
    table = command("score", artefacts.path("trace"), path).out
    assert str(path) in table
    for key in ("score", "llr", "posterior"):
        assert f"{result[key]:.4f}" in table
    assert result["decision"] in table


def test_flac_scores_as_wav_does(artefacts: Artefacts, tmp_path: Path, command: Command) -> None:
    paths = [tmp_path / "a.wav", tmp_path / "a.flac"]
    for path in paths:
        soundfile.write(path, (voice(5000).numpy() * 32767).astype(np.int16), RATE)
    ran = command("score", artefacts.path("torchscript"), *paths, "--json")
    first, second = json.loads(ran.out)
    assert first["score"] == second["score"]


def bad_audio(kind: str, path: Path) -> None:
    """Write a file of one bad kind, or none."""
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "no samples":
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
    elif kind == "text":
        path.write_text("this is a transcript, not a recording\n")
    elif kind == "truncated":
        write_wav(path, voice(5000))
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "header only":
        path.write_bytes(b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt ")
    elif kind in ("nan", "inf"):
        samples = voice(5000).numpy().copy()
        samples[1234] = np.nan if kind == "nan" else np.inf
        soundfile.write(path, samples, RATE, subtype="FLOAT")
    elif kind == "folder":
        path.mkdir()
    else:
        assert kind == "missing"


BAD = {
    "missing": "no such file",
    "empty": "is empty (0 bytes)",
    "no samples": "contains no samples",
    "text": "not readable as audio",
    "truncated": "truncated",
    "header only": "not readable as audio",
    "nan": "contains NaN or infinite samples",
    "inf": "contains NaN or infinite samples",
    "folder": "is a directory",
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("option", [(), ("--json",)])
def test_bad_audio_is_one_line_that_names_the_file(
    artefacts: Artefacts, kind: str, option: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    good = write_wav(tmp_path / "good.wav", voice(5000))
    bad = tmp_path / "bad.wav"
    bad_audio(kind, bad)
    artefact = artefacts.path("torchscript")
    for files in ((bad,), (good, bad, good)):
        # The others are scored all the same, and what is on stdout is whole.
        ran = command("score", artefact, *files, *option)
        assert ran.code == 2
        (_, line) = ran.err.splitlines()
        assert line.startswith(f"error: {bad}: {BAD[kind]}") and ";" in line
        assert "Traceback" not in line
        if option:
            found = json.loads(ran.out)
            assert [entry["file"] for entry in found] == [str(path) for path in files]
            assert [entry["error"] is None for entry in found] == [p is good for p in files]
            assert all((e["score"] is None) == (e["error"] is not None) for e in found)
        else:
            assert ran.out.count(str(good)) == files.count(good) and str(bad) not in ran.out


def test_missing_arguments_are_bad_usage(artefacts: Artefacts, command: Command) -> None:
    for arguments in (("score",), ("score", artefacts.path("torchscript")), ("no-such",)):
        ran = command(*arguments)
        assert (ran.code, ran.out) == (2, "")
        assert "Usage" in ran.err and "Traceback" not in ran.err
