"""The folder of a run, here or at a URL: files that appear whole, and are never written again."""

import os
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from export.bulk.places import filesystem, is_url
from export.errors import InputError
from export.files import locked

_PARTIAL = ".partial"


class Store(ABC):
    """Where listing, shards and the run's own files lie."""

    def __init__(self, place: str) -> None:
        self.place = place

    @abstractmethod
    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted; none where there is no such folder."""

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether a file is there."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A file's content."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a file that is there whole or not at all; False if it is there already."""

    @abstractmethod
    def replace(self, name: str, content: bytes) -> None:
        """Write a file that may be there already."""

    @abstractmethod
    def held(self) -> Any:
        """A context in which no other run writes here, as far as the system can tell."""


def open_store(place: str) -> Store:
    """The store at a path or a URL.

    Raises:
        InputError: if something else than a folder is there.
    """
    return _Remote(place) if is_url(place) else _Local(place)


class _Local(Store):
    def __init__(self, place: str) -> None:
        super().__init__(place)
        self._root = Path(place)
        if self._root.exists() and not self._root.is_dir():
            raise InputError(f"{place}: is not a folder; give another path")

    def names(self, folder: str) -> list[str]:
        path = self._root / folder
        if not path.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(path) if entry.is_file())

    def exists(self, name: str) -> bool:
        return (self._root / name).exists()

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def create(self, name: str, content: bytes) -> bool:
        target = self._root / name
        with self._written(name, content) as made:
            try:
                # Unlike a renaming, it fails where a file is.
                os.link(made, target)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                if target.exists():
                    return False
                os.replace(made, target)
        return True

    def replace(self, name: str, content: bytes) -> None:
        with self._written(name, content) as made:
            os.replace(made, self._root / name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, and remove what a killed run left half-written."""
        self._root.mkdir(parents=True, exist_ok=True)
        with locked(self._root):
            partial = self._root / _PARTIAL
            for left in partial.glob("*.tmp") if partial.is_dir() else ():
                left.unlink(missing_ok=True)
            yield

    @contextmanager
    def _written(self, name: str, content: bytes) -> Iterator[Path]:
        """The content in a file of another name, on the disk and not only on its way there."""
        partial = self._root / _PARTIAL
        made: Path | None = None
        try:
            for folder in (partial, (self._root / name).parent):
                folder.mkdir(parents=True, exist_ok=True)
            # Not by tempfile, whose files nobody else may read.
            made = partial / f"{uuid.uuid4().hex}.tmp"
            with made.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield made
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.place) from error
        finally:
            if made is not None:
                made.unlink(missing_ok=True)


class _Remote(Store):
    """At a URL, where a file that is put there appears whole."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self._system, self._root = filesystem(place)

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def names(self, folder: str) -> list[str]:
        # Others may have written since it was last looked at.
        self._system.invalidate_cache()
        try:
            found = self._system.ls(self._at(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(e["name"].rpartition("/")[2] for e in found if e["type"] == "file")

    def exists(self, name: str) -> bool:
        self._system.invalidate_cache()
        return bool(self._system.exists(self._at(name)))

    def read(self, name: str) -> bytes:
        content: bytes = self._system.cat_file(self._at(name))
        return content

    def create(self, name: str, content: bytes) -> bool:
        try:
            self._system.pipe_file(self._at(name), content, mode="create")
        except FileExistsError:
            return False
        return True

    def replace(self, name: str, content: bytes) -> None:
        self._system.pipe_file(self._at(name), content)

    def held(self) -> Any:
        return nullcontext()
