"""Golden vectors, held against a second implementation of the contract, written from its text."""

import json
import math
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from artefact_helpers import HOP, RATE, WINDOW, Artefacts, Command, assert_refused, eager_score

from export.errors import ArtefactError, InputError
from export.jobs.vectors import cases
from export.runtime.contract import parse
from export.runtime.resampling import resample


def read_pcm16(path: Path) -> tuple[np.ndarray, int]:
    """Mono float64 and the file's rate."""
    with wave.open(str(path)) as file:
        content = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        rate, channels = file.getframerate(), file.getnchannels()
    return (content.reshape(-1, channels) / 32768.0).mean(axis=1), rate


def resample_by_the_text(x: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """The formula of ``export.runtime.contract.Audio``, sample by sample."""
    if source_rate == target_rate:
        return x
    common = math.gcd(source_rate, target_rate)
    o, n = source_rate // common, target_rate // common
    b, w = min(o, n) * 0.99, 6
    y = np.zeros((len(x) * n + o - 1) // o)
    for j in range(len(y)):
        first = max(0, math.floor((j / n - w / b) * o))
        i = np.arange(first, min(len(x), math.ceil((j / n + w / b) * o) + 1))
        t = b * (i * n - j * o) / (o * n)
        h = np.where(np.abs(t) < w, np.sinc(t) * np.cos(np.pi * t / (2 * w)) ** 2, 0.0)
        y[j] = b / o * (x[i] * h).sum()
    return y


def cut_by_the_text(x: np.ndarray, size: int, hop: int) -> list[np.ndarray]:
    """Windows of one length: repeated when short, the last aligned with the end."""
    if len(x) <= size:
        return [np.resize(x, size)]
    windows, start = [], 0
    while start + size <= len(x):
        windows.append(x[start : start + size])
        start += hop
    if start - hop + size < len(x):
        windows.append(x[-size:])
    return windows


@pytest.fixture(scope="module")
def vectors(artefacts: Artefacts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The vectors of the scripted tiny scorer."""
    from export.jobs.vectors import write_vectors
    from export.runtime.scorer import load_scorer

    folder = tmp_path_factory.mktemp("vectors") / "golden"
    write_vectors(load_scorer(artefacts.path("torchscript")), folder)
    return folder


def read_index(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "vectors.json").read_text(encoding="utf-8"))


UNDECIDED = {
    "five_samples": "too short: 0.000 s, at least 0.050 s",
    "full_scale": "clipped: 100.0 % of the samples, at most 10.0 %",
    "full_scale_8000": "clipped: 100.0 %",
    "silence": "too quiet: -200.0 dBFS, at least -60.0",
    "constant": "too quiet: -200.0 dBFS",
    "tone": "a tone: ",
    "quiet": "too quiet: -9",
    "antiphase": "channels cancel: mixing them down loses ",
}
NAMES = [case.name for case in cases(RATE, WINDOW, HOP)]


@pytest.mark.parametrize("name", NAMES)
def test_a_second_implementation_finds_the_same(
    name: str, vectors: Path, artefacts: Artefacts
) -> None:
    index = read_index(vectors)
    (case,) = (case for case in index["cases"] if case["name"] == name)
    mono, rate = read_pcm16(vectors / case["wav"])
    assert (rate, len(mono)) == (case["sample_rate"], case["samples"])
    x = resample_by_the_text(mono, rate, RATE)
    expected = np.stack(cut_by_the_text(x, WINDOW, HOP))
    windows = np.fromfile(vectors / case["windows_file"], dtype="<f4").reshape(-1, WINDOW)
    assert windows.shape == expected.shape == (case["n_windows"], WINDOW)
    np.testing.assert_allclose(windows, expected, rtol=0, atol=2e-7)
    scores = [
        eager_score(artefacts.pipeline, window, [0]) for window in torch.from_numpy(windows.copy())
    ]
    np.testing.assert_allclose(case["window_scores"], scores, rtol=0, atol=1e-5)
    decision = index["contract"]["decision"]
    assert case["threshold"] == decision["threshold"]
    if name in UNDECIDED:
        assert case["decision"] == "undecided"
        assert case["reason"].startswith(UNDECIDED[name])
        assert [case[key] for key in ("score", "llr", "posterior")] == [None] * 3
        return
    assert case["reason"] is None
    assert case["score"] == pytest.approx(math.fsum(case["window_scores"]) / len(scores), abs=1e-12)
    llr = decision["scale"] * case["score"] + decision["offset"]
    odds = math.exp(llr) * decision["prior"] / (1 - decision["prior"])
    assert case["llr"] == pytest.approx(llr, abs=1e-12)
    assert case["posterior"] == pytest.approx(odds / (1 + odds), abs=1e-12)
    assert case["decision"] == ("bonafide" if llr >= decision["threshold"] else "spoof")


def test_the_cases_are_the_hard_ones(vectors: Path) -> None:
    found = {case["name"]: case for case in read_index(vectors)["cases"]}
    assert list(found) == NAMES
    assert {(c["sample_rate"], c["channels"]) for c in found.values()} == {
        (16000, 1),
        (16000, 2),
        (44100, 2),
        (48000, 2),
        (8000, 1),
    }
    assert [found[name]["n_windows"] for name in ("mono", "one_window")] == [2, 1]
    assert found["tone"]["n_windows"] == 1
    assert found["shorter_than_a_window"]["samples"] < WINDOW
    assert (found["no_multiple_of_the_hop"]["samples"] - WINDOW) % HOP != 0
    assert found["no_multiple_of_the_hop"]["n_windows"] == 2
    assert found["stereo_44100"]["samples"] * 160 % 441 == 1
    samples, _ = soundfile.read(vectors / "full_scale.wav", dtype="int16")
    assert (samples.min(), samples.max()) == (-32768, 32767)
    stereo, _ = soundfile.read(vectors / "stereo_44100.wav", dtype="int16")
    assert (stereo[:, 0] != stereo[:, 1]).any()
    assert np.abs(stereo).max() == round(0.7 * 32767)
    overshoot = np.fromfile(vectors / "full_scale_8000.f32", dtype="<f4")
    assert np.abs(overshoot).max() > 1.05
    scores = [case["window_scores"][0] for case in found.values()]
    assert len({round(score, 4) for score in scores}) > 6
    assert {case["decision"] for case in found.values()} > {"undecided"}


def test_the_contract_is_the_artefacts(vectors: Path, artefacts: Artefacts) -> None:
    text = json.dumps(read_index(vectors)["contract"])
    assert parse(text, "vectors") == artefacts.scorer("torchscript").contract


def test_the_same_twice_and_over_what_was_there(
    vectors: Path, artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    folder = tmp_path / "again"
    for _ in range(2):
        ran = command("vectors", artefacts.path("torchscript"), "--out", folder)
        assert ran.code == 0, ran.err
    assert ran.out.split() == [str(len(NAMES)), "recordings", "in", str(folder)]
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in vectors.iterdir())
    for path in vectors.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes(), path.name
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_a_folder_with_something_else_is_left_alone(
    artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    ran = command("vectors", artefacts.path("torchscript"), "--out", tmp_path)
    assert_refused(ran, "contains no vectors")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    ran = command("vectors", artefacts.path("torchscript"), "--out", tmp_path / "thesis.txt")
    assert_refused(ran, "contains no vectors")


def test_no_scorer_leaves_no_folder(tmp_path: Path, command: Command) -> None:
    text = tmp_path / "model.pte"
    text.write_text("no program")
    assert_refused(command("vectors", text, "--out", tmp_path / "vectors"))
    assert not (tmp_path / "vectors").exists()


@pytest.mark.parametrize("length", [353128, 352800, 353129])
def test_resampled_length_is_exact_where_float32_is_not(length: int) -> None:
    """353128·160/441 = 128119.002: in float32 it is the whole number below."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(length, generator=generator)
    resampled = resample(noise, 44100, 16000)
    assert resampled.dtype == torch.float32
    assert len(resampled) == -(-length * 160 // 441)
    tail = resample_by_the_text(noise[-4410:].double().numpy(), 44100, 16000)
    if length % 441 == 0:
        np.testing.assert_allclose(resampled[-1000:].numpy(), tail[-1000:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_is_the_formula(rate: int) -> None:
    generator = torch.Generator().manual_seed(4)
    noise = torch.randn(3001, generator=generator)
    expected = resample_by_the_text(noise.double().numpy(), rate, 16000)
    resampled = resample(noise, rate, 16000)
    np.testing.assert_allclose(resampled.numpy(), expected, rtol=0, atol=1e-6)


def test_a_rate_far_too_low_is_refused() -> None:
    with pytest.raises(InputError, match="999 Hz cannot be resampled"):
        resample(torch.zeros(10), 999, 16000)
    assert len(resample(torch.zeros(10), 1000, 16000)) == 160


@pytest.mark.parametrize(
    ("field", "value"),
    [("pcm16_divisor", 32767), ("resampler_lowpass_filter_width", 16), ("resampler_rolloff", 0.95)],
)
def test_a_contract_that_no_code_here_keeps_is_refused(
    field: str, value: float, artefacts: Artefacts
) -> None:
    document = artefacts.contract.model_dump(mode="json")
    document["audio"][field] = value
    with pytest.raises(ArtefactError, match=f"audio.{field}"):
        parse(json.dumps(document), "name")
