"""``demo --task verification`` and ``--task sasv``: small runs, whole files."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from artefact_helpers import Command, assert_refused, usable, voice, write_wav

from export import backends
from export.demo import training
from export.demo.training import Settings
from export.jobs import steps as artefacts
from export.jobs.threshold import ThresholdChoice
from export.metrics.score_files import read_scores
from export.runtime.contract import SASVContract, VerificationContract
from export.runtime.scorer import load_scorer
from export.runtime.verifier import load_verifier
from scriptable import equal_error_rate, min_dcf

SETTINGS = Settings(num_samples=8000, hop=8000, epochs=6, batch_size=6, embedding_dim=16)
SPEAKERS = {"anna": 210.0, "bert": 95.0, "cleo": 150.0, "dana": 250.0, "emil": 120.0, "fred": 175.0}
SHOWN = ("torchscript", "torch_export", "executorch_xnnpack", "coreml")
STEMS = {"verification": "speaker_verifier", "sasv": "sasv_verifier"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Four backends, short windows, and a folder of voices."""
    some = {name: usable(name) for name in SHOWN}
    monkeypatch.setattr(artefacts, "all_backends", lambda: some)
    monkeypatch.setattr(training, "Settings", partial(replace, SETTINGS))
    monkeypatch.setenv("SCRIPTABLE_SPEECH", str(tmp_path / "none"))
    monkeypatch.setattr(artefacts, "use_one_thread", lambda: None)
    for number, (speaker, pitch) in enumerate(SPEAKERS.items()):
        for k in range(3):
            wave = voice(12000, pitch + 4 * k, 10 * number + k)
            write_wav(tmp_path / "speech" / speaker / f"{k}.wav", wave)
    return tmp_path / "speech"


@pytest.mark.parametrize("task", STEMS)
def test_a_task_makes_files_that_verify(
    small: Path, task: str, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    ran = command("demo", "--task", task, "--speech", small, "--out", out, "--epochs", 6)
    assert ran.code == 0, ran
    assert "proves the path" in " ".join(ran.out.split())
    document = json.loads((out / "parity.json").read_text())
    entry = {"verification": "EmbeddingPipeline", "sasv": "SASVPipeline"}[task]
    assert {record["entry"] for record in document["records"]} == {entry}
    assert {record["method"] for record in document["records"]} == {"forward", "verify"}
    assert {record["status"] for record in document["records"]} == {"pass"}
    assert [rung["backend"] for rung in document["ladder"]] == list(SHOWN)
    assert [rung["flips"] for rung in document["ladder"]] == [0] * len(SHOWN)
    lines = read_scores(out / "scores.csv")
    assert {line.key for line in lines} >= {"target", "nontarget"}
    assert ("spoof" in {line.key for line in lines}) == (task == "sasv")
    verifier = load_verifier(out / f"{STEMS[task]}.pt2")
    contract = verifier.contract
    kind = {"verification": VerificationContract, "sasv": SASVContract}[task]
    assert isinstance(contract, kind)
    assert contract.scoring.normalisation == "as_norm" and contract.scoring.cohort_size >= 12
    assert "proves the path" in contract.caution
    scores = torch.tensor([line.score for line in lines], dtype=torch.float64)
    labels = torch.tensor([int(line.key == "target") for line in lines])
    llrs = contract.decision.scale * scores + contract.decision.offset
    # The fit takes all trials in one float32 batch: its last digit may differ from one by one.
    threshold = equal_error_rate(llrs, labels).threshold
    assert contract.decision.threshold == pytest.approx(threshold, rel=0, abs=1e-6)
    page = (out / "report.html").read_text()
    for said in ("DET curve", "Score histogram", "Calibration before", "Change of EER", "AS-norm"):
        assert said in page
    wavs = sorted(small.rglob("*.wav"))
    arguments = ("--enrol", *wavs[:2], "--test", wavs[2], "--json")
    ran = command("verify", out / f"{STEMS[task]}.xnnpack.pte", *arguments)
    assert ran.code == 0 and "proves the path" in ran.err
    if task == "sasv":
        assert load_scorer(out / "sasv_verifier.pt").score_file(wavs[0])[0].decision in (
            "bonafide",
            "spoof",
        )


def test_the_threshold_is_an_option(small: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "out"
    options = ("--threshold", "min_dcf", "--prior", "0.2", "--cost-false-alarm", "3")
    arguments = ("--task", "verification", "--speech", small, "--epochs", 6)
    ran = command("demo", *arguments, *options, "--out", out)
    assert ran.code == 0, ran
    decision = load_verifier(out / "speaker_verifier.pt").contract.decision
    assert decision.prior == 0.2
    assert decision.operating_point.startswith("minimum DCF at prior 0.2, costs 1 of a miss and 3")
    lines = read_scores(out / "scores.csv")
    llrs = torch.tensor([line.llr for line in lines], dtype=torch.float64)
    labels = torch.tensor([int(line.key == "target") for line in lines])
    expected = min_dcf(llrs, labels, 0.2, 1.0, 3.0).threshold
    assert abs(expected) == float("inf") or decision.threshold == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--task", "diarisation"), "task: expected one of spoofing, verification, sasv"),
        (("--threshold", "best"), "threshold: expected one of eer, min_dcf, got best"),
        (("--prior", "0"), "prior: expected a probability inside (0, 1), got 0.0"),
        (("--cost-miss", "-1"), "cost of a miss: expected a number above 0, got -1.0"),
    ],
)
def test_bad_options_are_one_line(
    options: tuple[str, ...], said: str, tmp_path: Path, command: Command
) -> None:
    assert_refused(command("demo", *options, "--out", tmp_path / "out"), said)


def test_too_few_speakers_are_one_line(small: Path, tmp_path: Path, command: Command) -> None:
    arguments = ("--task", "verification", "--speech", small / "anna", "--out", tmp_path / "out")
    assert_refused(command("demo", *arguments), "give recordings of")


def test_a_choice_puts_the_threshold_where_it_says() -> None:
    llrs = torch.tensor([-2.0, -1.0, 0.5, 0.25, 1.0, 3.0], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    threshold, words = ThresholdChoice("min_dcf", 0.5, 1.0, 10.0).choose(llrs, labels, "trials")
    assert threshold == 0.75 and words.endswith("on 6 trials")
    threshold, words = ThresholdChoice().choose(llrs, labels, "trials")
    assert threshold == equal_error_rate(llrs, labels).threshold
    assert words == "equal error rate on 6 trials"


def test_saved_files_are_named_after_their_task() -> None:
    for stem in STEMS.values():
        for name, path in artefacts.artefact_paths(Path("x"), stem).items():
            assert backends.backend_of(path).name == name
