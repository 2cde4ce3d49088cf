"""The emulated backend on a host that lacks a part of it; the device tests hold its numbers."""

import shutil
from pathlib import Path

import pytest
from artefact_helpers import usable

from export import backends
from export.backends import executorch_arm64 as module
from export.catalog import rows
from export.jobs.steps import artefact_paths
from export.parity.check import check_row

ARM64 = module.BACKEND


def present(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """As on a host that has everything, without running any of it."""
    usable("executorch_xnnpack")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(module, "SYSTEM", folder)
    monkeypatch.setattr(module, "RUNNER", folder / "run_method")
    (folder / "run_method").touch()


def test_it_is_usable_where_everything_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    present(monkeypatch, tmp_path)
    assert ARM64.unavailable() == ""


def test_a_missing_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    present(monkeypatch, tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert ARM64.unavailable().endswith("apt-get install qemu-user-static")


def test_a_missing_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    present(monkeypatch, tmp_path)
    monkeypatch.setattr(module, "SYSTEM", tmp_path / "none")
    assert ARM64.unavailable().endswith("apt-get install g++-aarch64-linux-gnu")


def test_a_missing_runner_is_skipped_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    present(monkeypatch, tmp_path)
    (tmp_path / "run_method").unlink()
    (row,) = (row for row in rows() if row.id == "OCSoftmax")
    records = check_row(row, [ARM64])
    assert {(record.status, record.reason) for record in records} == {
        ("skipped", "the runner for ARM is not built: make native-arm64")
    }


def test_only_scores_that_ship_are_emulated() -> None:
    (row,) = (row for row in rows() if row.id == "mse_loss[mean, no lengths]")
    assert not row.on_device
    assert check_row(row, [ARM64]) == []


def test_its_file_is_another_backends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    present(monkeypatch, tmp_path)
    assert backends.backend_of(Path("scorer.arm64.xnnpack.pte")) is ARM64
    assert backends.backend_of(Path("scorer.xnnpack.pte")).name == "executorch_xnnpack"
    assert ARM64.name not in artefact_paths(tmp_path, "scorer")


def test_a_processor_is_named() -> None:
    """QEMU's "max" gives wrong int8 scores."""
    words = ARM64.emulator()
    assert words[words.index("-cpu") + 1] == "cortex-a76"
