"""``python -m export metrics`` on the challenges' own files: parts, conventions, tandem costs."""

import json
from pathlib import Path

import pytest
from artefact_helpers import Command, assert_refused
from challenge_files import CM, headed, written

# Of the packages on the same trials, see tests/metrics/test_official.py.
EVAL_EER, EVAL_TDCF = 0.16249999999999998, 0.5211839814277422


def files_of_2021(folder: Path) -> dict[str, Path]:
    return {
        "scores": written(folder / "score.txt", "f{i} {cm}"),
        "protocol": written(folder / "cm.txt", "s f{i} alaw ita_tx A07 {cmkey} notrim {part}"),
        "asv": written(folder / "asv.txt", "e{i} t{i} {asv}"),
        "asv_protocol": written(
            folder / "key.txt", "e{i} t{i} alaw ita_tx A07 {key} notrim {part}"
        ),
    }


def test_parts_are_not_pooled_in_silence(tmp_path: Path, command: Command) -> None:
    files = files_of_2021(tmp_path)
    arguments = ("metrics", files["scores"], "--protocol", files["protocol"])
    said = "contains the parts eval (100 trials), hidden (50 trials), progress (50 trials)"
    assert_refused(command(*arguments), str(files["protocol"]), said, "--part")
    assert_refused(command(*arguments, "--part", "dev"), "part: expected one of eval (100 trials)")
    pooled = json.loads(command(*arguments, "--part", "all", "--json").out)
    assert pooled["trials"] == 200
    found = json.loads(command(*arguments, "--part", "eval", "--json").out)
    assert found["trials"] == 100


def test_scores_of_one_part_alone_are_enough(tmp_path: Path, command: Command) -> None:
    files = files_of_2021(tmp_path)
    lines = files["scores"].read_text().splitlines(keepends=True)
    keys = files["protocol"].read_text().splitlines()
    kept = [line for line, key in zip(lines, keys, strict=True) if "eval" in key]
    files["scores"].write_text("".join(kept))
    arguments = ("metrics", files["scores"], "--protocol", files["protocol"], "--part")
    found = json.loads(command(*arguments, "eval", "--convention", "asvspoof", "--json").out)
    assert (found["trials"], found["eer"]["rate"]) == (100, EVAL_EER)
    assert_refused(command(*arguments, "hidden"), "50 trials without a score: f3, f7, f11, ...")


def test_the_figures_of_2021(tmp_path: Path, command: Command) -> None:
    files = files_of_2021(tmp_path)
    ran = command(
        "metrics",
        files["scores"],
        *("--protocol", files["protocol"], "--part", "eval", "--convention", "asvspoof"),
        *("--asv-scores", files["asv"], "--asv-protocol", files["asv_protocol"], "--json"),
    )
    assert ran.code == 0, ran
    found = json.loads(ran.out)
    assert (found["convention"], found["eer"]["rate"]) == ("asvspoof", EVAL_EER)
    assert found["eer"]["threshold"] == 1.3
    assert found["min_tdcf_2021"]["cost"] == pytest.approx(EVAL_TDCF, abs=1e-15)
    assert found["min_tdcf_2019"]["cost"] == pytest.approx(0.35, abs=1e-15)


def test_the_figures_of_track_1_of_asvspoof_5(tmp_path: Path, command: Command) -> None:
    scores = headed(tmp_path / "s.tsv", "filename\tcm-score", "f{i}\t{cm}")
    key = headed(tmp_path / "k.tsv", "filename\tcm-label", "f{i}\t{cmkey}")
    protocol = written(tmp_path / "p.tsv", "s f{i} F - - - AC1 A09 {cmkey} -")
    for keys in (key, protocol):
        ran = command(
            "metrics", scores, "--protocol", keys, "--convention", "asvspoof", "--json",
            "--asv-rates", "asvspoof5",
        )  # fmt: skip
        found = json.loads(ran.out)
        assert found["eer"]["rate"] == 0.18125
        assert found["min_dcf"]["cost"] == pytest.approx(0.36124999999999985, abs=1e-15)
        assert found["act_dcf"]["cost"] == pytest.approx(0.7, abs=1e-14)
        assert found["cllr"]["bits"] == pytest.approx(0.7337077929578408, abs=1e-14)
        assert found["asv"]["spoof_false_alarm"] == 0.4607082907604729


def test_the_figures_of_track_2_of_asvspoof_5(tmp_path: Path, command: Command) -> None:
    header = "spk\tfilename\tcm-score\tasv-score\tsasv-score"
    scores = headed(tmp_path / "s.tsv", header, "e{i}\tt{i}\t-\t-\t{asv}")
    key = headed(
        tmp_path / "k.tsv", "spk\tfilename\tcm-label\tasv-label", "e{i}\tt{i}\tspoof\t{key}"
    )
    arguments = ("metrics", scores, "--protocol", key, "--convention", "asvspoof", "--json")
    found = json.loads(command(*arguments, "--a-dcf-costs", "asvspoof5").out)
    assert found["min_a_dcf"]["cost"] == pytest.approx(0.5299248600389953, abs=1e-15)
    assert found["a_dcf_costs"]["prior_nontarget"] == 0.0095
    assert json.loads(command(*arguments).out)["a_dcf_costs"]["cost_spoof"] == 20.0


def test_both_systems_of_track_2_give_the_tandem_figures(tmp_path: Path, command: Command) -> None:
    header = "spk\tfilename\tcm-score\tasv-score\tsasv-score"
    scores = headed(tmp_path / "s.tsv", header, "e{i}\tt{i}\t{cm}\t{asv}\t{asv}")
    key = headed(
        tmp_path / "k.tsv", "spk\tfilename\tcm-label\tasv-label", "e{i}\tt{i}\tspoof\t{key}"
    )
    options = ("--convention", "asvspoof", "--asv-rates", "asvspoof5", "--json")
    found = json.loads(command("metrics", scores, "--protocol", key, *options).out)
    assert found["tandem_eer"]["rate"] == pytest.approx(0.6060606060606061, abs=1e-15)
    assert found["min_tdcf_2021"]["cost"] == pytest.approx(1.0, abs=1e-15)
    scores.write_text(scores.read_text().replace("e3\tt3\t", "e3\tt3\t-"))
    scores.write_text(scores.read_text().replace("e4\tt4\t" + str(CM[4]), "e4\tt4\t-"))
    assert_refused(command("metrics", scores, "--protocol", key), "cm: expected a number in every")


def test_no_error_has_an_interval(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "s"
    path.write_text(
        "".join(f"f{i} - {'bonafide' if i < 20 else 'spoof'} {-i}\n" for i in range(50))
    )
    ran = command("metrics", path)
    assert "0.00% to 16.84%" in " ".join(ran.out.split())


def test_inverted_scores_are_said_with_trials(tmp_path: Path, command: Command) -> None:
    path = tmp_path / "s"
    path.write_text("".join(f"f{i} - {'bonafide' if i < 20 else 'spoof'} {i}\n" for i in range(50)))
    ran = command("metrics", path, "--json")
    assert json.loads(ran.out)["eer"]["rate"] == 1.0
    said = " ".join(ran.err.split())
    assert "the equal error rate is 100.00%: are the scores inverted?" in said
    assert "trial 'f49' (spoof) scores 49, and trial 'f0' (bonafide) scores 0" in said


def test_bad_options_are_one_line(tmp_path: Path, command: Command) -> None:
    files = files_of_2021(tmp_path)
    arguments = ("metrics", files["scores"], "--protocol", files["protocol"], "--part", "eval")
    for options, said in (
        (("--format", "htk"), "format: expected one of asvspoof2021_cm"),
        (("--format", "asvspoof2019_cm"), "score.txt:1: expected 4 columns (asvspoof2019_cm: FILE"),
        (("--protocol-format", "trials"), "cm.txt:1: expected 3 columns (trials: ENROL TEST KEY)"),
        (("--convention", "official"), "convention: expected exact or asvspoof, got official"),
        (("--asv-rates", "0.1,0.2"), "asv-rates: expected asvspoof5 or three rates"),
        (("--asv-rates", "0.1,0.2,1.5"), "asv.spoof_false_alarm: expected a rate in [0, 1]"),
        (("--asv-scores", files["asv"]), "give the verification protocol with --asv-protocol"),
        (("--a-dcf-costs", "mine"), "a-dcf-costs: expected one of a_dcf, asvspoof5, got mine"),
    ):
        assert_refused(command(*arguments, *options), said)
