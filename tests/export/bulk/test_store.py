"""The folder of a run: nothing half, nothing twice."""

import os
from pathlib import Path

import pytest
from bulk_helpers import store_at

from export.bulk.store import open_store
from export.errors import InputError


@pytest.mark.parametrize("place", ["here", "memory://store-test/run"])
def test_what_is_created_is_whole_and_stays(place: str, tmp_path: Path) -> None:
    store = store_at(tmp_path / "run") if place == "here" else open_store(place)
    with store.held():
        assert store.names("shards") == []
        assert store.create("shards/b", b"one") and store.create("shards/a", b"two")
        assert not store.create("shards/b", b"three")
        assert store.names("shards") == ["a", "b"]
        assert store.exists("shards/a") and not store.exists("shards/c")
        assert store.read("shards/b") == b"one"
        store.replace("summary", b"1")
        store.replace("summary", b"2")
        assert store.read("summary") == b"2"


def test_without_links_a_file_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    store = store_at(tmp_path / "run")
    assert store.create("a", b"one") and not store.create("a", b"two")
    assert store.read("a") == b"one"
    assert list((tmp_path / "run" / ".partial").iterdir()) == []


def test_files_are_as_others_may_read_them(tmp_path: Path) -> None:
    store_at(tmp_path / "run").create("a", b"")
    (tmp_path / "b").touch()
    assert (tmp_path / "run" / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_protocol_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="nonsense"):
        open_store("nonsense://bucket/run")
