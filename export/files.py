"""Files and folders that take their place only when they are whole, and never that of another's."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from export.errors import InputError

STAGING = ".scriptable-staging"

# The user metadata "results", which the Core ML backend alone writes, as a protobuf map spells it.
_PACKAGE = "Data/com.apple.CoreML"
_PACKAGE_MARK = b"\x0a\x07results\x12"


def check_output(path: Path) -> None:
    """Refuse a path that must not be written: to be asked before long work begins.

    Raises:
        InputError: if something else than a regular file, or a Core ML package of ours, is there.
    """
    target = path.resolve()
    if target.is_dir() and not _is_our_package(target):
        raise InputError(f"{path}: is a folder, which is never replaced; give another path")
    if target.exists() and not target.is_dir() and not target.is_file():
        raise InputError(f"{path}: is not a regular file; give another path")
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{path}: {folder} is not a folder")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``path`` that takes its place only when the block succeeds.

    A link stays; what it points to is replaced.

    Raises:
        InputError: as :func:`check_output`, before the block is entered.
        OSError: with ``path``, if the disk is full.
    """
    check_output(path)
    target = path.resolve()
    made_folders = _make(target.parent)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        made = folder / target.name
        with _named(path):
            yield made
            _swap([(made, target)], folder / "old")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        _unmake(made_folders)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def staged_folder(out: Path, ours: Collection[str] | None = None) -> Iterator[Path]:
    """Yield an empty folder, whose entries take their places in ``out`` together at the end.

    When the block fails, or the process is told to stop, ``out`` is as it was. One process at a
    time writes to ``out``. What a killed one left behind is removed by the next.

    Args:
        out: the folder to be written to; made where it is missing.
        ours: names in ``out`` that may be replaced, and that go away where they are not written
            anew; None: any regular file, and any Core ML package of ours, and nothing goes away.

    Raises:
        InputError: if ``out`` is no folder, another process is writing there, or an entry would
            replace what is not ours.
        OSError: with ``out``, if the disk is full.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is not a folder; give another path")
    made_folders = _make(out)
    try:
        with locked(out), _named(out):
            staging = out / STAGING
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                yield staging
                moves = [(made, out / made.name) for made in sorted(staging.iterdir())]
                for _, target in moves:
                    _check_entry(target, ours)
                leaving = {out / name for name in ours or ()} - {target for _, target in moves}
                _swap(moves, staging / "old", sorted(path for path in leaving if path.is_file()))
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except BaseException:
        _unmake(made_folders)
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against a second writer; the system lets go of it when the process ends.

    Raises:
        InputError: if another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows, where folders have no such lock
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"{folder}: another run is writing there; wait for it, or give another folder"
            ) from error
        yield
    finally:
        os.close(descriptor)


def listed_files(
    folder: Path, index: str, names: Callable[[Any], Iterable[Any]], what: str
) -> set[str]:
    """The files that the index in a folder of ours lists, itself included; none of a new folder.

    Args:
        folder: the folder.
        index: the name of its index, JSON.
        names: from the document to the names that it lists.
        what: the folder is of, for the error.

    Raises:
        InputError: if the folder holds something, and no such index.
    """
    if not folder.exists() or (folder.is_dir() and next(folder.iterdir(), None) is None):
        return set()
    try:
        document = json.loads((folder / index).read_text(encoding="utf-8"))
        listed = {str(name) for name in names(document)}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{folder}: exists and contains no {what}; give a new folder") from error
    return {index, *(name for name in listed if Path(name).name == name)}


def artefact_bytes(path: Path) -> int:
    """Size of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())


def _check_entry(target: Path, ours: Collection[str] | None) -> None:
    if ours is None:
        check_output(target)
    elif target.exists() and not (target.name in ours and target.is_file()):
        raise InputError(f"{target}: is none of ours, and not replaced; give another folder")


def _swap(moves: list[tuple[Path, Path]], old: Path, leaving: list[Path] | None = None) -> None:
    """Move all to their places, what is there to ``old``; undo it all where one fails."""
    old.mkdir()
    done: list[tuple[Path, Path]] = []

    def move(source: Path, target: Path) -> None:
        os.replace(source, target)
        done.append((source, target))

    try:
        for path in leaving or ():
            move(path, old / path.name)
        for made, target in moves:
            if target.exists():
                move(target, old / target.name)
            move(made, target)
    except BaseException:
        for source, target in reversed(done):
            os.replace(target, source)
        raise


def _is_our_package(path: Path) -> bool:
    """A Core ML package that this project wrote, with nothing in it that it would not hold."""
    model = path / _PACKAGE / "model.mlmodel"
    if path.suffix != ".mlpackage" or not model.is_file():
        return False
    parts = {p.relative_to(path).as_posix() for p in path.rglob("*") if not p.is_dir()}
    inside = {f"{_PACKAGE}/model.mlmodel", f"{_PACKAGE}/weights/weight.bin"}
    own = {"Manifest.json", "executorch_debug_handle_mapping.json", *inside}
    hidden = {part for part in parts if Path(part).name.startswith(".")}
    return parts - hidden <= own and _PACKAGE_MARK in model.read_bytes()


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it; the ones that were missing, innermost first."""
    missing = []
    above = folder
    while not above.exists():
        missing.append(above)
        above = above.parent
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _unmake(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors of the disk with the path that the user knows."""
    try:
        yield
    except OSError as error:
        inside = error.filename is None or STAGING in str(error.filename)
        hidden = str(error.filename).startswith(f"{path.resolve().parent}/.{path.name}.")
        if error.errno is not None and (inside or hidden):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
