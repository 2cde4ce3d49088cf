"""On a Ray of two workers, one of which is killed in the middle."""

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from artefact_helpers import Artefacts, Command, assert_refused
from bulk_helpers import rows_of, shards_of, write_many
from test_kill import start

RECORDINGS = 240

MISSING = "ray is not installed: pip install 'scriptable-speech[ray]'"


def actors_below(parent: int) -> list[int]:
    """Processes of Ray's actors that descend from a process."""
    above: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                status = (folder / "stat").read_text()
                names[int(folder.name)] = (folder / "cmdline").read_text()
            except OSError:
                continue
            above[int(folder.name)] = int(status.rpartition(")")[2].split()[1])

    def descends(process: int) -> bool:
        return process == parent or (process in above and descends(above[process]))

    return [p for p, name in names.items() if name.startswith("ray::Map") and descends(p)]


def test_without_ray_it_is_said_what_to_install(
    artefacts: Artefacts, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = (artefacts.path("torchscript"), tmp_path, "--out", tmp_path / "out")
    assert_refused(command("bulk", *arguments, "--engine", "ray"), MISSING)
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason=MISSING)
def test_a_killed_actor_costs_no_recording(artefacts: Artefacts, tmp_path: Path) -> None:
    paths = write_many(tmp_path / "in", RECORDINGS)
    out = tmp_path / "out"
    arguments = (artefacts.path("torchscript"), tmp_path / "in", "--out", out, "--engine", "ray")
    process = start(*arguments, "--jobs", 2, "--shard-rows", 4)
    while len(shards_of(out)) < 3 and process.poll() is None:
        time.sleep(0.01)
    killed = actors_below(process.pid)[:1]
    for actor in killed:
        os.kill(actor, signal.SIGKILL)
    before = len(shards_of(out))
    said, noted = process.communicate()
    assert process.returncode == 0, noted
    assert killed and before < RECORDINGS // 4, "killed too late to tell anything"
    assert f"{RECORDINGS} recordings" in said
    rows = rows_of(out)
    assert [row["path"] for row in rows] == [str(path) for path in paths]
    assert all(row["error"] is None and row["score"] is not None for row in rows)
    # What the local engine would find there is nothing to do.
    again = start(*arguments[:-2], "--jobs", 1)
    said, noted = again.communicate()
    assert again.returncode == 0 and "of them now" not in said, noted
