"""Recordings below a folder, and in archives, in an order that a later walk can go on in."""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from export.bulk.places import filesystem, is_url, opened
from export.errors import InputError

SUFFIXES = (
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".ogg", ".opus", ".sph", ".w64"),
    ".wav",
)
ARCHIVE = ".tar"
_END = bytes(512)


class Found(NamedTuple):
    """A recording, or what cannot be looked into and why."""

    path: str
    offset: int | None = None
    """In the archive, where it is in one; of the first byte."""
    size: int | None = None
    error: str | None = None


@dataclass
class Counts:
    """What a walk leaves out."""

    duplicates: int = 0


class _Entry(NamedTuple):
    name: str
    is_folder: bool


def walk(folder: str, counts: Counts, after: str = "") -> Iterator[Found]:
    """All recordings below a folder, each folder's entries in the order of their names.

    Args:
        folder: a path or a URL.
        counts: of what is left out.
        after: where an earlier walk stopped: the path of the last recording it gave.
    """
    scan = _Remote(folder) if is_url(folder) else _Local()
    archive = after.partition("::")[2]
    stopped = archive or after
    inside = stopped[len(folder.rstrip("/")) + 1 :].split("/") if stopped else []
    yield from _below(folder.rstrip("/"), scan, counts, inside, after if archive else "", ())


def members(archive: str, counts: Counts, after: str = "") -> Iterator[Found]:
    """The recordings in a tar archive, in their order, each name once.

    Raises:
        InputError: if it is no tar archive, or a compressed one.
    """
    with opened(archive) as file:
        try:
            tar = tarfile.open(fileobj=file, mode="r:")  # noqa: SIM115  holds nothing of its own
        except tarfile.TarError as error:
            raise InputError(
                f"{archive}: is no uncompressed tar archive ({error}); unpack it with gunzip first"
            ) from error
        seen: set[str] = set()
        skipping = bool(after)
        while True:
            try:
                member = tar.next()
            except tarfile.TarError as error:
                yield Found(archive, error=f"{archive}: truncated or damaged ({error})")
                return
            if member is None:
                file.seek(tar.offset)  # type: ignore[attr-defined]
                if file.read(len(_END)) != _END:
                    yield Found(archive, error=f"{archive}: truncated, it has no end")
                return
            tar.members = []  # type: ignore[attr-defined]  # it would keep them all
            if not (member.isreg() and is_audio(member.name)):
                continue
            path = f"tar://{member.name}::{archive}"
            if path in seen:
                counts.duplicates += 1
                continue
            seen.add(path)
            if not skipping:
                yield Found(path, member.offset_data, member.size)
            skipping = skipping and path != after


def is_audio(name: str) -> bool:
    """Whether a file is taken for a recording, by its name."""
    return name.lower().endswith(SUFFIXES)


def _below(
    folder: str, scan: Any, counts: Counts, after: list[str], member: str, above: tuple[Any, ...]
) -> Iterator[Found]:
    """``after``: the names that lead to where an earlier walk stopped, at ``member`` if any."""
    try:
        identity, entries = scan(folder)
    except (OSError, InputError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        yield Found(folder, error=f"{folder}: cannot be read ({reason}); check it")
        return
    if identity in above:
        return  # a link to a folder that it lies in
    for name, is_folder in entries:
        here = bool(after) and name == after[0]
        if after and name < after[0]:
            continue
        path = f"{folder}/{name}"
        if is_folder:
            rest = after[1:] if here else []
            yield from _below(path, scan, counts, rest, member if here else "", (*above, identity))
        elif name.lower().endswith(ARCHIVE):
            if not here or member:
                yield from _archive(path, counts, member if here else "")
        elif is_audio(name) and not here:
            yield Found(path)


def _archive(path: str, counts: Counts, after: str) -> Iterator[Found]:
    try:
        yield from members(path, counts, after)
    except (InputError, OSError) as error:
        yield Found(path, error=str(error))


class _Local:
    """The entries of a folder, and what tells it from all others."""

    def __call__(self, folder: str) -> tuple[Any, list[_Entry]]:
        status = os.stat(folder)
        with os.scandir(folder) as found:
            entries = [_Entry(entry.name, entry.is_dir()) for entry in found]
        return (status.st_dev, status.st_ino), sorted(entries)


class _Remote:
    """The same at a URL, where nothing links to anything."""

    def __init__(self, place: str) -> None:
        self._system, root = filesystem(place)
        self._prefix = place.rstrip("/").removesuffix(root.rstrip("/"))

    def __call__(self, folder: str) -> tuple[Any, list[_Entry]]:
        inside = folder.removeprefix(self._prefix).rstrip("/")
        try:
            found = self._system.ls(inside, detail=True)
        except FileNotFoundError as error:
            raise InputError("no such folder") from error
        entries = {
            _Entry(entry["name"].rstrip("/").rpartition("/")[2], entry["type"] == "directory")
            for entry in found
            if entry["name"].rstrip("/") != inside
        }
        return None if not entries else inside, sorted(entries)
