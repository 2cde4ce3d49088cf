"""Files that take their place only when they are whole, and their size."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``path`` that takes its place only when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        made = folder / path.name
        yield made
        if path.is_dir() or (made.is_dir() and path.exists()):
            # Only a file takes a file's place: what is there goes away with the folder.
            os.replace(path, folder / f"{path.name}.old")
        os.replace(made, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def artefact_bytes(path: Path) -> int:
    """Size of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
