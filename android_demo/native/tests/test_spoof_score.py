"""``spoof_score`` is ``python -m export score``: the same numbers, decisions and JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from artefact_helpers import RATE, Artefacts, Command, assert_refused, voice
from native_helpers import VERIFIED, Program
from test_verify import Made

SAME_RATE, RESAMPLED = 1e-5, 1e-4
KEYS = ["file", "score", "llr", "posterior", "threshold", "decision", "reason", "error"]


def assert_equal(found: list[dict[str, Any]], expected: list[dict[str, Any]], tolerance: float):
    assert [list(entry) for entry in found] == [KEYS] * len(expected)
    assert [entry["file"] for entry in found] == [entry["file"] for entry in expected]
    assert [entry["decision"] for entry in found] == [entry["decision"] for entry in expected]
    assert [entry["threshold"] for entry in found] == [entry["threshold"] for entry in expected]
    assert [entry["error"] for entry in found] == [None] * len(expected)
    for entry, reference in zip(found, expected, strict=True):
        if reference["score"] is None:
            # Through resampling the last digit may differ.
            same = entry == reference if tolerance == SAME_RATE else entry["score"] is None
            assert same, (entry, reference)
            continue
        assert entry["reason"] is None
        assert entry["score"] == pytest.approx(reference["score"], abs=tolerance, rel=0)
        # The demo's and the tests' scale is below 10, and a posterior moves less than its LLR.
        assert entry["llr"] == pytest.approx(reference["llr"], abs=10 * tolerance, rel=0)
        assert entry["posterior"] == pytest.approx(reference["posterior"], abs=10 * tolerance)


def test_equals_python_on_speech(
    model: Path, speech: list[Path], spoof_score: Program, command: Command
) -> None:
    ran = spoof_score("--json", model, *speech)
    assert (ran.code, ran.err) == (0, f"{VERIFIED}\n")
    reference = command("score", model, *speech, "--json")
    assert reference.code == 0, reference.err
    assert_equal(json.loads(ran.out), json.loads(reference.out), SAME_RATE)


def test_the_full_model_decides_both_ways(
    full: Path, speech: list[Path], spoof_score: Program
) -> None:
    decisions = [r["decision"] for r in json.loads(spoof_score("--json", full, *speech).out)]
    assert decisions.count("spoof") == len(decisions) // 2
    assert set(decisions) == {"spoof", "bonafide"}


def test_equals_the_golden_vectors(vectors: Path, model: Path, spoof_score: Program) -> None:
    index = json.loads((vectors / "vectors.json").read_text(encoding="utf-8"))
    for case in index["cases"]:
        ran = spoof_score("--json", model, vectors / case["wav"])
        assert ran.code == 0, ran.err
        same_rate = case["sample_rate"] == index["contract"]["audio"]["sample_rate"]
        expected = {"file": str(vectors / case["wav"]), "error": None}
        expected |= {key: case[key] for key in KEYS[1:-1]}
        assert_equal(json.loads(ran.out), [expected], SAME_RATE if same_rate else RESAMPLED)
        notes = [f"mixed down from {case['channels']} channels"] * (case["channels"] > 1)
        notes += [f"resampled from {case['sample_rate']} Hz"] * (not same_rate)
        said = [f"note: {expected['file']}: {note}" for note in notes]
        assert ran.err.splitlines() == [VERIFIED, *said]


@pytest.mark.parametrize(
    ("name", "subtype", "channels", "rate"),
    [
        ("eight_bit.wav", "PCM_U8", 1, 16000),
        ("three_bytes.wav", "PCM_24", 2, 16000),
        ("four_bytes.wav", "PCM_32", 1, 22050),
        ("float.wav", "FLOAT", 3, 11025),
        ("double.wav", "DOUBLE", 1, 16000),
        ("a law.wav", "ALAW", 1, 8000),
        ("free.flac", "PCM_16", 2, 32000),
    ],
)
def test_equals_python_on_other_formats(
    name: str,
    subtype: str,
    channels: int,
    rate: int,
    artefacts: Artefacts,
    tmp_path: Path,
    spoof_score: Program,
    command: Command,
) -> None:
    path = tmp_path / name
    sound = torch.stack([voice(rate // 2 + 1, seed=c, rate=rate) for c in range(channels)], 1)
    soundfile.write(path, sound.numpy(), rate, subtype=subtype)
    model = artefacts.path("executorch_xnnpack")
    ran, reference = spoof_score("--json", model, path), command("score", model, path, "--json")
    assert ran.code == reference.code == 0, (ran, reference)
    assert_equal(json.loads(ran.out), json.loads(reference.out), SAME_RATE)
    # The first says what was verified, and Python names the backend.
    assert ran.err.splitlines() == [VERIFIED, *reference.err.splitlines()[1:]]


def test_a_streamed_wav_without_a_length_is_read(
    artefacts: Artefacts, tmp_path: Path, spoof_score: Program, command: Command
) -> None:
    path = tmp_path / "streamed.wav"
    soundfile.write(path, voice(6000).numpy(), RATE, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    model = artefacts.path("executorch_xnnpack")
    reference = command("score", model, path, "--json")
    assert_equal(
        json.loads(spoof_score("--json", model, path).out), json.loads(reference.out), SAME_RATE
    )


@pytest.mark.parametrize("task", ["sasv", "sasv_plda", "verification"])
def test_speaker_models(task: str, tmp_path: Path, spoof_score: Program, command: Command) -> None:
    """Of a SASV artefact the spoofing half is scored; a verifier is none of this program's."""
    model = Made(tmp_path).path(task, "executorch_xnnpack")
    path = tmp_path / "voice.wav"
    soundfile.write(path, voice(9000).numpy(), RATE)
    ran = spoof_score("--json", model, path)
    if task == "verification":
        return assert_refused(ran, "task", '"verification"')
    reference = command("score", model, path, "--json")
    assert_equal(json.loads(ran.out), json.loads(reference.out), SAME_RATE)


def test_threads_change_nothing_but_the_time(
    full: Path, speech: list[Path], spoof_score: Program
) -> None:
    one, two = (spoof_score("--json", "--threads", n, full, *speech[:3]) for n in (1, 2))
    assert one.code == two.code == 0, (one, two)
    scores = [[entry["score"] for entry in json.loads(ran.out)] for ran in (one, two)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=0, atol=1e-6)
    assert spoof_score("--json", full, *speech[:3]).out == one.out


def test_the_table_has_a_line_for_each_file(
    artefacts: Artefacts, vectors: Path, spoof_score: Program
) -> None:
    files = sorted(vectors.glob("*.wav"))
    ran = spoof_score(artefacts.path("executorch_xnnpack"), *files)
    assert ran.code == 0
    lines = ran.out.splitlines()[1:]
    assert len(lines) == len(files)
    assert all(f"  {path}" in line for path, line in zip(files, lines, strict=True))


def test_help(spoof_score: Program) -> None:
    ran = spoof_score("--help")
    assert (ran.code, ran.err) == (0, "") and ran.out.startswith("usage: spoof_score")
