"""``task: verification``: a verifier of one's own, its cohort and its trial list."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from artefact_helpers import Command, assert_refused, voice, write_wav
from network_helpers import NETS

from export.jobs import steps as shared
from export.metrics.score_files import read_scores
from export.runtime.contract import VerificationContract
from export.runtime.verifier import load_verifier

TWO = ("--backend", "torchscript", "--backend", "torch_export")
PITCHES = {"anna": 210.0, "bert": 95.0, "cleo": 150.0, "dana": 250.0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Recordings of four voices, a trial list of all pairs, and a configuration."""
    monkeypatch.setenv("SCRIPTABLE_SPEECH", str(tmp_path / "none"))
    monkeypatch.setattr(shared, "use_one_thread", lambda: None)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "their_net.py").write_text(NETS)
    names = []
    for number, (speaker, pitch) in enumerate(PITCHES.items()):
        for k in range(2):
            names.append(f"{speaker}/{k}")
            wave = voice(9000, pitch + k, 10 * number)
            write_wav(tmp_path / "audio" / f"{speaker}" / f"{k}.wav", wave)
    lines = [
        f"{a} {b} {'target' if a.split('/')[0] == b.split('/')[0] else 'nontarget'}\n"
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]
    (tmp_path / "trials.txt").write_text("".join(lines))
    yield tmp_path
    sys.modules.pop("their_net", None)


def config(folder: Path, more: str = "") -> Path:
    path = folder / "verifier.yaml"
    path.write_text(
        "task: verification\n"
        "frontend: {type: LogMel, n_mels: 8, n_fft: 512, center: false}\n"
        "encoder: {type: their_net.TimeFirst, input: BTF}\n"
        f"window: {{num_samples: 4000}}\n{more}"
    )
    return path


def trials(folder: Path) -> tuple[str, ...]:
    return "--protocol", str(folder / "trials.txt"), "--audio", str(folder / "audio")


def test_a_verifier_is_calibrated_and_its_files_verify(folder: Path, command: Command) -> None:
    out = folder / "out"
    options = ("--out", out, *TWO, *trials(folder), "--calibrate")
    ran = command("model", config(folder), *options)
    assert ran.code == 0, ran
    verifier = load_verifier(out / "verifier.pt2")
    contract = verifier.contract
    assert isinstance(contract, VerificationContract)
    assert contract.scoring.embedding_dim == 6 and contract.scoring.normalisation == "none"
    assert contract.decision.operating_point == "equal error rate on 28 trials"
    lines = read_scores(out / "scores.csv")
    assert len(lines) == 28 and {line.key for line in lines} == {"target", "nontarget"}
    for line in lines:
        assert line.llr == pytest.approx(contract.llr(line.score or 0.0))
    rungs = json.loads((out / "parity.json").read_text())["ladder"]
    assert [(rung["trials"], rung["flips"]) for rung in rungs] == [(28, 0)] * 2
    assert "cross-validation" in (out / "report.html").read_text()
    wavs = sorted((folder / "audio").rglob("*.wav"))
    ran = command("verify", out / "verifier.pt", "--enrol", wavs[0], "--test", wavs[1], "--json")
    assert json.loads(ran.out)[0]["decision"] in ("same", "different")


@pytest.mark.parametrize("form", ["folder", "npy"])
def test_a_cohort_normalises_the_scores(form: str, folder: Path, command: Command) -> None:
    if form == "npy":
        np.save(folder / "cohort.npy", torch.randn(9, 6).numpy())
    cohort = {"folder": "audio", "npy": "cohort.npy"}[form]
    path, out = config(folder, f"scoring: {{cohort: {cohort}, top_n: 5}}\n"), folder / "out"
    assert command("model", path, "--out", out, *TWO, *trials(folder)).code == 0
    scoring = load_verifier(out / "verifier.pt").contract.scoring
    assert scoring.normalisation == "as_norm" and scoring.top_n == 5
    assert scoring.cohort_size == {"folder": 8, "npy": 9}[form]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("loss: {type: Logits}\n", "verifier.yaml:5: loss: is for task: spoofing"),
        ("scoring: {cohort: none.npy}\n", "none.npy: no such file or folder"),
        ("scoring: {cohort: bad.npy}\n", "expected embeddings [C, 6], got [4, 5]"),
        ("scoring: {chort: audio}\n", "verifier.yaml:5: scoring.chort: unknown argument"),
        ("scoring: {top_n: 0}\n", "verifier.yaml:5: scoring.top_n: expected 1 or more, got 0"),
    ],
)
def test_bad_configurations_are_one_line(
    more: str, said: str, folder: Path, command: Command
) -> None:
    np.save(folder / "bad.npy", torch.randn(4, 5).numpy())
    ran = command("model", config(folder, more), "--out", folder / "out", *TWO)
    assert_refused(ran, said)


def test_bad_trial_lists_are_one_line(folder: Path, command: Command) -> None:
    path, options = config(folder), ("--out", folder / "out", *TWO)
    listed = folder / "trials.txt"
    listed.write_text("anna/0 anna/1 target\n")
    assert_refused(command("model", path, *options, *trials(folder)), "holds no nontarget trial")
    listed.write_text("anna/0 anna/1 target\nanna/0 zoe/1 nontarget\n")
    ran = command("model", path, *options, *trials(folder))
    assert_refused(ran, "1 of 3 recordings are missing: zoe/1")
