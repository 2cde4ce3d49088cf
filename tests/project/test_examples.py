"""The examples, run as their reader would run them: they train, and leave files that are proven."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toolkits import imported

import corpus
from export.errors import InputError
from export.jobs.ship import ship
from export.runtime.scorer import load_scorer
from finish import BACKENDS, build
from scriptable import ScorePipeline, equal_error_rate

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.mark.parametrize(
    ("name", "launcher", "needs"),
    [
        ("speechbrain_brain", [], "speechbrain.core"),
        ("lightning_module", [], "lightning"),
        ("torch_ddp", TORCHRUN, ""),
    ],
)
def test_example(name: str, launcher: list[str], needs: str, tmp_path: Path) -> None:
    if needs.startswith("speechbrain"):
        imported(needs)
    elif needs:
        pytest.importorskip(needs, reason=f"{needs} is not installed: pip install -e '.[examples]'")
    ran = subprocess.run(
        [sys.executable, *launcher, f"examples/{name}.py", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "epoch 4: loss" in ran.stdout
    records = json.loads((tmp_path / "parity.json").read_text())["records"]
    compared = {(r["backend"], r["content"]) for r in records if r["status"] == "pass"}
    assert compared == {(b, c) for b in BACKENDS for c in ("example", "other", "speech")}
    scorer = load_scorer(tmp_path / "scorer.xnnpack.pte")
    waveforms, labels = corpus.draw(20, seed=2)
    scores = torch.tensor([scorer.score_waveform(waveform) for waveform in waveforms])
    assert equal_error_rate(scores, labels).rate < 0.2


@pytest.fixture(scope="module")
def pipeline() -> ScorePipeline:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


@pytest.mark.parametrize(
    ("windows", "labels", "message"),
    [
        ((4, 100), (4,), r"windows: expected shape \[T, 8000\], got \[4, 100\]"),
        ((8000,), (1,), r"windows: expected shape \[T, 8000\], got \[8000\]"),
        ((4, 8000), (4, 1), r"labels: expected shape \[4\], got \[4, 1\]"),
    ],
)
def test_ship_names_what_is_wrong(
    pipeline: ScorePipeline,
    windows: tuple[int, ...],
    labels: tuple[int, ...],
    message: str,
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=message):
        ship(pipeline, torch.zeros(windows), torch.zeros(labels), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ship_refuses_one_class(pipeline: ScorePipeline, tmp_path: Path) -> None:
    waveforms, _ = corpus.draw(4, seed=3)
    with pytest.raises(InputError, match="held-out"):
        ship(pipeline, waveforms, torch.ones(4, dtype=torch.int64), tmp_path)
    assert list(tmp_path.iterdir()) == []
