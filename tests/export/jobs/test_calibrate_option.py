"""``--calibrate``: what is fitted, and figures that are from something else."""

import csv
import json
from pathlib import Path

import pytest
import torch
from artefact_helpers import Command, assert_refused, voice, write_wav
from network_helpers import config
from torch import Tensor

from export.corpus import Utterance, folds_by_speaker, three_parts
from export.errors import InputError
from export.jobs import calibration
from export.jobs.calibration import fit
from export.jobs.threshold import ThresholdChoice
from export.report.trials import Trials, held_out
from export.runtime.scorer import load_scorer
from scriptable import equal_error_rate, fit_affine_calibration, threshold_at

ONE = ("--backend", "torchscript")


def corpus(live: int, spoofed: int, each: int = 2) -> list[Utterance]:
    """Speakers of their own in each class, as in ASVspoof."""
    return [
        Utterance(f"{speaker}-{k}", speaker, "-" if label else "A1", label, torch.zeros(1))
        for label, count in ((1, live), (0, spoofed))
        for speaker in (f"{'ls'[1 - label]}{i}" for i in range(count))
        for k in range(each)
    ]


def scores_of(utterances: list[Utterance], seed: int = 0) -> tuple[Tensor, Tensor]:
    labels = torch.tensor([u.label for u in utterances])
    noise = torch.randn(len(labels), generator=torch.Generator().manual_seed(seed)).double()
    return 2.0 * labels + noise, labels


def test_folds_keep_speakers_together_and_classes_apart_from_none() -> None:
    utterances = corpus(7, 4, 3)
    folds = folds_by_speaker(utterances, 5, 0)
    assert max(folds) + 1 == 4
    for speaker in {u.speaker for u in utterances}:
        assert len({f for f, u in zip(folds, utterances, strict=True) if u.speaker == speaker}) == 1
    for fold in range(4):
        outside = {u.label for f, u in zip(folds, utterances, strict=True) if f != fold}
        assert outside == {0, 1}
    assert folds == folds_by_speaker(utterances, 5, 0) != folds_by_speaker(utterances, 5, 3)


def test_a_lone_speaker_is_spread_by_utterance() -> None:
    utterances = corpus(1, 5, 4)
    folds = folds_by_speaker(utterances, 5, 0)
    assert len({f for f, u in zip(folds, utterances, strict=True) if u.label == 1}) > 1
    with pytest.raises(InputError, match="fewer than 2 spoofed recordings"):
        folds_by_speaker([*corpus(3, 0), *corpus(0, 1, 1)], 5, 0)


def test_three_parts_share_no_speaker() -> None:
    parts = three_parts(corpus(10, 10), 0.4, 0)
    named = [{u.speaker for u in part} for part in (parts.train, parts.calibrate, parts.test)]
    assert all(named) and sum(map(len, named)) == 20 and not parts.notes
    few = three_parts(corpus(3, 3, 1), 0.4, 0)
    assert few.calibrate == few.test
    assert "from the same recordings" in few.notes[-1]


def test_a_short_list_is_cross_validated() -> None:
    utterances = corpus(8, 8)
    scores, labels = scores_of(utterances)
    fitted = fit(utterances, scores, ThresholdChoice())
    scale, offset = fit_affine_calibration(scores, labels, 0.95)
    assert (fitted.decision.scale, fitted.decision.offset) == pytest.approx((scale, offset))
    threshold = equal_error_rate(scale * scores + offset, labels).threshold
    assert fitted.decision.threshold == pytest.approx(threshold)
    assert fitted.decision.operating_point == "equal error rate on 32 recordings"
    assert "5-fold cross-validation by speaker" in fitted.notes[0]
    # What is shown of a recording is from the others.
    inside = torch.tensor([part == "fold 2" for part in fitted.parts])
    other = fit_affine_calibration(scores[~inside], labels[~inside], 0.95)
    llrs = other.scale * scores[inside] + other.offset
    torch.testing.assert_close(fitted.shown.llrs[inside], llrs)
    assert not torch.allclose(llrs, scale * scores[inside] + offset)


def test_a_long_list_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "_ENOUGH", 10)
    utterances = corpus(12, 12)
    scores, labels = scores_of(utterances)
    fitted = fit(utterances, scores, ThresholdChoice("min_dcf", 0.2))
    used = torch.tensor([part == "calibrate" for part in fitted.parts])
    scale, offset = fit_affine_calibration(scores[used], labels[used], 0.2)
    assert (fitted.decision.scale, fitted.decision.offset) == pytest.approx((scale, offset))
    llrs = scale * scores + offset
    threshold = threshold_at(llrs[used], labels[used], "min_dcf", 0.2, 1.0, 1.0)[0]
    assert fitted.decision.threshold == pytest.approx(threshold)
    torch.testing.assert_close(fitted.shown.scores, scores[~used])
    names = [
        {u.speaker for u, w in zip(utterances, used, strict=True) if bool(w) is k} for k in (0, 1)
    ]
    assert not names[0] & names[1]


@pytest.mark.parametrize("long", [False, True])
def test_scores_that_are_fitted_themselves_are_fitted_on_the_same_part(
    long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage that learns its part by heart and says noise of the rest shows as noise."""
    monkeypatch.setattr(calibration, "_ENOUGH", 10 if long else 1000)
    utterances = corpus(30, 30)
    labels = torch.tensor([u.label for u in utterances])
    noise = torch.randn(len(labels), generator=torch.Generator().manual_seed(1)).double()
    seen: list[Tensor] = []

    def by_heart(inside: Tensor) -> Tensor:
        seen.append(inside)
        return torch.where(inside, 4.0 * labels + 0.1 * noise, noise)

    fitted = fit(utterances, by_heart, ThresholdChoice())
    assert equal_error_rate(fitted.shown.scores, fitted.shown.labels).rate > 0.3
    on = seen[0] if long else seen[-1]
    assert on.nonzero().flatten().tolist() == fitted.fitted_on
    assert bool(on.all()) != long and len(seen) == (1 if long else 6)


def test_rates_of_cross_validation_are_at_each_folds_threshold() -> None:
    llrs, labels = torch.tensor([0.0, 1.0, 2.0, 3.0]).double(), torch.tensor([0, 1, 0, 1])
    trials = Trials(llrs, llrs, labels, torch.tensor([0.5, 1.5, 1.5, 2.5]).double())
    shown = held_out(trials, None)
    assert shown is not None and not any("threshold" in r["name"] for r in shown["rates"])


@pytest.fixture
def trial_list(own_code: Path) -> tuple[str, ...]:
    lines = []
    for i in range(8):
        # What is spoofed is louder, as the network below measures it.
        wave = voice(9000, 100 + 9.0 * i, i) * (0.5 if i % 2 else 0.9 + 0.02 * i)
        write_wav(own_code / "audio" / f"f{i}.wav", wave)
        lines.append(f"s{i} f{i} - {'- bonafide' if i % 2 else 'A01 spoof'}\n")
    (own_code / "protocol.txt").write_text("".join(lines))
    return "--protocol", str(own_code / "protocol.txt"), "--audio", str(own_code / "audio")


def loudness(folder: Path, higher: str) -> Path:
    path = config(folder, "{type: their_net.Loudness}", f"{{type: RawScore, higher: {higher}}}")
    net = folder / "their_net.py"
    net.write_text(
        net.read_text()
        + "\n\nclass Loudness(nn.Module):\n"
        + "    def forward(self, x):\n        return x.abs().mean(1)\n"
    )
    return path


def test_the_command_calibrates_every_file_and_writes_the_scores(
    trial_list: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    options = ("--calibrate", "--prior", "0.3", "--operating-point", "min_dcf", "--out", out)
    ran = command("model", loudness(tmp_path, "spoof"), *options, *ONE, *trial_list)
    assert ran.code == 0, ran
    assert "4-fold cross-validation by speaker" in " ".join(ran.out.split())
    contract = load_scorer(out / "scorer.pt").contract
    assert contract.decision.prior == 0.3 and contract.decision.scale > 0
    assert contract.decision.operating_point.startswith("minimum DCF at prior 0.3")
    with (out / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["file"] for row in rows) == [f"f{i}" for i in range(8)]
    for row in rows:
        assert row["part"].startswith("fold ")
        assert float(row["llr"]) == pytest.approx(contract.llr(float(row["score"])))
        assert row["decision"] == contract.decide(float(row["llr"])) == row["key"]
    rungs = json.loads((out / "parity.json").read_text())["ladder"]
    assert [rung["flips"] for rung in rungs] == [0]
    assert "cross-validation" in (out / "report.html").read_text()


def test_the_wrong_sign_is_said(
    trial_list: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    path, out = loudness(tmp_path, "bonafide"), tmp_path / "out"
    ran = command("model", path, "--calibrate", "--out", out, *ONE, *trial_list)
    assert_refused(ran, "calibrate: bona fide scores ", "or the other sign, the right one?")
    assert not out.exists()
    ran = command("model", path, "--out", out, *ONE, *trial_list)
    assert ran.code == 0
    assert "bona fide scores lower than spoof" in " ".join(ran.out.split())


def test_options_that_need_each_other(tmp_path: Path, command: Command) -> None:
    path, out = loudness(tmp_path, "spoof"), ("--out", tmp_path / "out")
    assert_refused(command("model", path, *out, "--calibrate"), "give --protocol and --audio, too")
    assert_refused(command("model", path, *out, "--prior", "0.3"), "go with --calibrate")
    ran = command("model", path, *out, "--calibrate", "--operating-point", "best")
    assert_refused(ran, "expected one of eer, min_dcf, got best")
