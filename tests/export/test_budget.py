"""A budget of time: what does not fit in is left out, and what is slow is run once."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from export.backends import Artefact, Backend, Inputs, Source
from export.budget import Budget, OutOfTime, unlimited
from export.catalog import Row
from export.commands import _app
from export.jobs.publish import Product, publish
from export.parity import check
from export.parity.check import check_backend, make_trials
from export.runtime.contract import Audio, Contract, Decision, Windows, versions, weights_sha256


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Answer(Artefact):
    def __init__(self, seconds: float, contract: str) -> None:
        self.seconds = seconds
        self.runs = 0
        self.text = contract

    def run(self, method: str, inputs: Inputs) -> Inputs:
        self.runs += 1
        time.sleep(self.seconds)
        return (2 * inputs[0],)

    def contract(self) -> str:
        return self.text


class Timed(Backend):
    name, suffix, tolerance = "timed", ".timed", 1e-6

    def __init__(self, saving: float = 0.0, running: float = 0.0, slowness: float = 1.0) -> None:
        self.saving, self.running = saving, running
        self.slowness = slowness  # type: ignore[misc]

    def save(self, source: Source, path: Path) -> None:
        end = time.monotonic() + self.saving
        while time.monotonic() < end:
            time.sleep(0.01)
        path.write_text(source.contract)

    def load(self, path: Path) -> Artefact:
        self.loaded = Answer(self.running, path.read_text())
        return self.loaded


def row() -> Row:
    def draw(g: Generator) -> Inputs:
        return (torch.randn(1, 4, generator=g),)

    return Row("Doubled", Doubled, {"forward": draw}, speech={"forward": lambda x: (x[None, :4],)})


def records(backend: Backend, folder: Path, budget: Budget):
    source = Source(Doubled(), {"forward": row().draw("forward", 0)})
    trials = [replace(t, seconds=1.0) for t in make_trials(row(), Doubled(), torch.rand(9))]
    return check_backend(row(), backend, source, trials, folder / "x.timed", budget)


def test_a_slow_file_is_run_once_on_what_tells_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = Timed(running=0.05)
    # As slow as eager is not slow.
    assert len(records(backend, tmp_path, Budget(1e6, patience=0.01))) == 3
    monkeypatch.setattr(check, "_SLOWER", 0.0)
    found = records(backend, tmp_path, Budget(1e6, patience=0.01))
    assert [(r.content, r.status) for r in found] == [("speech", "pass")]
    assert found[0].slow_pass is not None and found[0].slow_pass >= 0.05
    assert "run only once, on speech" in found[0].reason
    assert backend.loaded.runs == 1
    found = records(backend, tmp_path, unlimited())
    assert [r.content for r in found] == ["example", "other", "speech"]
    assert backend.loaded.runs == 6 and not any(r.reason for r in found)


def test_saving_that_does_not_end_is_stopped_and_left_out(tmp_path: Path) -> None:
    found = records(Timed(saving=60.0), tmp_path, Budget(0.2))
    assert {r.status for r in found} == {"skipped"}
    assert "writing it did not end within the budget of 0 s (--budget)" in found[0].reason
    assert not list(tmp_path.iterdir())


def test_a_pass_that_would_not_end_is_not_begun(tmp_path: Path) -> None:
    backend = Timed(slowness=300.0)
    found = records(backend, tmp_path, Budget(100.0))
    assert {r.status for r in found} == {"skipped"}
    assert "it would take about 300 s, and " in found[0].reason
    assert backend.loaded.runs == 0


def test_nothing_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    found = records(Timed(), tmp_path, Budget(1e-9))
    assert {r.status for r in found} == {"skipped"}
    assert "the budget of 0 s is used up (--budget)" in found[0].reason


def test_the_limit_lets_go_of_what_ends_in_time() -> None:
    budget = Budget(30.0)
    with budget.limit():
        pass
    with pytest.raises(OutOfTime), Budget(0.05).limit():
        time.sleep(5)
    time.sleep(0.06)


def test_the_documents_grow_with_every_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from export.jobs import steps

    known = {"timed": Timed()}
    monkeypatch.setattr(steps, "all_backends", lambda: known)
    monkeypatch.setattr(steps, "backend_of", lambda path: known["timed"])
    monkeypatch.setattr(steps, "use_one_thread", lambda: None)
    module = Doubled()
    contract = Contract(
        model="doubled",
        audio=Audio(sample_rate=16000),
        windows=Windows(num_samples=4, hop=4),
        decision=Decision(scale=1, offset=0, prior=0.5, threshold=0, operating_point="none"),
        versions=versions(),
        weights_sha256=weights_sha256(module.state_dict()),
    )
    seen: list[int] = []

    class Looking(Timed):
        name = "looking"

        def save(self, source: Source, path: Path) -> None:
            partial = json.loads((tmp_path / "parity.partial.json").read_text())
            seen.append(len(partial["records"]))
            assert not (tmp_path / "parity.json").exists()
            raise ValueError("this one fails")

    known["looking"] = Looking()
    product = Product("Doubled", module, contract, row(), speech=torch.rand(9))
    result = publish(product, tmp_path, lambda *call: None, list(known.values()))
    assert seen == [3], "the comparisons so far are there while the job runs"
    assert {path.name for path in tmp_path.iterdir()} >= {"parity.json", "report.html"}
    assert not (tmp_path / "parity.partial.json").exists()
    assert [r.status for r in result.records] == ["pass"] * 3 + ["fail"] * 3
    assert not result.passed and result.eager_ms > 0


def test_progress_is_said_in_lines_where_there_is_no_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(_app.time, "monotonic", lambda: now[0])
    with _app.progress_bar() as progress:
        for second, (what, done) in enumerate([("a", 0), ("a", 1), ("b", 0), ("b", 1), ("b", 2)]):
            now[0] = 6.0 * second
            progress(what, done, 3)
    assert capfd.readouterr().err.splitlines() == [
        "progress: 12 s: b (1 of 3)",
        "progress: 24 s: b (3 of 3)",
    ]
