"""The command line around parity: options, exit codes, the JSON file, help, missing packages."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from artefact_helpers import Command, assert_refused

from export.parity import run as parity
from export.parity.decisions import Rung
from export.parity.document import parity_json
from export.parity.record import Record

ROOT = Path(__file__).resolve().parents[2]
STATUSES = {"pass", "fail", "waived", "skipped", "not_run"}
RECORD_KEYS = [
    "entry",
    "variant",
    "method",
    "backend",
    "content",
    "status",
    "max_abs_error",
    "tolerance",
    "sqnr_db",
    "bytes",
    "seconds",
    "reason",
    "precision",
]
LADDER_KEYS = {
    "artifact",
    "backend",
    "trials",
    "max_score_error",
    "rank_correlation",
    "flips",
    "delta_eer",
    "delta_eer_ci",
}
PASS = Record("OCSoftmax", "", "score", "trace", "other", "pass", 1e-9, 1e-5, 140.0, 10, 0.1)
FAIL = replace(PASS, variant="two [b]", content="example", status="fail", reason="differs by 1 [x]")


@pytest.fixture(autouse=True)
def no_speech(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SCRIPTABLE_SPEECH", str(tmp_path / "none"))


def test_parity_writes_the_json_of_the_design(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "new" / "parity.json"
    arguments = ("--entry", "OCSoftmax", "--backend", "trace", "--backend", "torchscript")
    ran = command("parity", *arguments, "--json", path)
    assert ran.code == 0, ran
    assert "set SCRIPTABLE_SPEECH" in ran.err
    assert "OCSoftmax" in ran.out
    document = json.loads(path.read_text())
    assert list(document) == ["versions", "records", "ladder"]
    assert document["ladder"] == []
    assert {"torch", "executorch"} <= document["versions"].keys()
    records = document["records"]
    for record in records:
        assert list(record) == RECORD_KEYS
        assert record["entry"] == "OCSoftmax"
        assert record["status"] == "pass" in STATUSES
        assert 0 <= record["max_abs_error"] <= record["tolerance"]
        assert record["bytes"] > 0 and record["seconds"] > 0
    cells = {(r["method"], r["backend"], r["content"]) for r in records}
    assert len(cells) == len({(r["variant"], *c) for r, c in zip(records, cells, strict=False)})
    for method in ("forward", "score"):
        for backend in ("trace", "torchscript"):
            for content in ("example", "other"):
                assert (method, backend, content) in cells
    assert list(path.parent.iterdir()) == [path]


def test_the_ladder_has_the_keys_of_the_design() -> None:
    rung = Rung("a.pt", "trace", 8, 1e-7, 1.0, 0, ("near",), 0.0, (-0.1, 0.1))
    document = json.loads(parity_json([PASS], [rung]))
    [found] = document["ladder"]
    assert found.keys() >= LADDER_KEYS
    assert found["delta_eer_ci"] == [-0.1, 0.1] and found["at_threshold"] == ["near"]


def test_json_never_holds_what_json_cannot() -> None:
    with pytest.raises(ValueError, match="JSON"):
        parity_json([replace(PASS, max_abs_error=math.nan)])


def test_a_failure_gives_exit_code_1_and_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: Command
) -> None:
    monkeypatch.setattr(parity, "run", lambda *arguments: [PASS, FAIL])
    path = tmp_path / "parity.json"
    ran = command("parity", "--json", path)
    assert ran.code == 1
    assert "OCSoftmax[two [b]].score on trace, example: differs by 1 [x]" in ran.err.splitlines()
    assert "OCSoftmax[two [b]].score" in ran.out
    assert "1 pass, 1 fail" in ran.out
    assert [r["status"] for r in json.loads(path.read_text())["records"]] == ["pass", "fail"]


@pytest.mark.parametrize("status", ["waived", "skipped", "not_run"])
def test_gaps_are_no_failures(
    status: str, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    gap = replace(FAIL, status=status)
    monkeypatch.setattr(parity, "run", lambda *arguments: [PASS, gap])
    ran = command("parity")
    assert ran.code == 0
    assert f"1 pass, 1 {status}" in ran.out


def test_unknown_names_are_one_line_that_helps(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "parity.json"
    ran = command("parity", "--entry", "NoSuchLoss", "--json", path)
    assert_refused(ran, "NoSuchLoss", "list")
    ran = command("parity", "--backend", "tflite", "--json", path)
    assert_refused(ran, "backend: expected one of torchscript, trace, lite", "got tflite")
    assert not path.exists()


def test_a_json_file_that_cannot_be_written_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: Command
) -> None:
    monkeypatch.setattr(parity, "run", lambda *arguments: [PASS])
    (tmp_path / "file").write_text("in the way")
    ran = command("parity", "--json", tmp_path / "file" / "parity.json")
    assert ran.code == 2 and ran.out == ""
    assert (
        ran.err.splitlines()[-1]
        == f"error: {tmp_path / 'file' / 'parity.json'}: {tmp_path / 'file'} is not a folder"
    )


@pytest.mark.parametrize("name", ["", "demo", "parity", "score", "vectors", "list"])
def test_help_is_there(name: str, command: Command) -> None:
    ran = command(*([name] if name else []), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Usage" in ran.out
    for said in {"": ("demo", "parity", "score", "list"), "score": ("--json",)}.get(name, ()):
        assert said in ran.out


def test_list_shows_entries_and_backends(command: Command) -> None:
    ran = command("list")
    assert ran.code == 0
    for said in ("OCSoftmax", "ScorePipeline", "executorch_xnnpack", ".mlpackage", ".trace.pt"):
        assert said in ran.out


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_a_missing_command_line_package_says_what_to_install(package: str) -> None:
    blocked = f"import sys, runpy; sys.modules[{package!r}] = None\n"
    ran = run_python(blocked + "runpy.run_module('export', run_name='__main__')")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(f"error: {package}")
    assert ran.stderr.endswith("is not installed: pip install 'scriptable-speech[cli]'\n")
    assert ran.stderr.count("\n") == 1


def test_help_of_a_real_process() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "export", "score", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "--json" in ran.stdout and "artifact" in ran.stdout.lower()
