"""A user's own heads through the whole parity battery, and parity in worker processes."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from artefact_helpers import LOWERED, RUNNABLE, Command, assert_refused, usable

from export.backends import select
from export.catalog import find
from export.parity.record import Record
from export.parity.run import run
from export.parity.workers import default_jobs

HEAD = '''
import torch
from torch import Tensor, nn

from scriptable import register_loss


@register_loss("CentreMargin")
class CentreMargin(nn.Module):
    """Bona fide speech is drawn within a margin of a centre, spoofed speech is pushed out."""

    def __init__(self, embedding_dim: int, margin: float = 1.0) -> None:
        super().__init__()
        self.margin = margin
        self.centre = nn.Parameter(torch.zeros(embedding_dim))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        sign = 2.0 * (labels == 1).to(embeddings.dtype) - 1.0
        return torch.relu(self.margin - sign * (self.score(embeddings) + 4.0)).mean()

    @torch.jit.export
    def score(self, embeddings: Tensor) -> Tensor:
        return -((embeddings - self.centre).square().sum(1) + 1e-8).sqrt()
'''
BAKED = """
import torch
from torch import nn
from scriptable import register_loss

@register_loss("Baked")
class Baked(nn.Module):
    def __init__(self, n_classes: int, embedding_dim: int = 6) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(n_classes, embedding_dim))

    def forward(self, embeddings: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(())
        for i in range(embeddings.shape[0]):
            total = total + (embeddings[i] - self.centres[int(labels[i])]).square().sum()
        return total
"""
HOOKED = """
import torch
from torch import nn
from scriptable import register_loss

@register_loss("Hooked")
class Hooked(nn.Module):
    example_arguments = {"temperature": 0.5}

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, x: torch.Tensor, y: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        return ((x - y) * w / self.temperature).square().mean()

    def example_inputs(self, generator):
        return {"forward": tuple(torch.randn(2, 3, 4, generator=generator) for _ in range(3))}

@register_loss("LabelsFirst")
class LabelsFirst(nn.Module):
    def __init__(self, enc_dim: int = 5) -> None:
        super().__init__()
        self.fc = nn.Linear(enc_dim, 1)

    def forward(self, label: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        return (self.fc(emb).squeeze(1) - label).square().mean()
"""
DIES = """
import multiprocessing, os
import torch
from torch import nn
from scriptable import register_loss

@register_loss("Lives")
class Lives(nn.Module):
    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        return embeddings.square().mean()

@register_loss("Dies")
class Dies(Lives):
    def state_dict(self):
        if multiprocessing.parent_process() is not None:
            os._exit(3)
        return super().state_dict()
"""


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("scriptable.config._REGISTERED", {})
    modules, path = dict(sys.modules), list(sys.path)
    yield
    for name in sys.modules.keys() - modules.keys():
        if name.startswith(("own_", "_user_")):
            del sys.modules[name]
    sys.path[:] = path


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / f"own_{name}.py"
    path.write_text(text)
    return path


def records_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["records"]


def test_a_head_of_under_30_lines_gets_the_full_matrix(tmp_path: Path, command: Command) -> None:
    for name in (*RUNNABLE, *LOWERED):
        usable(name)
    assert len(HEAD.strip().splitlines()) < 30
    found = tmp_path / "parity.json"
    ran = command("parity", "--module", written(tmp_path, "head", HEAD), "--json", found)
    assert ran.code == 0, ran
    records = records_of(found)
    assert {(r["entry"], r["variant"]) for r in records} == {("CentreMargin", "")}
    cells = {(r["backend"], r["method"], r["content"]): r["status"] for r in records}
    for backend in (*RUNNABLE, *LOWERED):
        for method in ("forward", "score"):
            for content in ("example", "other"):
                wanted = "pass" if backend in RUNNABLE else "not_run"
                assert cells[backend, method, content] == wanted
    assert f"{4 * len(RUNNABLE)} pass, {4 * len(LOWERED)} not_run" in ran.out


def test_labels_that_a_trace_bakes_in_are_found(tmp_path: Path, command: Command) -> None:
    found, path = tmp_path / "parity.json", written(tmp_path, "baked", BAKED)
    options = ("--backend", "torchscript", "--backend", "trace", "--json", found)
    ran = command("parity", "--module", path, *options)
    assert ran.code == 1
    cells = {(r["backend"], r["content"]): r for r in records_of(found)}
    assert cells["torchscript", "other"]["status"] == "pass"
    assert cells["trace", "example"]["status"] == "pass"
    assert cells["trace", "other"]["status"] == "fail"
    assert "differs by" in cells["trace", "other"]["reason"]
    assert "Baked.forward on trace, other: differs by" in ran.err


def test_hooks_and_names_give_the_inputs_and_processes_change_nothing(
    tmp_path: Path, command: Command
) -> None:
    path = written(tmp_path, "hooked", HOOKED)
    found = [tmp_path / "one.json", tmp_path / "two.json"]
    for jobs, file in zip("12", found, strict=True):
        ran = command(
            *("parity", "--module", path, "--backend", "torchscript", "--jobs", jobs),
            *("--json", file),
        )
        assert ran.code == 0, ran
    one, two = ([{**r, "seconds": 0, "bytes": 0} for r in records_of(file)] for file in found)
    assert one == two
    assert [r["entry"] for r in one] == ["Hooked"] * 2 + ["LabelsFirst"] * 2


def test_a_dotted_module_and_one_entry_of_it(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "dotted", HOOKED)
    monkeypatch.syspath_prepend(str(tmp_path))
    options = ("--module", "own_dotted", "--backend", "trace")
    ran = command("parity", *options, "--entry", "LabelsFirst")
    assert ran.code == 0, ran
    assert "2 pass" in ran.out and "Hooked" not in ran.out
    ran = command("parity", *options, "--entry", "LabelFirst")
    assert_refused(ran, "no entry is called LabelFirst", "did you mean 'LabelsFirst'?")


def test_the_installed_command_finds_modules_in_the_current_folder(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, "here", HOOKED)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    ran = command("parity", "--module", "own_here", "--backend", "trace", "--jobs", "1")
    assert ran.code == 0, ran
    assert "4 pass" in ran.out


START = "import torch\nfrom torch import nn\nfrom scriptable import register_loss\n"
CLASS = "@register_loss('Mine')\nclass Mine(nn.Module):\n"
WRONG = {
    "nothing": ("import torch\n", "registers no head"),
    "syntax": ("x = (\n", "own_syntax.py:1: SyntaxError: '(' was never closed"),
    "raises": (f"{START}print(undefined)\n", "own_raises.py:4: NameError: name 'undefined'"),
    "imports": ("import no_such_package\n", "own_imports.py:1: ModuleNotFoundError: No module"),
    "taken": (f"{START}@register_loss('AMSoftmax')\nclass Mine(nn.Module): ...\n", "is taken by"),
    "argument": (
        f"{START}{CLASS}    def __init__(self, tau): ...\n",
        "Mine: its argument tau has no default",
    ),
    "inputs": (
        f"{START}{CLASS}    def forward(self, a, b, c): ...\n",
        "Mine: forward takes a, b, c: write example_inputs",
    ),
    "shapes": (
        f"{START}{CLASS}    def forward(self, a): return a.reshape(7)\n",
        "Mine: forward fails on [6, 16]: RuntimeError",
    ),
    "hook": (
        f"{START}{CLASS}    def forward(self, a): ...\n"
        "    def example_inputs(self, generator): return (1,)\n",
        "Mine: example_inputs: expected a dict of method name to a tuple of tensors, got tuple",
    ),
    "config": (
        f"{START}{CLASS}    def __init__(self): raise ValueError('no')\n",
        "Mine: Mine cannot be built: no",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_module_that_cannot_be_used_is_one_line(
    name: str, tmp_path: Path, command: Command
) -> None:
    text, said = WRONG[name]
    ran = command("parity", "--module", written(tmp_path, name, text))
    assert_refused(ran, said)


def test_a_module_that_is_not_there_is_one_line(tmp_path: Path, command: Command) -> None:
    assert_refused(command("parity", "--module", tmp_path / "no.py"), "no.py: no such file")
    assert_refused(command("parity", "--module", "no_such.module"), "no_such.module: no such mod")


def unlike(records: list[Record]) -> list[Record]:
    """The records without what no two runs share."""
    return [replace(record, seconds=None, bytes=None) for record in records]


def test_worker_processes_give_the_same_records_in_the_same_order() -> None:
    rows = find(["CosineScore", "Posterior", "MaxFeatureMap"])
    use, told = select(["torchscript", "trace"]), []
    here = run(rows, use)
    there = run(rows, use, None, lambda *call: told.append(call), 2)
    assert unlike(there) == unlike(here)
    assert sorted(what for what, _, _ in told) == sorted(row.id for row in rows)
    assert [done for _, done, _ in told] == list(range(1, len(rows) + 1))


def test_a_row_that_kills_its_process_fails_and_the_others_pass(
    tmp_path: Path, command: Command
) -> None:
    found, path = tmp_path / "parity.json", written(tmp_path, "dies", DIES)
    options = ("--backend", "torchscript", "--jobs", "2", "--json", found)
    ran = command("parity", "--module", path, *options)
    assert ran.code == 1
    cells = {(r["entry"], r["content"]): (r["status"], r["reason"]) for r in records_of(found)}
    assert cells["Lives", "other"] == ("pass", "")
    assert cells["Dies", "other"] == ("fail", "the process that checked this entry died")


@pytest.mark.parametrize(("processors", "jobs"), [(1, 1), (3, 3), (8, 8), (64, 8)])
def test_there_are_as_many_workers_as_processors_up_to_8(
    processors: int, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = set(range(processors))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: allowed, raising=False)
    assert default_jobs() == jobs


def test_two_workers_where_the_processors_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    assert default_jobs() == 2
