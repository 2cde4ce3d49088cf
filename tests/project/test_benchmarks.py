"""The benchmarks' own checks: what is compared, what counts as an error, and what is written."""

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from benchmarks import case, command, machine, readme, scaling, training
from benchmarks.bounds import BOUNDS
from benchmarks.case import Case, Sides, Target, work
from benchmarks.cases import cases
from benchmarks.measure import Effort, bootstrap, disagreement, interleaved, peak_mb, ratio
from benchmarks.no_peer import NO_PEER
from benchmarks.records import measure, measure_or_report
from export.catalog import rows

BRIEF = Effort(rounds=3, seconds=0.01, fewest=3)
RECORD_KEYS = {
    "name",
    "shape",
    "device",
    "ours_ms",
    "peer",
    "peer_ms",
    "ratio",
    "ratio_ci",
    "ours_mb",
    "peer_mb",
    "limit",
    "limit_ms",
    "target",
    "met",
}


def test_rows_and_reasons_are_of_catalogue_entries() -> None:
    # A new loss needs neither: it touches its family file and one catalogue row.
    entries = {row.entry for row in rows()}
    measured = {row.name for row in cases()}
    assert measured <= entries
    assert NO_PEER.keys() <= entries
    assert not measured & NO_PEER.keys()


def test_rows_are_told_apart_and_bounds_are_of_rows() -> None:
    named = [(row.name, row.shape) for row in cases()]
    assert len(set(named)) == len(named)
    assert {name for name, _ in BOUNDS} <= {name for name, _ in named}


def _case(peer: Any, **changes: Any) -> Case:
    x = torch.tensor([3.0, 4.0], requires_grad=True)
    sides = Sides(work(lambda a: a.square().sum(), [x]), lambda: work(peer, [x]))
    return dataclasses.replace(Case("square", "2", lambda device: sides, "peer"), **changes)


def test_agreeing_rows_are_measured() -> None:
    found = measure(_case(lambda a: (a * a).sum(), target=Target(1e9, 1e9)), "cpu", BRIEF)
    assert found.error is None
    (record,) = found.records
    assert set(record) == RECORD_KEYS
    assert record["ratio_ci"][0] <= record["ratio"] <= record["ratio_ci"][1]
    assert record["met"] is True and found.memory[0]["met"] is True
    assert len(found.forward) == 1


@pytest.mark.parametrize(
    "peer",
    [
        lambda a: 1.001 * a.square().sum(),
        lambda a: (a.square().sum() - a.sum()) + a.detach().sum(),
        lambda a: a.square().sum() * torch.nan,
    ],
    ids=["value", "gradient", "nan"],
)
def test_a_row_that_disagrees_is_an_error_and_no_time(peer: Any) -> None:
    found = measure(_case(peer), "cpu", BRIEF)
    assert found.records == [] and found.forward == [] and found.memory == []
    assert found.error is not None and "differs from peer by" in found.error["reason"]


def test_a_row_that_raises_is_an_error() -> None:
    def peer(a: Tensor) -> Tensor:
        raise RuntimeError("not for this")

    found = measure_or_report(_case(peer), "cpu", BRIEF)
    assert found.error is not None
    assert found.error["reason"] == "raises RuntimeError: not for this"


def test_a_missing_peer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    x = torch.ones(2, requires_grad=True)

    def peer() -> Any:
        return work(case.peer_module("speechbrain.nnet.losses").mse_loss, [x])

    sides = Sides(work(lambda a: a.sum(), [x]), peer)
    found = measure(Case("sum", "2", lambda device: sides, "speechbrain"), "cpu", BRIEF)
    assert found.missing is not None
    assert found.missing["reason"] == "speechbrain is not installed: make toolkits"
    assert set(found.records[0]) == RECORD_KEYS
    assert found.records[0]["ratio"] is None and found.records[0]["ours_ms"] > 0


def test_limits_have_a_record_of_their_own_where_they_have_a_target() -> None:
    x = torch.ones(2, requires_grad=True)
    sides = Sides(
        work(lambda a: a.sum(), [x]),
        lambda: work(lambda a: a.sum(), [x]),
        work(lambda a: 2.0 * a.sum(), [x]),
    )
    row = Case("sum", "2", lambda d: sides, "peer", "kernel", limit_target=Target(1e9))
    to_peer, to_limit = measure(row, "cpu", BRIEF).records
    assert (to_peer["peer"], to_peer["limit"]) == ("peer", "kernel")
    assert (to_limit["peer"], to_limit["limit"], to_limit["target"]) == (None, "kernel", 1e9)
    held = dataclasses.replace(sides, limit_agrees=True)
    again = dataclasses.replace(row, make=lambda d: held)
    assert measure(again, "cpu", BRIEF).error is not None


def test_rounds_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.measure._repeats", lambda step, device: 1)
    order: list[str] = []
    steps = {name: lambda name=name: order.append(name) for name in "ab"}  # type: ignore[misc]
    times = interleaved(steps, Effort(4, 10.0))
    assert [len(values) for values in times.values()] == [4, 4]
    assert order == list("baabbaab")


def test_ratios_are_of_rounds_and_intervals_hold_the_median() -> None:
    found = ratio([1.0, 20.0, 3.0], [2.0, 40.0, 6.0])
    assert (found.median, found.low, found.high) == (0.5, 0.5, 0.5)
    low, high = bootstrap([float(x) for x in range(101)])
    assert 30 < low < 50 < high < 70


def test_peak_memory_counts_what_lives_at_once() -> None:
    x = torch.ones(250_000)
    assert peak_mb(lambda: x * 2.0) == pytest.approx(1.0, abs=0.01)
    assert peak_mb(lambda: (x * 2.0) + (x * 3.0)) == pytest.approx(3.0, abs=0.01)


def test_disagreement_is_relative_to_the_gradient() -> None:
    small = torch.tensor([1e-6, 2e-6])
    assert disagreement([torch.ones(()), 1.1 * small], [torch.ones(()), small]) > 0.05
    assert disagreement([torch.ones(()), small], [torch.ones(()), small]) == 0.0
    assert disagreement([torch.ones(2)], [torch.ones(3)]) == float("inf")


def test_slopes_are_exponents() -> None:
    assert scaling.slope((10, 100, 1000), [3.0, 300.0, 30000.0]) == pytest.approx(2.0)


def test_eager_is_taken_unless_another_mode_is_clearly_faster() -> None:
    eager = {"ratio": 1.0, "ratio_ci": [1.0, 1.0]}
    modes = {"eager": eager, "script": {"ratio": 0.97, "ratio_ci": [0.9, 1.02]}}
    assert training.recommend(modes) == "eager"
    modes["compile"] = {"ratio": 0.5, "ratio_ci": [0.4, 0.6]}
    assert training.recommend(modes) == "compile"
    modes["compile"] = {"error": "no compiler"}
    assert training.recommend(modes) == "eager"


def test_a_training_step_is_measured_in_the_modes_that_agree(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "_MODES", {k: training._MODES[k] for k in ("eager", "script")})
    found = training.measure(training.HEADS[2], BRIEF)
    assert found["modes"]["eager"]["ratio"] == 1.0
    assert found["modes"]["script"]["ms"] > 0


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a quick run of one row writes."""
    pytest.importorskip("speechbrain", reason="speechbrain is not installed: make toolkits")
    monkeypatch.setattr(
        machine, "import_seconds", lambda rounds: {"torch_s": 2.0, "scriptable_s": 0.1}
    )
    threads = torch.get_num_threads()
    out = tmp_path / "bench.json"
    try:
        result = CliRunner().invoke(
            command.app, ["--quick", "--only", "get_mask", "--out", str(out)]
        )
    finally:
        torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output
    assert out.with_suffix(".png").stat().st_size > 1000
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_a_quick_run_writes_its_records(document: dict[str, Any]) -> None:
    assert {"versions", "records"} <= document.keys()
    assert all(set(record) == RECORD_KEYS for record in document["records"])
    assert document["versions"]["torch"] == importlib.metadata.version("torch")
    assert document["errors"] == [] and document["import"]["met"] is True


def test_an_unknown_row_is_a_bad_usage(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    result = CliRunner().invoke(command.app, ["--only", "no such row", "--out", str(out)])
    assert result.exit_code == 2 and not out.exists()


def _small() -> dict[str, Any]:
    record = {
        "name": "mse_loss",
        "shape": "B2 T3",
        "device": "cpu",
        "ours_ms": 1.234,
        "peer": "speechbrain",
        "peer_ms": 1.0,
        "ratio": 1.234,
        "ratio_ci": [1.2, 1.3],
        "ours_mb": 2.0,
        "peer_mb": 1.0,
        "limit": None,
        "limit_ms": None,
        "target": 1.1,
        "met": False,
    }
    memory = {**{k: record[k] for k in ("name", "shape", "device", "ours_mb")}, "ratio": 2.0}
    return {
        "versions": {"torch": "9.9", "espnet": "not installed"},
        "machine": {"processor": "A processor", "cores": 2},
        "records": [record],
        "memory": [{**memory, "reference": "speechbrain", "target": 1.0, "met": False}],
        "import": {"scriptable_s": 0.07},
        "scaling": [
            {
                "name": "GE2ELoss",
                "variable": "N",
                "fixed": "M10",
                "sizes": [16, 64],
                "ms": [1.0, 15.0],
                "slope": 1.95,
                "expected": 2,
            }
        ],
    }


def test_the_section_is_written_between_the_markers(tmp_path: Path) -> None:
    source, target = tmp_path / "bench.json", tmp_path / "README.md"
    source.write_text(json.dumps(_small()))
    target.write_text(f"before\n{readme.START}\nold\n{readme.END}\nafter\n")
    readme.fill(source, target)
    text = target.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert (tmp_path / readme.PLOT).read_text().count("<svg") == 1
    assert f"]({readme.PLOT})" in text
    assert (
        "A processor, one thread of 2 cores" in text
        and "torch 9.9" in text
        and "espnet" not in text
    )
    assert "| `mse_loss` | B2 T3 | 1.23 | speechbrain | 1.23 (1.2–1.3) | ≤ 1.1, missed |" in text
    assert "- `mse_loss` (B2 T3): 1.23 × the time of speechbrain" in text
    assert "- `mse_loss` (B2 T3): 2 × the memory of speechbrain" in text
    assert "| 1.95 | 2 |" in text
    readme.fill(source, target)
    assert target.read_text() == text


def test_the_rows_of_a_gpu_have_a_section_of_their_own(tmp_path: Path) -> None:
    source, target = tmp_path / "gpu.json", tmp_path / "page.md"
    found = _small()
    found["versions"]["torchaudio"] = "8.8"
    found["machine"]["gpu"] = "A card"
    found["records"][0]["device"] = "cuda"
    source.write_text(json.dumps(found))
    kept = f"{readme.START}\nkept\n{readme.END}\n"
    target.write_text(f"{kept}{readme.GPU_START}\nold\n{readme.GPU_END}\n")
    readme.fill(source, target)
    text = target.read_text()
    assert text.startswith(kept) and "one A card, with torch 9.9, torchaudio 8.8" in text
    assert "| `mse_loss` | B2 T3 | 1.23 | speechbrain | 1.23 (1.2–1.3) |  |" in text


def test_a_file_without_markers_is_left_alone(tmp_path: Path) -> None:
    source, target = tmp_path / "bench.json", tmp_path / "README.md"
    source.write_text(json.dumps(_small()))
    target.write_text("no markers\n")
    arguments = ["readme", "--source", str(source), "--target", str(target)]
    result = CliRunner().invoke(command.app, arguments)
    assert result.exit_code == 2 and target.read_text() == "no markers\n"
    source.write_text("{")
    assert CliRunner().invoke(command.app, arguments).exit_code == 2
