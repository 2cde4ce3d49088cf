"""``task: sasv``: an embedder and a countermeasure as one file, calibrated in three fits."""

import json

import pytest
import torch
from artefact_helpers import Command, assert_refused
from voices_helpers import COUNTERMEASURE, TWO, Voices

from export.jobs.config_file import read_config
from export.metrics.score_files import read_scores
from export.runtime.contract import SASVContract
from export.runtime.scorer import load_scorer
from export.runtime.verifier import load_verifier
from scriptable import fit_affine_calibration

BOTH = "sasv_verifier"


def test_both_halves_and_the_fusion_are_fitted(voices: Voices, command: Command) -> None:
    voices.list_spoofs()
    out = voices.folder / "out"
    path = voices.config(COUNTERMEASURE + "fusion: {spoof_prior: 0.3}\n", "sasv")
    ran = command("model", path, "--out", out, *TWO, *voices.trials, "--calibrate")
    assert ran.code == 0, ran
    document = json.loads((out / "parity.json").read_text())
    assert {record["status"] for record in document["records"]} == {"pass"}
    assert [(rung["trials"], rung["flips"]) for rung in document["ladder"]] == [(36, 0)] * 2
    verifier = load_verifier(out / f"{BOTH}.pt2")
    contract = verifier.contract
    assert isinstance(contract, SASVContract) and contract.fusion.spoof_prior == 0.3
    assert contract.countermeasure.operating_point == "equal error rate on 16 recordings"
    assert contract.decision.operating_point == "equal error rate on 36 trials"
    lines = list(read_scores(out / "scores.csv"))
    assert {line.key for line in lines} == {"target", "nontarget", "spoof"}
    assert {line.attack for line in lines} == {"-", "spoof"}
    assert {line.part for line in lines} >= {"fold 1", "fold 2"}
    for line in lines:
        assert line.llr == pytest.approx(contract.llr(line.score or 0.0))
    # The countermeasure's calibration, by hand from its scores alone.
    scorer = load_scorer(out / f"{BOTH}.pt")
    names = sorted({line.trial[1] for line in lines} | {line.trial[0] for line in lines})
    raw = [scorer.score_file(voices.wav(name))[0].score for name in names]
    labels = torch.tensor([int(not name.startswith("fake")) for name in names])
    cm = fit_affine_calibration(torch.tensor(raw, dtype=torch.float64), labels, 0.95)
    assert contract.countermeasure.scale == pytest.approx(cm.scale, rel=1e-3)
    wavs = voices.wav("anna/0"), voices.wav("fake/anna0")
    arguments = ("--enrol", wavs[0], "--test", wavs[1], "--json")
    [result] = json.loads(command("verify", out / f"{BOTH}.pt", *arguments).out)
    [line] = [line for line in lines if line.trial == ("anna/0", "fake/anna0")]
    assert result["score"] == pytest.approx(line.score, abs=1e-4)
    assert result["spoofing"] in ("bonafide", "spoof")


def test_without_a_fit_the_configuration_speaks(voices: Voices, command: Command) -> None:
    path = voices.config(
        "calibration: {scale: 2.0, threshold: 0.5}\n"
        "fusion: {asv_scale: 6.0, asv_offset: -2.0}\n"
        "countermeasure:\n"
        "  encoder: {type: their_net.Level}\n"
        "  loss: {type: RawScore}\n"
        "  calibration: {scale: 3.0, offset: -1.0, threshold: 0.25}\n",
        "sasv",
    )
    out = voices.folder / "out"
    assert command("model", path, "--out", out, *TWO).code == 0
    contract = load_verifier(out / f"{BOTH}.pt").contract
    assert isinstance(contract, SASVContract)
    assert (contract.decision.scale, contract.decision.threshold) == (2.0, 0.5)
    assert (contract.countermeasure.scale, contract.countermeasure.threshold) == (3.0, 0.25)
    fusion = read_config(path).pipeline.fusion
    assert [float(x) for x in (fusion.asv.scale, fusion.asv.offset)] == [6.0, -2.0]
    assert [float(x) for x in (fusion.cm.scale, fusion.cm.offset)] == [3.0, -1.0]


def test_weights_come_from_one_file_or_from_two(voices: Voices, command: Command) -> None:
    path = voices.config(COUNTERMEASURE, "sasv")
    pipeline = read_config(path).pipeline
    state = {f"{name}": torch.full_like(x, 0.37) for name, x in pipeline.named_parameters()}
    both, speaker, spoofing = (voices.folder / name for name in ("both.pt", "one.pt", "two.pt"))
    torch.save(state, both)
    torch.save(pipeline.speaker.state_dict(), speaker)
    torch.save(pipeline.countermeasure.encoder.state_dict(), spoofing)
    out = voices.folder / "out"
    assert command("model", path, "--checkpoint", both, "--out", out, *TWO).code == 0
    loaded = torch.jit.load(out / f"{BOTH}.pt").state_dict()
    assert float(loaded["countermeasure.encoder.gain"]) == pytest.approx(0.37)
    torch.save({"gain": torch.tensor(8.0)}, spoofing)
    words = ("model", path, "--checkpoint", speaker, "--out", out, *TWO)
    assert command(*words, "--countermeasure", spoofing).code == 0
    loaded = torch.jit.load(out / f"{BOTH}.pt").state_dict()
    assert float(loaded["countermeasure.encoder.gain"]) == 8.0
    assert_refused(command(*words), f"{speaker}: does not fit the model")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("name: x\n", "countermeasure: missing argument of the configuration"),
        ("countermeasure: {loss: {type: RawScore}}\n", ":5: countermeasure.encoder: missing"),
        (
            "countermeasure: {encoder: {type: their_net.Level}}\n",
            ":5: countermeasure.loss: missing",
        ),
        (COUNTERMEASURE + "  window: {}\n", ":8: countermeasure.window: unknown argument"),
        (
            COUNTERMEASURE.replace("Level", "Levl"),
            ":6: countermeasure.encoder.type: their_net.Levl",
        ),
        (COUNTERMEASURE.replace("RawScore", "Logits"), ":7: countermeasure.loss: the head does"),
        (
            COUNTERMEASURE + "  calibration: {scale: -1}\n",
            ":8: countermeasure.calibration.scale: expected a value above 0",
        ),
        (COUNTERMEASURE + "  rename: {'(': x}\n", ":8: countermeasure.rename.(: not a regular"),
        (COUNTERMEASURE + "fusion: {spoof_prior: 1}\n", ":8: fusion.spoof_prior: expected a prob"),
        (COUNTERMEASURE + "fusion: {asv_scale: 0}\n", ":8: fusion.asv_scale: expected a value"),
        (COUNTERMEASURE + "loss: {type: RawScore}\n", ":8: loss: is for task: spoofing"),
    ],
)
def test_bad_configurations_are_one_line(
    more: str, said: str, voices: Voices, command: Command
) -> None:
    ran = command("model", voices.config(more, "sasv"), "--out", voices.folder / "out", *TWO)
    assert_refused(ran, "verifier.yaml", said)


def test_options_of_another_task_and_lists_without_spoofs_are_one_line(
    voices: Voices, command: Command
) -> None:
    path, out = voices.config(COUNTERMEASURE, "sasv"), ("--out", voices.folder / "out", *TWO)
    ran = command("model", path, *out, *voices.trials, "--calibrate")
    assert_refused(ran, "contains no spoof trial; all three kinds are needed")
    weights = voices.folder / "weights.pt"
    assert_refused(command("model", path, *out, "--countermeasure", weights), "give --checkpoint")
    path = voices.config()
    ran = command("model", path, *out, "--checkpoint", weights, "--countermeasure", weights)
    assert_refused(ran, "countermeasure: ", "is of task: verification, not sasv")
    path = voices.config(COUNTERMEASURE + "  rename: {a: b}\n", "sasv")
    ran = command("model", path, *out, "--checkpoint", weights)
    assert_refused(ran, "verifier.yaml:8: countermeasure.rename: is for the names in")
