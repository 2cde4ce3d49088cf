"""Bad input is one line and exit code 2, with and without the sanitizers."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from artefact_helpers import (
    RATE,
    WINDOW,
    Artefacts,
    assert_refused,
    contract_of,
    save_as,
    tiny_pipeline,
    voice,
    write_wav,
)
from native_helpers import VERIFIED, Program

from export.backends._seal import seal

Make = Callable[[Path, bytes], object]


@pytest.fixture(params=["spoof_score", "sanitized"])
def program(request: pytest.FixtureRequest) -> Program:
    found: Program = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "voice.wav", voice(6000))


MODELS: dict[str, tuple[Make, str]] = {
    "text": (lambda path, model: path.write_text("no program at all\n" * 9), "not an ExecuTorch"),
    "empty": (lambda path, model: path.write_bytes(b""), "not an ExecuTorch program"),
    "magic only": (lambda path, model: path.write_bytes(model[:9]), "truncated"),
    "header only": (lambda path, model: path.write_bytes(model[:64]), "truncated"),
    "half": (lambda path, model: path.write_bytes(model[: len(model) // 2]), "truncated"),
    "one byte short": (lambda path, model: path.write_bytes(model[:-1]), "truncated"),
    "garbled": (lambda path, model: path.write_bytes(model[:64] + bytes(len(model) - 64)), "load"),
    "folder": (lambda path, model: path.mkdir(), "is a directory"),
    "missing": (lambda path, model: None, "no such file"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_files_that_are_no_model(
    kind: str, artefacts: Artefacts, tmp_path: Path, wav: Path, program: Program
) -> None:
    make, said = MODELS[kind]
    path = tmp_path / "bad.pte"
    make(path, artefacts.path("executorch_xnnpack").read_bytes())
    assert_refused(program(path, wav), str(path), said)


def test_a_damaged_name_is_quoted_in_one_printable_line(
    artefacts: Artefacts, tmp_path: Path, wav: Path, program: Program
) -> None:
    content = artefacts.path("executorch_portable").read_bytes()
    assert b"aten::convolution" in content
    path = tmp_path / "damaged.pte"
    path.write_bytes(content.replace(b"aten::convolution", b"aten::\x90\xff\nvolution"))
    seal(path)
    ran = program(path, wav)
    assert_refused(ran, str(path), "cannot be loaded")
    assert ran.err.strip().isprintable()


def changed(*names: str, value: object = None) -> Callable[[dict[str, Any]], str]:
    """The contract with one field set, or without it."""

    def change(document: dict[str, Any]) -> str:
        part = document
        for name in names[:-1]:
            part = part[name]
        if value is None:
            del part[names[-1]]
        else:
            part[names[-1]] = value
        return json.dumps(document)

    return change


CONTRACTS: dict[str, tuple[Callable[[dict[str, Any]], str], str]] = {
    "none": (lambda document: "", "has no score contract"),
    "no JSON": (lambda document: "{nonsense", "is not a JSON document"),
    "a list": (lambda document: "[]", "expected an object"),
    "newer": (changed("schema_version", value=3), "schema_version"),
    "no decision": (changed("decision"), "decision: is missing"),
    "another task": (changed("task", value="verification"), "task"),
    "a field that is not known": (changed("windows", "vad", value="energy"), "windows.vad"),
    "another tail": (changed("windows", "tail", value="drop"), "windows.tail"),
    "another filter": (changed("audio", "resampler_rolloff", value=0.9), "resampler_rolloff"),
    "no threshold": (changed("decision", "threshold"), "decision.threshold: is missing"),
    "text for a number": (changed("decision", "scale", value="1"), "decision.scale"),
    "a prior of one": (changed("decision", "prior", value=1.0), "decision.prior"),
    "a hop of nothing": (changed("windows", "hop", value=0), "windows.hop"),
    "half a hop": (changed("windows", "hop", value=1.5), "windows.hop"),
    "windows of another size": (changed("windows", "num_samples", value=WINDOW + 1), "forward"),
    "windows without end": (changed("windows", "num_samples", value=10**15), "num_samples"),
}


@pytest.mark.parametrize("kind", CONTRACTS)
def test_models_whose_contract_cannot_be_kept(
    kind: str, tmp_path: Path, wav: Path, spoof_score: Program, sanitized: Program
) -> None:
    make, said = CONTRACTS[kind]
    pipeline = tiny_pipeline()
    text = make(contract_of(pipeline).model_dump(mode="json"))
    path = save_as("executorch_portable", pipeline, text, tmp_path / "bad.portable.pte")
    assert_refused(spoof_score(path, wav), str(path), said)
    assert_refused(sanitized(path, wav), str(path), said)


def streaming_rate(content: bytes, rate: int) -> bytes:
    return content[:24] + struct.pack("<I", rate) + content[28:]


WAVS: dict[str, tuple[Make, str]] = {
    "ends early": (lambda path, wav: path.write_bytes(wav[:-1000]), "truncated, 1000 bytes"),
    "header only": (lambda path, wav: path.write_bytes(wav[:44]), "truncated"),
    "half a header": (lambda path, wav: path.write_bytes(wav[:20]), "not readable as audio"),
    "text": (lambda path, wav: path.write_text("la la la\n" * 99), "not readable as audio"),
    "empty": (lambda path, wav: path.write_bytes(b""), "is empty"),
    "folder": (lambda path, wav: path.mkdir(), "is a directory"),
    "missing": (lambda path, wav: None, "no such file"),
    "no samples": (lambda path, wav: soundfile.write(path, np.zeros(0), RATE), "no samples"),
    "not a number": (
        lambda path, wav: soundfile.write(path, np.full(99, np.nan), RATE, subtype="FLOAT"),
        "NaN or infinite",
    ),
    "one hertz": (lambda path, wav: path.write_bytes(streaming_rate(wav, 1)), "resampled"),
    "odd rate": (lambda path, wav: path.write_bytes(streaming_rate(wav, 15991)), "resampled"),
}


@pytest.mark.parametrize("kind", WAVS)
def test_files_that_are_no_recording(
    kind: str, artefacts: Artefacts, tmp_path: Path, wav: Path, program: Program
) -> None:
    make, said = WAVS[kind]
    path = tmp_path / "bad.wav"
    make(path, wav.read_bytes())
    model = artefacts.path("executorch_xnnpack")
    ran = program("--json", model, path, wav)
    assert ran.code == 2
    bad, good = json.loads(ran.out)
    assert [bad[key] for key in ("file", "score", "llr", "decision")] == [str(path), *3 * [None]]
    assert bad["error"].startswith(f"{path}: ") and said in bad["error"]
    # A good file behind a bad one is scored all the same.
    assert good["score"] is not None and good["error"] is None
    assert ran.err.splitlines() == [VERIFIED, f"error: {bad['error']}"]


def test_a_score_that_is_not_finite(tmp_path: Path, wav: Path, program: Program) -> None:
    pipeline = tiny_pipeline()
    with torch.no_grad():
        for parameter in pipeline.head.parameters():
            parameter.fill_(float("nan"))
    text = contract_of(pipeline).model_dump_json()
    path = save_as("executorch_portable", pipeline, text, tmp_path / "bad.portable.pte")
    ran = program(path, wav)
    assert ran.code == 2 and len(ran.out.splitlines()) == 1
    assert ran.err.splitlines() == [VERIFIED, f"error: {wav}: its score is not finite"]


def test_a_flipped_bit_is_told_before_the_runtime_sees_it(
    artefacts: Artefacts, tmp_path: Path, wav: Path, program: Program
) -> None:
    """One byte, set to 0, crashed XNNPACK: the digest is checked before."""
    content = bytearray(artefacts.path("executorch_xnnpack").read_bytes())
    path = tmp_path / "flipped.pte"
    for place in (58, len(content) // 3, len(content) - 20):
        flipped = bytearray(content)
        flipped[place] ^= 1
        path.write_bytes(flipped)
        assert_refused(program(path, wav), str(path), "damaged: its sha256 is ")


def test_a_version_1_file_scores_with_a_note(
    artefacts: Artefacts, tmp_path: Path, wav: Path, program: Program
) -> None:
    document = artefacts.contract.document() | {"schema_version": 1}
    for name in ("guards", "precision", "notes", "file_sha256"):
        del document[name]
    path = tmp_path / "old.xnnpack.pte"
    save_as("executorch_xnnpack", artefacts.pipeline, json.dumps(document), path)
    silent = write_wav(tmp_path / "silent.wav", torch.zeros(6000))
    ran = program("--json", path, wav, silent)
    assert ran.code == 0, ran.err
    assert ran.err == "note: file not verified, a contract of version 1 has no digest of it\n"
    assert all(entry["score"] is not None for entry in json.loads(ran.out))


def test_undecided_is_no_error(
    artefacts: Artefacts, tmp_path: Path, wav: Path, program: Program
) -> None:
    silent = write_wav(tmp_path / "silent.wav", torch.zeros(6000))
    loud = write_wav(tmp_path / "loud.wav", 9000 * voice(6000), subtype="FLOAT")
    model = artefacts.path("executorch_xnnpack")
    ran = program("--json", model, silent, loud, wav)
    assert ran.code == 0, ran.err
    first, second, third = json.loads(ran.out)
    assert (first["decision"], first["score"]) == ("undecided", None)
    assert first["reason"] == "too quiet: -200.0 dBFS, at least -60.0 are needed"
    assert second["reason"].startswith("out of scale: samples up to ")
    assert third["decision"] in ("bonafide", "spoof")
    assert "undecided" in program(model, silent).out.splitlines()[1]


@pytest.mark.parametrize(
    "words",
    [
        ["model.pte"],
        [],
        ["--threads", "0", "model.pte", "a.wav"],
        ["--threads", "two", "model.pte", "a.wav"],
        ["--threads", "1x", "model.pte", "a.wav"],
        ["--threads"],
        ["--jsn", "model.pte", "a.wav"],
    ],
)
def test_usage(words: list[str], program: Program) -> None:
    assert_refused(program(*words))
