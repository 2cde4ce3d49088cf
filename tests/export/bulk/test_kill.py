"""Killed at any moment, ten times over, and every recording is there once."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet
from artefact_helpers import Artefacts
from bulk_helpers import EXPORT, ROOT, rows_of, shards_of, write_many

RECORDINGS = 2000
KILLS = 10


def start(*arguments: object) -> subprocess.Popen[str]:
    """The command, in a process group of its own that all its workers are in."""
    return subprocess.Popen(
        [*EXPORT, "bulk", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_tree(process: "subprocess.Popen[str]") -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_for_shards(process: "subprocess.Popen[str]", out: Path, count: int) -> None:
    while len(shards_of(out)) < count and process.poll() is None:
        time.sleep(0.002)


def test_ten_kills_lose_nothing_and_double_nothing(artefacts: Artefacts, tmp_path: Path) -> None:
    paths = write_many(tmp_path / "in", RECORDINGS)
    out = tmp_path / "out"
    arguments = (artefacts.path("torchscript"), tmp_path / "in", "--out", out)
    arguments = (*arguments, "--jobs", 2, "--shard-rows", 20)
    chance = random.Random(20261126)
    written: dict[Path, tuple[int, int]] = {}
    for kill in range(KILLS):
        process = start(*arguments)
        # Some while it starts; the others while it works, some shards later.
        if kill % 5 == 1:
            time.sleep(chance.uniform(0.0, 2.0))
        else:
            wait_for_shards(process, out, len(written) + chance.randint(1, 8))
            time.sleep(chance.uniform(0.0, 0.05))
        assert process.poll() is None, process.communicate()
        kill_tree(process)
        for path, stamp in written.items():
            assert (path.stat().st_ino, path.stat().st_mtime_ns) == stamp, "rewritten"
        written = {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in shards_of(out)}
        assert all(pyarrow.parquet.read_metadata(path).num_rows == 20 for path in written)
    assert 0 < len(written) < RECORDINGS // 20
    process = start(*arguments)
    said, _ = process.communicate()
    assert process.returncode == 0 and f"{RECORDINGS} recordings" in said
    rows = rows_of(out)
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert all(row["error"] is None and row["score"] is not None for row in rows)
    for path, stamp in written.items():
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == stamp, "rewritten"
    assert not list((out / ".partial").iterdir())
