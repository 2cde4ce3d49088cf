"""The same numbers from an emulated phone processor."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from artefact_helpers import Artefacts, assert_refused
from native_helpers import Program

from export import backends
from export.backends.executorch_arm64 import BACKEND as ARM64
from export.catalog import Row, rows
from export.errors import ArtefactError
from export.parity.check import check_row

SHIPPED = [row for row in rows() if row.on_device]


@pytest.fixture(autouse=True)
def at_hand() -> None:
    if ARM64.unavailable():
        pytest.skip(ARM64.unavailable())


@pytest.mark.parametrize("row", SHIPPED, ids=lambda row: row.id)
def test_scores_that_ship_equal_eager(row: Row) -> None:
    records = check_row(row, [ARM64])
    assert {record.status for record in records} == {"pass"}, records


def test_the_emulated_processor_is_arm() -> None:
    """The sum of 25 000 products differs in its last bits from the host's kernels."""
    (row,) = (row for row in rows() if row.id == "ScorePipeline")
    (here, there) = (
        next(r for r in check_row(row, [backend]) if r.content == "example")
        for backend in (backends.all_backends()["executorch_xnnpack"], ARM64)
    )
    assert here.max_abs_error != there.max_abs_error


def test_contract_weights_and_errors(artefacts: Artefacts, tmp_path: Path) -> None:
    copy = tmp_path / "tiny.arm64.xnnpack.pte"
    copy.write_bytes(artefacts.path("executorch_xnnpack").read_bytes())
    backend, artefact = backends.load(copy)
    assert backend is ARM64
    assert artefact.file_sha256 is not None
    assert artefact.contract().replace(artefact.file_sha256, "0" * 64) == artefacts.text
    assert artefact.weights() is None
    with pytest.raises(ArtefactError, match="its method forward fails"):
        artefact.run("forward", (torch.zeros(1, 7),))
    copy.write_text("no program")
    with pytest.raises(ArtefactError, match=f"{copy}: not an ExecuTorch program"):
        backends.load(copy)


def test_golden_vectors(artefacts: Artefacts, emulated: Program, tmp_path: Path) -> None:
    from export.jobs.vectors import write_vectors
    from export.runtime.scorer import load_scorer

    model = artefacts.path("executorch_xnnpack")
    write_vectors(load_scorer(model), tmp_path / "vectors")
    cases = json.loads((tmp_path / "vectors" / "vectors.json").read_text())["cases"]
    ran = emulated("--json", model, *(tmp_path / "vectors" / case["wav"] for case in cases))
    assert ran.code == 0, ran.err
    for found, case in zip(json.loads(ran.out), cases, strict=True):
        tolerance = 1e-5 if case["sample_rate"] == 16000 else 1e-4
        assert (found["decision"], found["reason"]) == (case["decision"], case["reason"])
        if case["score"] is None:
            assert found["score"] is None, case["name"]
            continue
        assert found["score"] == pytest.approx(case["score"], abs=tolerance, rel=0), case["name"]


def test_speech(full: Path, speech: list[Path], spoof_score: Program, emulated: Program) -> None:
    here, there = (run("--json", full, *speech) for run in (spoof_score, emulated))
    assert here.code == there.code == 0, there.err
    found, expected = json.loads(there.out), json.loads(here.out)
    np.testing.assert_allclose(
        [r["score"] for r in found], [r["score"] for r in expected], rtol=0, atol=1e-5
    )
    assert [r["decision"] for r in found] == [r["decision"] for r in expected]


def test_bad_input(artefacts: Artefacts, tmp_path: Path, emulated: Program) -> None:
    model = artefacts.path("executorch_xnnpack")
    broken = tmp_path / "broken.pte"
    broken.write_bytes(model.read_bytes()[:-9])
    assert_refused(emulated(broken, "a.wav"), "truncated")
    ran = emulated(model, tmp_path / "none.wav")
    assert ran.code == 2 and "no such file" in ran.err
