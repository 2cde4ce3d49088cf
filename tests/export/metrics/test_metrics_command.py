"""``python -m export metrics``: the numbers of the metrics, the plot, and bad input."""

import json
import math
from pathlib import Path

import pytest
import torch
from artefact_helpers import Command, assert_refused
from torch import Tensor

import scriptable
from export.metrics.score_files import Line, write_keys, write_scores


def drawn(count: int = 60, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    scores = torch.randn(count, generator=generator, dtype=torch.float64) + 1.5 * labels
    return scores, labels


def spoofing(folder: Path) -> tuple[Path, Path, Tensor, Tensor]:
    """Scores and protocol of a countermeasure, in other orders."""
    scores, labels = drawn()
    keys = ["bonafide" if label else "spoof" for label in labels.tolist()]
    lines = [
        Line((f"f{i:02d}",), score, key, "-" if key == "bonafide" else "A01", "s")
        for i, (score, key) in enumerate(zip(scores.tolist(), keys, strict=True))
    ]
    write_scores(reversed(lines), folder / "scores.txt", "asvspoof2021_cm")
    write_keys(lines, folder / "protocol.txt", "asvspoof2019")
    return folder / "scores.txt", folder / "protocol.txt", scores, labels


def test_json_is_pure_and_holds_the_metrics(tmp_path: Path, command: Command) -> None:
    path, protocol, scores, labels = spoofing(tmp_path)
    ran = command("metrics", path, "--protocol", protocol, "--json")
    assert ran.code == 0, ran
    found = json.loads(ran.out)
    assert found["trials"] == 60 and found["counts"] == {"bonafide": 30, "spoof": 30}
    eer = scriptable.equal_error_rate(scores, labels)
    assert found["eer"]["rate"] == eer.rate and found["eer"]["threshold"] == eer.threshold
    hull = scriptable.convex_hull_equal_error_rate(scores, labels)
    assert found["eer_convex_hull"]["rate"] == hull.rate
    costs = (0.95, 1.0, 10.0)
    assert found["costs"] == {"prior": 0.95, "cost_miss": 1.0, "cost_false_alarm": 10.0}
    assert found["min_dcf"]["cost"] == scriptable.min_dcf(scores, labels, *costs).cost
    assert found["act_dcf"]["cost"] == scriptable.actual_dcf(scores, labels, *costs).cost
    assert found["cllr"]["bits"] == scriptable.cllr(scores, labels)
    assert found["min_cllr"]["bits"] == scriptable.min_cllr(scores, labels)
    for name in ("eer", "min_dcf", "act_dcf", "cllr"):
        low, high = found[name]["ci"]
        assert low <= high
    assert found["eer"]["ci"][0] <= eer.rate <= found["eer"]["ci"][1]
    assert "min_a_dcf" not in found and "min_tdcf_2021" not in found


def test_the_table_says_the_same(tmp_path: Path, command: Command) -> None:
    path, protocol, scores, labels = spoofing(tmp_path)
    ran = command("metrics", path, "--protocol", protocol)
    assert ran.code == 0
    assert "60 trials: 30 bonafide, 30 spoof" in ran.out
    assert f"{scriptable.equal_error_rate(scores, labels).rate:.2%}" in ran.out
    assert f"{scriptable.cllr(scores, labels):.4f}" in ran.out
    assert "taken as an LLR" in ran.err


def test_costs_are_options(tmp_path: Path, command: Command) -> None:
    path, protocol, scores, labels = spoofing(tmp_path)
    options = ("--prior", "0.3", "--cost-miss", "2", "--cost-false-alarm", "5")
    ran = command("metrics", path, "--protocol", protocol, *options, "--json")
    found = json.loads(ran.out)
    assert found["min_dcf"]["cost"] == scriptable.min_dcf(scores, labels, 0.3, 2, 5).cost


def test_a_file_with_keys_needs_no_protocol(tmp_path: Path, command: Command) -> None:
    scores, labels = drawn()
    lines = [
        Line((f"e{i % 3}", f"t{i}"), s, "target" if y else "nontarget", llr=2 * s - 1, part="dev")
        for i, (s, y) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True))
    ]
    path = tmp_path / "scores.csv"
    write_scores(lines, path, "csv")
    found = json.loads(command("metrics", path, "--json").out)
    assert found["cllr"]["bits"] == scriptable.cllr(2 * scores - 1, labels)
    assert found["eer"]["rate"] == scriptable.equal_error_rate(scores, labels).rate
    assert found["costs"]["prior"] == 0.01 and found["costs"]["cost_false_alarm"] == 1.0


def test_a_part_is_chosen_and_a_mixture_is_said(tmp_path: Path, command: Command) -> None:
    scores, labels = drawn()
    lines = [
        Line((f"t{i}",), s, "bonafide" if y else "spoof", part="train" if i < 20 else "held_out")
        for i, (s, y) in enumerate(zip(scores.tolist(), labels.tolist(), strict=True))
    ]
    path = tmp_path / "scores.csv"
    write_scores(lines, path, "csv")
    whole = command("metrics", path, "--json")
    assert "contains the parts held_out, train; all are used" in whole.err
    ran = command("metrics", path, "--part", "held_out", "--json")
    found = json.loads(ran.out)
    assert (ran.err, found["trials"]) == ("", 40)
    assert found["eer"]["rate"] == scriptable.equal_error_rate(scores[20:], labels[20:]).rate
    refused = command("metrics", path, "--part", "dev")
    assert_refused(refused, "part: expected one of held_out, train, got dev")


def test_targets_nontargets_and_spoofs_have_an_a_dcf(tmp_path: Path, command: Command) -> None:
    scores = torch.tensor([3.0, 1.0, 0.0, 1.5, 0.5], dtype=torch.float64)
    keys = ["target", "target", "nontarget", "spoof", "nontarget"]
    pairs = zip(scores.tolist(), keys, strict=True)
    lines = [Line(("e", f"t{i}"), s, k) for i, (s, k) in enumerate(pairs)]
    write_scores(lines, tmp_path / "s", "kaldi")
    write_keys(lines, tmp_path / "p", "asvspoof2019_asv")
    found = json.loads(
        command("metrics", tmp_path / "s", "--protocol", tmp_path / "p", "--json").out
    )
    three = torch.tensor([1, 1, 0, 2, 0])
    assert found["min_a_dcf"]["cost"] == scriptable.min_a_dcf(scores, three).cost


def test_the_tandem_cost_needs_the_verification_scores(tmp_path: Path, command: Command) -> None:
    path, protocol, scores, labels = spoofing(tmp_path)
    asv = tmp_path / "asv"
    asv.write_text("bonafide target 3\nbonafide target 2\nbonafide nontarget 0\nA01 spoof 2.5\n")
    ran = command("metrics", path, "--protocol", protocol, "--asv-scores", asv, "--json")
    assert ran.code == 0, ran
    found = json.loads(ran.out)
    rates = scriptable.ASVErrorRates(0.0, 0.0, 1.0)
    assert found["asv"] == rates._asdict()
    for form in ("2021", "2019"):
        expected = scriptable.min_tdcf(scores, labels, rates, form).cost
        assert found[f"min_tdcf_{form}"]["cost"] == expected


def test_the_plot_is_a_png(tmp_path: Path, command: Command) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path, protocol, *_ = spoofing(tmp_path)
    plot = tmp_path / "new" / "det.png"
    ran = command("metrics", path, "--protocol", protocol, "--plot", plot)
    assert ran.code == 0, ran
    assert plot.read_bytes().startswith(b"\x89PNG") and plot.stat().st_size > 10_000


def keyed(path: Path, *lines: tuple[str, object, str]) -> Path:
    path.write_text("".join(f"{name} - {key} {score}\n" for name, score, key in lines))
    return path


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([("a", 1, "bonafide"), ("b", 2, "bonafide")], "no spoof trial"),
        ([("a", 1, "spoof"), ("b", 2, "spoof")], "no bonafide trial"),
        ([("a", 1, "target"), ("b", 2, "target")], "no nontarget or spoof trial"),
        ([("a", 1, "bonafide"), ("b", "nan", "spoof")], "trial 'b': score is NaN"),
        ([("a", 1, "bonafide"), ("b", "inf", "spoof")], "trial 'b': score is inf"),
        ([("a", 1, "bonafide"), ("b", 1, "spoof")], "all 2 scores are 1.0: constant"),
        ([("a", 1, "bonafide"), ("a", 2, "spoof")], ":2: trial 'a' is also in line 1"),
        ([("a", 1, "bonafide"), ("b", 2, "nontarget")], "mixes the keys of two tasks"),
    ],
)
@pytest.mark.parametrize("option", [(), ("--json",)])
def test_bad_trials_are_one_line(
    tmp_path: Path,
    lines: list[tuple[str, object, str]],
    said: str,
    option: tuple[str, ...],
    command: Command,
) -> None:
    path = keyed(tmp_path / "s", *lines)
    assert_refused(command("metrics", path, *option), str(path), said)


def test_bad_files_and_options_are_one_line(tmp_path: Path, command: Command) -> None:
    path, protocol, *_ = spoofing(tmp_path)
    assert_refused(command("metrics", path), "trial 'f59' has no key; give --protocol")
    assert_refused(command("metrics", tmp_path / "none"), "none: cannot be read")
    short = tmp_path / "short"
    short.write_text("".join(protocol.read_text().splitlines(keepends=True)[:-2]))
    ran = command("metrics", path, "--protocol", short)
    assert_refused(ran, "2 trials not in the protocol: f59, f58")
    missing = tmp_path / "missing"
    missing.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    ran = command("metrics", missing, "--protocol", protocol)
    assert_refused(ran, "1 trial without a score: f00")
    for option, value in (("--prior", "1.5"), ("--cost-miss", "0"), ("--cost-false-alarm", "-1")):
        ran = command("metrics", path, "--protocol", protocol, option, value)
        assert_refused(ran, f"got {float(value)}")
    one = tmp_path / "asv"
    one.write_text("bonafide target 3\n")
    ran = command("metrics", path, "--protocol", protocol, "--asv-scores", one)
    assert_refused(ran, "no non-target")


def test_a_threshold_of_rejecting_everything_is_null(tmp_path: Path, command: Command) -> None:
    path = keyed(tmp_path / "s", ("a", 1, "bonafide"), ("b", 2, "spoof"), ("c", 3, "spoof"))
    found = json.loads(command("metrics", path, "--json").out)
    assert found["min_dcf"] == {**found["min_dcf"], "cost": 1.0, "threshold": None}
    assert math.isfinite(found["eer"]["threshold"])
