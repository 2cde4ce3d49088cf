"""Folders, manifests and archives: what is listed, in which order, and how a listing goes on."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pyarrow
import pyarrow.parquet
import pytest
from bulk_helpers import store_at

from export.bulk.inputs import find_input, slices
from export.bulk.listing import Listing, read_slice
from export.bulk.walk import Counts, members, walk
from export.errors import InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def write_tar(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            content = f"content of {name}".encode()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def paths_of(place: Path) -> list[str]:
    tables = find_input(str(place)).tables(0, "")
    return [path.decode() for table in tables for path in table["path"].to_pylist()]


def test_a_folder_is_walked_in_the_order_of_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.wav", "b/1.FLAC", "a.wav", "c/d/e.mp3", "notes.txt", "b.wav")
    (tmp_path / "c" / "back").symlink_to(tmp_path)
    names = ["a.wav", "b/1.FLAC", "b/2.wav", "b.wav", "c/d/e.mp3"]
    assert paths_of(tmp_path) == [str(tmp_path / name) for name in names]


def test_a_walk_goes_on_behind_any_recording(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b/1.wav", "b/2.wav", "b.wav", "c/d/e.wav", "c/f.wav")
    write_tar(tmp_path / "b" / "w.tar", "k/1.wav", "k/2.wav", "k/1.json", "k/3.wav")
    whole = [found.path for found in walk(str(tmp_path), Counts())]
    assert len(whole) == 9
    for place, stopped in enumerate(whole):
        rest = [found.path for found in walk(str(tmp_path), Counts(), stopped)]
        assert rest == whole[place + 1 :], stopped


def test_members_of_an_archive_are_found_where_they_begin(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "w.tar", "1.wav", "1.txt", "2.flac", "1.wav")
    counts = Counts()
    content = archive.read_bytes()
    found = list(members(str(archive), counts))
    assert [f.path for f in found] == [f"tar://{n}::{archive}" for n in ("1.wav", "2.flac")]
    assert counts.duplicates == 1
    for each in found:
        assert each.offset is not None and each.size is not None
        inside = content[each.offset : each.offset + each.size].decode()
        assert inside == f"content of {each.path[6:].partition('::')[0]}"


def test_a_damaged_archive_is_a_row_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path / "in", "a.wav", "z.tar")
    archive = write_tar(tmp_path / "in" / "w.tar", "1.wav", "2.wav")
    archive.write_bytes(archive.read_bytes()[:1100])
    found = list(walk(str(tmp_path / "in"), Counts()))
    assert [bool(each.error) for each in found] == [False, False, True, True]
    compressed = tmp_path / "w.tar"
    compressed.write_bytes(b"\x1f\x8b nothing")
    with pytest.raises(InputError, match="no uncompressed tar archive"):
        list(find_input(str(compressed)).tables(0, ""))


def manifest(folder: Path, kind: str, paths: Sequence[str]) -> Path:
    path = folder / f"list.{kind}"
    if kind == "txt":
        path.write_text("".join(f"{name}\n" for name in paths))
    elif kind == "parquet":
        rows = {"path": paths, "n": list(range(len(paths)))}
        pyarrow.parquet.write_table(pyarrow.table(rows), path)
    else:
        separator = "," if kind == "csv" else "\t"
        lines = [f'{n}{separator}"{name}"\n' for n, name in enumerate(paths)]
        path.write_text(f"n{separator}path\n" + "".join(lines))
    return path


@pytest.mark.parametrize("kind", ["txt", "csv", "tsv", "parquet"])
def test_a_manifest_gives_each_path_once_and_its_columns(kind: str, tmp_path: Path) -> None:
    paths = [f"r {n}.wav" for n in range(500)]
    listed = [*paths[:300], "r 7.wav", *paths[300:], "r 9.wav"]
    found = find_input(str(manifest(tmp_path, kind, listed)))
    table = pyarrow.concat_tables(found.tables(0, ""))
    assert [path.decode() for path in table["path"].to_pylist()] == paths
    assert (found.duplicates, found.examples) == (2, ["r 7.wav", "r 9.wav"])
    if kind != "txt":
        values = table["n"].to_pylist()
        numbers = [*range(300), *range(301, 501)]
        assert values == (numbers if kind == "parquet" else [str(n) for n in numbers])
    rest = pyarrow.concat_tables(found.tables(499, ""))
    assert rest["path"].to_pylist() == [b"r 499.wav"]
    assert found.duplicates == 2


def test_names_that_are_no_text_are_kept_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"caf\xe9.wav\r\n\r\nb.wav")
    table = pyarrow.concat_tables(find_input(str(tmp_path / "list.txt")).tables(0, ""))
    assert table["path"].to_pylist() == [b"caf\xe9.wav", b"b.wav"]


def test_inputs_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file,n\na.wav,1\n")
    (tmp_path / "empty.csv").write_text("path\n")
    (tmp_path / "ragged.csv").write_text("path,n\na.wav,1\nb.wav\n")
    (tmp_path / "list.parquet").write_text("no Parquet")
    touch(tmp_path, "a.wav")
    for name, said in {
        "none": "no such file",
        "list.csv": "expected a column path, got file, n",
        "empty.csv": "contains no recordings",
        "ragged.csv": "cannot be read",
        "list.parquet": "cannot be read",
        "a.wav": "is one recording",
    }.items():
        with pytest.raises(InputError, match=said):
            list(find_input(str(tmp_path / name)).tables(0, ""))


def test_the_same_of_a_url() -> None:
    system = fsspec.filesystem("memory")
    system.pipe({"/bulk/in/a.wav": b"a", "/bulk/in/d/b.wav": b"b"})
    system.pipe({"/bulk/list.csv": b"path\nx\nx\n"})
    tables = find_input("memory://bulk/in").tables(0, "")
    paths = [path for table in tables for path in table["path"].to_pylist()]
    assert paths == [b"memory://bulk/in/a.wav", b"memory://bulk/in/d/b.wav"]
    after = find_input("memory://bulk/in").tables(1, "memory://bulk/in/a.wav")
    assert [t["path"].to_pylist() for t in after] == [[b"memory://bulk/in/d/b.wav"]]
    found = find_input("memory://bulk/list.csv")
    assert [t["path"].to_pylist() for t in found.tables(0, "")] == [[b"x"]]
    assert found.duplicates == 1


def test_slices_are_of_one_size_and_lose_nothing() -> None:
    tables = [pyarrow.table({"n": range(a, b)}) for a, b in ((0, 3), (3, 20), (20, 21))]
    made = [part["n"].to_pylist() for part in slices(tables, 5)]
    assert made == [[*range(s, min(s + 5, 21))] for s in range(0, 21, 5)]


@pytest.mark.parametrize("kind", ["folder", "csv"])
def test_a_listing_that_was_stopped_goes_on_where_it_was(kind: str, tmp_path: Path) -> None:
    names = [f"d{n % 3}/{n:02}.wav" for n in range(23)]
    touch(tmp_path / "in", *names)
    place = tmp_path / "in" if kind == "folder" else manifest(tmp_path, kind, names)
    for stop in range(5):
        store = store_at(tmp_path / f"out{stop}")
        first = Listing(store, find_input(str(place)), 5).slices()
        [next(first) for _ in range(stop)]
        again = Listing(store, find_input(str(place)), 5)
        assert [number for number, _ in again.slices()] == [0, 1, 2, 3, 4]
        rows = [path for n in range(5) for path in read_slice(store, n)["path"].to_pylist()]
        assert sorted(rows) == sorted(set(rows)) and len(rows) == 23
        assert again.done is not None and again.done["recordings"] == 23
        # Nothing is looked at again.
        assert [n for n, _ in Listing(store, find_input(str(place)), 5).slices()] == [*range(5)]
