"""Paths and URLs: where a recording lies, and how it is had as a file."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from export.errors import InputError, MissingPackageError, first_line
from export.extras import require

_CHUNK = 1 << 20


def is_url(place: str) -> bool:
    """Whether a place is a URL, and not a path.

    Example:
        >>> is_url("s3://bucket/a.wav"), is_url("/data/a.wav")
        (True, False)
    """
    return "://" in place


def absolute(place: str) -> str:
    """The place, whatever folder a process stands in; ``file://`` is a path.

    Example:
        >>> absolute("file:///data/a.wav"), absolute("s3://bucket/a.wav")
        ('/data/a.wav', 's3://bucket/a.wav')
    """
    place = place.removeprefix("file://")
    return place if is_url(place) else os.path.abspath(place)


def beside(manifest: str, path: str) -> str:
    """The place of a path in a manifest, which stands relative to the manifest's folder.

    Example:
        >>> beside("/data/list.csv", "a/b.wav"), beside("s3://x/list.csv", "b.wav")
        ('/data/a/b.wav', 's3://x/b.wav')
        >>> beside("/data/list.csv", "/else/b.wav"), beside("/data/list.csv", "s3://x/b.wav")
        ('/else/b.wav', 's3://x/b.wav')
    """
    if is_url(path) or os.path.isabs(path):
        return path.removeprefix("file://")
    return f"{manifest.rpartition('/')[0]}/{path}"


def filesystem(place: str) -> tuple[Any, str]:
    """What reads a URL, and the path in it.

    Raises:
        MissingPackageError: if the protocol needs a package that is not installed.
        InputError: if there is no such protocol.
    """
    core = require("fsspec.core")
    try:
        system, path = core.url_to_fs(place)
    except ImportError as error:
        raise MissingPackageError(f"{place}: {first_line(error)}") from error
    except ValueError as error:
        raise InputError(f"{place}: {error}") from error
    return system, path


@contextmanager
def opened(place: str) -> Iterator[BinaryIO]:
    """A file's bytes, here or at a URL.

    Raises:
        InputError: if it cannot be opened.
    """
    try:
        if not is_url(place):
            with open(place, "rb") as file:
                yield file
            return
        system, path = filesystem(place)
        with system.open(path, "rb") as remote:
            yield remote
    except FileNotFoundError as error:
        raise InputError(f"{place}: no such file; check the path") from error


@contextmanager
def as_file(place: str, part: tuple[int, int] | None, came: Callable[[], None]) -> Iterator[Path]:
    """A recording as a file of this machine: itself, or a copy that goes away again.

    Args:
        place: a path or a URL; of an archive that holds the recording, with ``part``.
        part: the first byte and the number of bytes in the archive.
        came: called after every piece that was copied.

    Raises:
        InputError: if it cannot be fetched.
    """
    if part is None and not is_url(place):
        yield Path(place)
        return
    with tempfile.NamedTemporaryFile(
        prefix="scriptable-bulk-", suffix="" if part else _suffix(place)
    ) as copy:
        try:
            with opened(place) as source:
                start, size = part or (0, None)
                source.seek(start) if start else None
                _copy(source, copy, size, came)
            copy.flush()
        except InputError:
            raise
        # Each protocol has errors of its own, and what they come from is outside.
        except Exception as error:
            raise InputError(f"{place}: cannot be fetched ({first_line(error)})") from error
        yield Path(copy.name)


def _copy(source: BinaryIO, copy: Any, size: int | None, came: Callable[[], None]) -> None:
    left = size
    while left is None or left > 0:
        piece = source.read(_CHUNK if left is None else min(_CHUNK, left))
        if not piece:
            break
        copy.write(piece)
        left = None if left is None else left - len(piece)
        came()
    if left:
        raise EOFError(f"the archive ends {left} bytes early")


def _suffix(place: str) -> str:
    suffix = os.path.splitext(place.partition("?")[0])[1]
    return suffix if len(suffix) < 8 else ""
