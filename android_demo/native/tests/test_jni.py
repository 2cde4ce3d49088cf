"""The shim for the JVM, called from Java."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from artefact_helpers import WINDOW, Artefacts, usable, voice
from native_helpers import built
from stream_helpers import CHUNK, save_stream

from export.jobs.vectors import write_vectors
from export.runtime.contract import parse
from export.runtime.scorer import load_scorer
from export.runtime.stream import load_stream_scorer

SOURCE = Path(__file__).with_name("NativeEngine.java")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("javac") is None:
        pytest.skip("javac is not installed: apt-get install default-jdk-headless")
    folder = tmp_path_factory.mktemp("classes")
    subprocess.run(["javac", "-d", str(folder), str(SOURCE)], check=True)
    return folder


def java(classes: Path, *words: object) -> str:
    library = built("native", "libspoof_jni.so")
    command = ["java", "-Xcheck:jni", f"-Djava.library.path={library.parent}", "-cp", classes]
    ran = subprocess.run(
        [*map(str, command), "org.scriptable.host.NativeEngine", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_scores_and_contract(classes: Path, artefacts: Artefacts, tmp_path: Path) -> None:
    # Beyond the letters that JNI's own strings have in common with UTF-8.
    model = tmp_path / "grüße 🎙.xnnpack.pte"
    shutil.copy(artefacts.path("executorch_xnnpack"), model)
    write_vectors(load_scorer(model), tmp_path / "vectors")
    index = json.loads((tmp_path / "vectors" / "vectors.json").read_text())
    (case,) = (case for case in index["cases"] if case["name"] == "stereo_44100")
    windows = tmp_path / "vectors" / case["windows_file"]
    lines = java(classes, model, tmp_path / "contract", windows, WINDOW).splitlines()
    found = [float(line) for line in lines[: case["n_windows"]]]
    np.testing.assert_allclose(found, case["window_scores"], rtol=0, atol=1e-5)
    text = (tmp_path / "contract").read_bytes().decode("utf-8")
    assert parse(text, "x") == load_scorer(model).contract
    assert lines[case["n_windows"] :] == refusals(1, WINDOW)


def refusals(inputs: int, size: int) -> list[str]:
    refused = "java.lang.IllegalArgumentException: "
    return [
        f"{refused}inputs: expected {inputs}, got {inputs + 1}",
        f"{refused}input 0: expected {size} numbers, got {size - 1}",
        f"{refused}input 0: contains NaN or infinity",
    ]


def test_a_stream_hands_its_state_on(classes: Path, tmp_path: Path) -> None:
    usable("executorch_xnnpack")
    model = save_stream("executorch_xnnpack", tmp_path / "stream.xnnpack.pte")
    scorer = load_stream_scorer(model)
    heard = voice(7 * CHUNK)
    heard.numpy().astype("<f4").tofile(tmp_path / "heard")
    state = scorer.contract.stream.state_size
    lines = java(
        classes, model, tmp_path / "contract", tmp_path / "heard", CHUNK, state
    ).splitlines()
    expected = scorer.raw_scores(heard).tolist()
    np.testing.assert_allclose([float(line) for line in lines[:7]], expected, rtol=0, atol=1e-5)
    assert lines[7:] == refusals(2, CHUNK)


def test_bad_models_are_one_line(classes: Path, artefacts: Artefacts, tmp_path: Path) -> None:
    model = tmp_path / "bad.pte"
    model.write_bytes(artefacts.path("executorch_xnnpack").read_bytes()[:-5])
    said = java(classes, model)
    assert said.startswith(f"java.io.IOException: {model}: truncated, ")
    assert len(said.splitlines()) == 1
    missing = tmp_path / "🎙.pte"
    assert java(classes, missing) == f"java.io.IOException: {missing}: no such file\n"
