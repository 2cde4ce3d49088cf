"""The command: what it refuses, what it says, and how it goes on."""

import csv
import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
import pytest
from artefact_helpers import (
    Artefacts,
    Command,
    assert_refused,
    contract_of,
    save_as,
    voice,
    write_wav,
)
from bulk_helpers import EXPORT, ROOT, rows_of, shards_of, write_many
from test_verify import Made

from export.bulk.run import State
from export.commands import bulk
from export.files import locked


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve recordings, one of them broken."""
    folder = tmp_path_factory.mktemp("archive")
    for path in write_many(folder, 12)[3:4]:
        path.write_bytes(b"broken")
    return folder


def test_a_run_goes_on_and_knows_its_own(
    artefacts: Artefacts, archive: Path, tmp_path: Path, command: Command
) -> None:
    path, out, table = artefacts.path("torchscript"), tmp_path / "out", tmp_path / "rows.csv"
    ran = command("bulk", path, archive, "--out", out, "--jobs", 2, "--csv", table)
    assert ran.code == 0, ran
    assert "12 recordings" in ran.out and "12 of them now" in ran.out
    assert "1 recordings could not be read" in ran.err
    assert "file and weights verified by sha256" in ran.err
    assert len(shards_of(out)) == 6, "few recordings are shared out"

    rows = rows_of(out)
    with table.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [(r["path"], r["score"], r["error"]) for r in written] == [
        (r["path"], "" if r["score"] is None else repr(r["score"]), r["error"] or "") for r in rows
    ]
    found = json.loads((out / "summary.json").read_text())
    assert (found["recordings"], found["scored"], found["errors"]) == (12, 11, 1)
    assert found["artefact"] == json.loads((out / "run.json").read_text())["artefact"]
    assert sum(bar["count"] for bar in found["scores"]) == 11
    scores = [row["score"] for row in rows if row["score"] is not None]
    assert found["scores"][0]["low"] <= min(scores) <= max(scores) < found["scores"][-1]["high"]
    assert set(found["seconds_by_stage"]) == {"fetch", "decode", "model", "other"}
    assert found["slowest_stage"] in found["seconds_by_stage"]
    assert found["this_start"]["megabytes_per_worker"] > 0

    # Two shards are lost: they, and no others, are made again.
    kept = shards_of(out)[1:-1]
    stamps = [shard.stat().st_mtime_ns for shard in kept]
    for shard in (shards_of(out)[0], shards_of(out)[-1]):
        shard.unlink()
    (out / ".partial" / "left.tmp").write_text("by a run that was killed")
    ran = command("bulk", path, archive, "--out", out, "--jobs", 1)
    assert ran.code == 0 and "4 of them now" in ran.out, ran
    assert [shard.stat().st_mtime_ns for shard in kept] == stamps
    assert rows_of(out) == rows
    assert not (out / ".partial" / "left.tmp").exists()

    other = save_as(
        "torchscript",
        artefacts.pipeline,
        contract_of(artefacts.pipeline, threshold=1.5).model_dump_json(indent=1),
        tmp_path / "other.pt",
    )
    refused = command("bulk", other, archive, "--out", out, "--jobs", 1)
    assert_refused(refused, "holds the run of another artefact")
    (tmp_path / "in").mkdir()
    refused = command("bulk", path, tmp_path / "in", "--out", out, "--jobs", 1)
    assert_refused(refused, "holds the run of another input")
    shards_of(out)[2].write_bytes(b"torn")
    refused = command("bulk", path, archive, "--out", out, "--jobs", 1)
    assert_refused(refused, "00000002.parquet: damaged; remove it")


def test_progress_says_rate_errors_and_what_is_left(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(done=3000, total=10_000, errors=12, new=1000, seconds=10.0)
    assert bulk.said(state) == "3,000 of 10,000, 100.0/s, 12 errors, 0:01:10 left"
    assert bulk.said(State(5, None, 0, 5, 0.0)) == "5, 0.0/s"
    # Without a terminal it is a line now and then.
    monkeypatch.setattr(bulk, "_EVERY", 0.0)
    with bulk._reported() as report:
        report(state)
    assert capfd.readouterr().err == f"progress: {bulk.said(state)}\n"


def test_what_cannot_be_begun_is_refused(
    artefacts: Artefacts, archive: Path, tmp_path: Path, command: Command
) -> None:
    path, out = artefacts.path("torchscript"), tmp_path / "out"

    def refused(*arguments: object, said: str) -> None:
        assert_refused(command("bulk", *arguments, "--jobs", 1), said)
        assert not (out / "shards").exists()

    refused(tmp_path / "no.pt", archive, "--out", out, said="no.pt: no such file")
    refused(path, tmp_path / "none", "--out", out, said="none: no such file")
    refused(path, archive, "--out", out, "--engine", "dask", said="expected one of local, ray")
    (tmp_path / "list.csv").write_text("name\na.wav\n")
    refused(path, tmp_path / "list.csv", "--out", out, said="expected a column path, got name")
    (tmp_path / "list.csv").write_text("path,score\na.wav,1\n")
    refused(path, tmp_path / "list.csv", "--out", out, said="column score: is written here")
    (tmp_path / "empty").mkdir()
    refused(path, tmp_path / "empty", "--out", out, said="contains no recordings")
    full = tmp_path / "full"
    full.mkdir()
    (full / "letter.txt").write_text("mine")
    refused(path, archive, "--out", full, said="contains files that no bulk run wrote")
    assert [p.name for p in full.iterdir()] == ["letter.txt"]
    refused(path, archive, "--out", full / "letter.txt", said="is not a folder")


def test_a_manifest_that_was_changed_is_another_input(
    artefacts: Artefacts, archive: Path, tmp_path: Path, command: Command
) -> None:
    path, out, listed = artefacts.path("torchscript"), tmp_path / "out", tmp_path / "list.txt"
    names = [str(found) for found in sorted(archive.iterdir())[:2]]
    listed.write_text("\n".join([*names, names[0]]))
    ran = command("bulk", path, listed, "--out", out, "--jobs", 1)
    assert ran.code == 0 and "1 paths are named again and scored once" in ran.err, ran
    assert [row["path"] for row in rows_of(out)] == names
    listed.write_text("\n".join(names))
    refused = command("bulk", path, listed, "--out", out, "--jobs", 1)
    assert_refused(refused, "an input that was since changed")


def test_too_many_errors_stop_early(artefacts: Artefacts, tmp_path: Path, command: Command) -> None:
    (tmp_path / "list.txt").write_text("".join(f"gone{n}.wav\n" for n in range(50_000)))
    arguments = ("bulk", artefacts.path("torchscript"), tmp_path / "list.txt", "--out")
    ran = command(*arguments, tmp_path / "out", "--jobs", 1, "--max-errors", 20)
    assert_refused(ran, "could not be read, more than --max-errors 20")
    assert len(rows_of(tmp_path / "out")) < 50_000


def test_a_full_disk_stops_cleanly_and_is_gone_on_from(
    artefacts: Artefacts, archive: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the disk: both end in an error of the system."""
    out = tmp_path / "out"
    words = [*EXPORT, "bulk", artefacts.path("torchscript"), archive, "--out", out, "--jobs", "1"]

    def start(limit: Callable[[], None] | None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            list(map(str, words)),
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=limit,
        )

    # A listing fits, and what Python shares between processes; a shard does not.
    ran = start(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4200, 4200)))
    assert ran.returncode == 2 and ran.stderr == f"error: {out}: File too large\n", ran
    assert shards_of(out) == [] and list((out / ".partial").iterdir()) == []
    ran = start(None)
    assert ran.returncode == 0 and len(rows_of(out)) == 12, ran


def test_a_second_run_in_the_same_folder_waits_for_no_one(
    artefacts: Artefacts, archive: Path, tmp_path: Path, command: Command
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with locked(out):
        ran = command("bulk", artefacts.path("torchscript"), archive, "--out", out, "--jobs", 1)
    assert_refused(ran, "another run is writing there")


def test_a_verifier_embeds(made_verifier: Path, tmp_path: Path, command: Command) -> None:
    write_wav(tmp_path / "in" / "a.wav", voice(9000))
    ran = command("bulk", made_verifier, tmp_path / "in", "--out", tmp_path / "out", "--jobs", 1)
    assert ran.code == 0 and "1 recordings" in ran.out and "embedded" in ran.out, ran
    (shard,) = shards_of(tmp_path / "out")
    assert "embedding" in pyarrow.parquet.read_schema(shard).names
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["scores"] == []
    ran = command("metrics", tmp_path / "out")
    assert_refused(ran, "contains embeddings, not scores")


@pytest.fixture(scope="module")
def made_verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verifiers")
    return Path(shutil.copy(Made(folder).path("verification", "torchscript"), folder / "copy.pt"))
