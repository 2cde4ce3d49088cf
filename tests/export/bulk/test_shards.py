"""A shard's rows, which say of a recording what ``score`` and ``verify`` say of it."""

import io
import json
import shutil
import socket
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from artefact_helpers import RATE, Artefacts, usable, voice, write_wav
from bulk_helpers import rows_of, store_at
from test_verify import Made

from export.bulk import ahead, shards
from export.bulk.facts import Facts, Pulse, read_facts
from export.bulk.inputs import find_input
from export.bulk.judges import open_judge
from export.bulk.listing import Listing
from export.bulk.shards import make_shard
from export.errors import InputError
from export.runtime.scorer import load_scorer
from export.runtime.verifier import load_verifier
from export.speech import HINT, speech_files

LIMIT = 20.0


def shard(
    artefact: Path, place: Path | str, out: Path, limit: float = LIMIT, **spoiled: str
) -> Facts:
    """All of an input in one shard, made in this process."""
    store = store_at(out)
    source = find_input(str(place))
    assert [number for number, _ in Listing(store, source, 1000).slices()] == [0]
    reasons = {int(index): reason for index, reason in spoiled.items()}
    judge = open_judge(artefact)
    return make_shard(store, source.place, 0, judge, limit, reasons, Pulse())[0]


def write_archive(folder: Path) -> None:
    """Recordings of many kinds, and what is none."""
    write_wav(folder / "a.wav", voice(9000))
    stereo = torch.stack([voice(9000, rate=44100), voice(9000, pitch=190, seed=2, rate=44100)], 1)
    write_wav(folder / "b.flac", stereo, 44100)
    write_wav(folder / "long.wav", voice(4 * RATE, seed=3))
    write_wav(folder / "quiet.wav", voice(9000) * 1e-5)
    write_wav(folder / "short.wav", voice(1700, seed=4))
    (folder / "text.wav").write_text("no audio")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "cut.wav").write_bytes((folder / "a.wav").read_bytes()[:4000])


@pytest.mark.parametrize("name", ["torchscript", "executorch_xnnpack"])
def test_every_row_says_what_score_says(artefacts: Artefacts, name: str, tmp_path: Path) -> None:
    usable(name)
    write_archive(tmp_path / "in")
    facts = shard(artefacts.path(name), tmp_path / "in", tmp_path / "out")
    scorer = artefacts.scorer(name)
    rows = rows_of(tmp_path / "out")
    assert [Path(row["path"]).name for row in rows] == sorted(
        p.name for p in (tmp_path / "in").iterdir()
    )
    for row in rows:
        if row["error"] is not None:
            with pytest.raises(InputError) as caught:
                scorer.score_file(Path(row["path"]))
            assert row["error"] == str(caught.value)
            assert row["score"] is row["decision"] is row["seconds"] is None
            continue
        expected = scorer.score_file(Path(row["path"]))[0].as_entry()
        assert {key: row[key] for key in expected if key in row} == {
            key: expected[key] for key in expected if key in row
        }
        assert row["sample_rate"] == (44100 if row["path"].endswith(".flac") else RATE)
        assert row["artefact"] == scorer.contract.file_sha256 and row["contract_version"] == 2
    assert (facts.recordings, facts.errors, facts.undecided) == (8, 3, 1)
    assert sum(facts.scores.values()) == 4
    assert rows[[Path(row["path"]).stem for row in rows].index("long")]["seconds"] == 4.0


def test_rows_of_real_speech_say_what_score_says(artefacts: Artefacts, tmp_path: Path) -> None:
    paths = speech_files()
    if not paths:
        pytest.skip(HINT)
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in paths))
    shard(artefacts.path("executorch_xnnpack"), tmp_path / "list.txt", tmp_path / "out")
    scorer = artefacts.scorer("executorch_xnnpack")
    for row, path in zip(rows_of(tmp_path / "out"), paths, strict=True):
        scored = scorer.score_file(path)[0]
        assert (row["score"], row["llr"], row["decision"]) == (
            scored.score,
            scored.llr,
            scored.decision,
        )


def test_recordings_in_archives_and_at_urls_are_the_same(
    artefacts: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    write_archive(tmp_path / "in")
    path = artefacts.path("torchscript")
    shard(path, tmp_path / "in", tmp_path / "out")
    with tarfile.open(tmp_path / "w.tar", "w") as tar:
        tar.add(tmp_path / "in", "in")
    shard(path, tmp_path / "w.tar", tmp_path / "archived")
    system = fsspec.filesystem("memory")
    for file in (tmp_path / "in").iterdir():
        system.pipe_file(f"/{tmp_path.name}/{file.name}", file.read_bytes())
    shard(path, f"memory://{tmp_path.name}", tmp_path / "remote")
    numbers = {}
    for out in ("out", "archived", "remote"):
        rows = {
            row.pop("path").partition("::")[0].rpartition("/")[2]: row
            for row in rows_of(tmp_path / out)
        }
        for row in rows.values():
            # The same words about another place.
            row["error"] = row["error"] and row["error"].rpartition(": ")[2]
        numbers[out] = rows
    assert numbers["out"] == numbers["archived"] == numbers["remote"]
    assert list(temporary.iterdir()) == [], "copies stayed behind"


def test_a_manifest_is_relative_to_itself_and_keeps_its_columns(
    artefacts: Artefacts, tmp_path: Path
) -> None:
    write_wav(tmp_path / "in" / "a.wav", voice(9000))
    (tmp_path / "in" / "list.csv").write_text("key,path,n\nspoof,a.wav,7\nbonafide,gone.wav,8\n")
    facts = shard(artefacts.path("torchscript"), tmp_path / "in" / "list.csv", tmp_path / "out")
    first, second = rows_of(tmp_path / "out")
    assert (first["path"], first["key"], first["n"], first["error"]) == (
        "a.wav",
        "spoof",
        "7",
        None,
    )
    assert second["n"] == "8" and second["error"].endswith("gone.wav: no such file; check the path")
    assert facts.errors == 1


def test_a_file_that_may_not_be_read_is_a_row(
    artefacts: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever runs this may be allowed to read anything.
    refused = write_wav(tmp_path / "in" / "a.wav", voice(9000))
    open_file = Path.open

    def denied(path: Path, *rest: Any, **more: Any) -> Any:
        if path == refused:
            raise PermissionError(13, "Permission denied", str(path))
        return open_file(path, *rest, **more)

    monkeypatch.setattr(Path, "open", denied)
    shard(artefacts.path("torchscript"), tmp_path / "in", tmp_path / "out")
    assert rows_of(tmp_path / "out")[0]["error"] == (
        f"{refused}: cannot be read (Permission denied); check it"
    )


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A remote that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_remote_that_does_not_answer_is_a_row(
    artefacts: Artefacts, tmp_path: Path, silent_server: str
) -> None:
    write_wav(tmp_path / "a.wav", voice(9000))
    (tmp_path / "list.txt").write_text(f"{silent_server}/x.wav\na.wav\n")
    facts = shard(artefacts.path("torchscript"), tmp_path / "list.txt", tmp_path / "out", limit=1.0)
    first, second = rows_of(tmp_path / "out")
    assert first["error"] == f"{silent_server}/x.wav: nothing came of it for 1 s; given up"
    assert second["error"] is None and second["score"] is not None
    assert facts.errors == 1


def test_a_decoder_that_hangs_is_left_behind(
    artefacts: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write_wav(tmp_path / "in" / f"{name}.wav", voice(9000))

    class Hanging(ahead.Recording):
        def blocks(self) -> Iterator[torch.Tensor]:
            if self.path.stem == "b":
                time.sleep(3)
            yield from super().blocks()

    monkeypatch.setattr(ahead, "Recording", Hanging)
    shard(artefacts.path("torchscript"), tmp_path / "in", tmp_path / "out", limit=0.6)
    errors = [row["error"] for row in rows_of(tmp_path / "out")]
    assert errors == [None, f"{tmp_path}/in/b.wav: nothing came of it for 0.6 s; given up", None]


def test_a_recording_that_was_given_up_is_not_tried(artefacts: Artefacts, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_wav(tmp_path / "in" / f"{name}.wav", voice(9000))
    shard(
        artefacts.path("torchscript"), tmp_path / "in", tmp_path / "out", **{"1": "given up: bad"}
    )
    assert [row["error"] for row in rows_of(tmp_path / "out")] == [
        None,
        f"{tmp_path}/in/b.wav: given up: bad",
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("verifiers"))


@pytest.mark.parametrize("task", ["verification", "sasv"])
def test_a_verifier_gives_the_embeddings_that_verify_compares(
    made: Made, task: str, tmp_path: Path
) -> None:
    write_archive(tmp_path / "in")
    path = made.path(task, "torchscript")
    shard(path, tmp_path / "in", tmp_path / "out")
    verifier = load_verifier(path)
    scorer = load_scorer(path) if task == "sasv" else None
    table = pyarrow.parquet.read_table(tmp_path / "out" / "shards" / "00000000.parquet")
    size = verifier.contract.scoring.embedding_dim
    assert table.schema.field("embedding").type == pyarrow.list_(pyarrow.float32(), size)
    heard_any = False
    for row in table.to_pylist():
        if row["error"] is not None:
            assert row["embedding"] is None
            continue
        heard, _ = verifier.hear_file(Path(row["path"]))
        assert row["reason"] == heard.reason
        assert (row["embedding"] is None) == (heard.embedding is None)
        if heard.embedding is not None:
            heard_any = True
            assert np.array_equal(np.float32(row["embedding"]), heard.embedding[0].numpy())
        if scorer is not None:
            scored = scorer.score_file(Path(row["path"]))[0]
            assert (row["score"], row["llr"], row["decision"]) == (
                scored.score,
                scored.llr,
                scored.decision,
            )
        else:
            assert "score" not in row
    assert heard_any


def test_a_shard_is_never_written_again(artefacts: Artefacts, tmp_path: Path) -> None:
    write_wav(tmp_path / "in" / "a.wav", voice(9000))
    path = artefacts.path("torchscript")
    facts = shard(path, tmp_path / "in", tmp_path / "out")
    made = tmp_path / "out" / "shards" / "00000000.parquet"
    content, stamp = made.read_bytes(), made.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "in")
    store = store_at(tmp_path / "out")
    again, _ = make_shard(store, "", 0, open_judge(path), LIMIT, {}, Pulse())
    assert again == facts and set(facts.stages) == {"fetch", "decode", "model", "other"}
    assert (made.read_bytes(), made.stat().st_mtime_ns) == (content, stamp)
    assert not store.create("shards/00000000.parquet", b"other")
    assert made.read_bytes() == content


def test_a_shard_that_is_damaged_or_anothers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="here: damaged; remove it"):
        read_facts(b"half of something", "a", "here")
    table = pyarrow.table({"path": ["a"]})
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table, sink)
    with pytest.raises(InputError, match="not a shard of this run"):
        read_facts(sink.getvalue(), "a", "here")
    said = json.dumps({"artefact": "b", "recordings": 1})
    sink = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"scriptable.facts": said}), sink)
    with pytest.raises(InputError, match="of another artefact"):
        read_facts(sink.getvalue(), "a", "here")
    assert read_facts(sink.getvalue(), "b", "here").recordings == 1


@pytest.mark.parametrize(("name", "turns"), [("executorch_xnnpack", True), ("torchscript", False)])
def test_only_a_runtime_that_holds_the_interpreter_takes_turns(
    artefacts: Artefacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, turns: bool
) -> None:
    usable(name)
    write_wav(tmp_path / "in" / "a.wav", voice(9000))
    taken = []

    class Watched(ahead.ReadAhead):
        def __init__(self, *what: Any, turns: bool) -> None:
            super().__init__(*what, turns=turns)
            taken.append(turns)

    monkeypatch.setattr(shards, "ReadAhead", Watched)
    assert shard(artefacts.path(name), tmp_path / "in", tmp_path / "out").errors == 0
    assert taken == [turns]
