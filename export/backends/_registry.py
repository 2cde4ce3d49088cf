"""Every backend of this folder, and the one that a file belongs to.

Files whose name starts with an underscore are shared helpers and are not loaded as backends.
"""

import importlib
import pkgutil
from functools import cache
from pathlib import Path

from export.backends._base import Artefact, Backend
from export.backends._seal import check
from export.errors import ArtefactError, InputError


@cache
def all_backends() -> dict[str, Backend]:
    """All backends by name, in the order of the parity table."""
    found: list[Backend] = []
    for info in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not info.name.startswith("_"):
            found.append(importlib.import_module(f"{__package__}.{info.name}").BACKEND)
    return {backend.name: backend for backend in sorted(found, key=lambda b: (b.rank, b.name))}


def select(names: list[str] | None) -> list[Backend]:
    """The named backends, or all of them."""
    known = all_backends()
    if not names:
        return list(known.values())
    for name in names:
        if name not in known:
            raise InputError(f"backend: expected one of {', '.join(known)}, got {name}")
    return [known[name] for name in names]


def backend_of(path: Path) -> Backend:
    """The backend that a file belongs to, by its name's ending."""
    matching = [b for b in all_backends().values() if path.name.endswith(b.suffix)]
    if not matching:
        known = ", ".join(sorted({b.suffix for b in all_backends().values()}))
        raise ArtefactError(f"{path}: unknown kind of artefact; expected a name ending in {known}")
    return max(matching, key=lambda b: len(b.suffix))


def load(path: Path, trust: bool = False) -> tuple[Backend, Artefact]:
    """Load an artefact by its own runtime, chosen by the file name's ending.

    A file that holds its digest is held against it before, and looked through for code that no
    scorer needs, except where it is trusted.

    Raises:
        InputError: if there is no such file, it is damaged, it holds such code, or it cannot be run
            on this host.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    backend = backend_of(path)
    if not backend.runnable:
        raise ArtefactError(f"{path}: runs on the device only: {backend.not_run_reason}")
    missing = backend.unavailable()
    if missing:
        raise ArtefactError(f"{path}: {missing}")
    sealed = check(path)
    if not trust:
        backend.scan(path)
    artefact = backend.load(path)
    artefact.file_sha256 = sealed
    return backend, artefact
