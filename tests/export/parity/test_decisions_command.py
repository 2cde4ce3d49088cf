"""``parity --artifact``: saved scorers on a trial list, and what counts as a flip."""

import json
from pathlib import Path

import pytest
import torch
from artefact_helpers import (
    OFFSET,
    SCALE,
    THRESHOLD,
    Artefacts,
    Command,
    assert_refused,
    contract_of,
    save_as,
    spoof_trials,
    tiny_pipeline,
)

from export.parity.decisions import Rung, compare
from export.report.page import Report, render


@pytest.fixture
def trials(tmp_path: Path) -> tuple[str, ...]:
    return spoof_trials(tmp_path, 6, 4000)


def test_saved_scorers_are_compared_on_a_trial_list(
    artefacts: Artefacts, trials: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    names = ("torch_export", "executorch_xnnpack", "trace")
    files = [part for name in names for part in ("--artifact", artefacts.path(name))]
    ran = command("parity", *files, *trials, "--json", tmp_path / "parity.json")
    assert ran.code == 0, ran
    document = json.loads((tmp_path / "parity.json").read_text())
    assert document["records"] == []
    assert [rung["backend"] for rung in document["ladder"]] == list(names)
    for rung in document["ladder"]:
        assert (rung["trials"], rung["flips"], rung["delta_eer"]) == (6, 0, 0.0)
        assert rung["max_score_error"] < 1e-4 and rung["rank_correlation"] == pytest.approx(1)
    assert document["ladder"][0]["max_score_error"] == 0.0
    assert "change of EER" in ran.out


def test_bad_use_is_one_line(
    artefacts: Artefacts, trials: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    path = artefacts.path("trace")
    pipeline = tiny_pipeline()
    other = contract_of(pipeline, threshold=0.75).model_dump_json()
    moved = save_as("trace", pipeline, other, tmp_path / "moved.trace.pt")
    one, two = ("--artifact", path), ("--artifact", moved)
    assert_refused(command("parity", *one, *trials), "artifact: give at least two")
    assert_refused(command("parity", *one, *two, *trials), "compare exports of the same model")
    assert_refused(command("parity", *one, *one), "also give --protocol and --audio")
    assert_refused(command("parity", *trials), "protocol: needs --artifact")
    ran = command("parity", *one, *one, *trials, "--entry", "OCSoftmax")
    assert_refused(ran, "cannot be combined with --entry")


def climb(offset: float, moved: float, tolerance: float) -> Rung:
    at = (THRESHOLD - OFFSET) / SCALE
    expected = torch.tensor([at + offset, at - 1.0], dtype=torch.float64)
    actual = torch.tensor([at + moved, at - 1.0], dtype=torch.float64)
    contract = contract_of(tiny_pipeline())
    return compare(
        "a", "b", tolerance, contract, ["near", "far"], torch.tensor([1, 0]), expected, actual
    )


def test_a_score_at_the_threshold_is_named_and_is_no_flip() -> None:
    flip = climb(0.01, -0.01, 1e-3)
    assert (flip.flips, flip.at_threshold) == (1, ())
    near = climb(0.0005, -0.0005, 1e-3)
    assert (near.flips, near.at_threshold) == (0, ("near",))
    quiet = climb(0.01, 0.02, 1e-3)
    assert (quiet.flips, quiet.at_threshold) == (0, ())


def test_the_report_shows_the_ladder() -> None:
    rungs = [climb(0.01, -0.01, 1e-3), climb(0.0005, -0.0005, 1e-3)]
    page = render(Report("T", [], {}, ladder=rungs))
    assert '<h2 id="ladder">' in page
    assert '<td class="end fail-1">1</td>' in page
    assert '<td class="text">near</td>' in page and "<td>none</td>" in page
    assert '<h2 id="ladder">' not in render(Report("T", [], {}))
