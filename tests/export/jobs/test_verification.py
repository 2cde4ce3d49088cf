"""``task: verification``: a verifier of one's own and its trial list."""

import json

import pytest
from artefact_helpers import Command, assert_refused
from voices_helpers import TWO, Voices

from export.metrics.score_files import read_scores
from export.runtime.contract import VerificationContract
from export.runtime.verifier import load_verifier


def test_a_verifier_is_calibrated_and_its_files_verify(voices: Voices, command: Command) -> None:
    out = voices.folder / "out"
    options = ("--out", out, *TWO, *voices.trials, "--calibrate")
    ran = command("model", voices.config(), *options)
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
    wavs = voices.wav("anna/0"), voices.wav("anna/1")
    ran = command("verify", out / "verifier.pt", "--enrol", wavs[0], "--test", wavs[1], "--json")
    assert json.loads(ran.out)[0]["decision"] in ("same", "different")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("loss: {type: Logits}\n", "verifier.yaml:5: loss: is for task: spoofing"),
        ("countermeasure: {}\n", "verifier.yaml:5: countermeasure: is for task: sasv"),
        ("fusion: {}\n", "verifier.yaml:5: fusion: is for task: sasv"),
    ],
)
def test_keys_of_another_task_are_one_line(
    more: str, said: str, voices: Voices, command: Command
) -> None:
    ran = command("model", voices.config(more), "--out", voices.folder / "out", *TWO)
    assert_refused(ran, said)


def test_spoofs_in_the_list_are_left_out_and_said(voices: Voices, command: Command) -> None:
    voices.list_spoofs()
    out = voices.folder / "out"
    ran = command("model", voices.config(), "--out", out, *TWO, *voices.trials)
    assert ran.code == 0, ran
    assert len(read_scores(out / "scores.csv")) == 28
    assert "8 trials of other kinds are left out" in " ".join(ran.out.split())
