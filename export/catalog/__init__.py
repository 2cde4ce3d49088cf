"""The catalogue: a row for every public loss and score and every variant worth proving.

A file with ``ROWS`` is called like the library's file, or folder of small files, that it proves:
``heads/ge2e.py`` here proves ``scriptable/heads/ge2e.py``. Tests, parity and the command line read
the same table.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache

from export.catalog.not_exported import NOT_EXPORTED
from export.catalog.row import Padding, Row, Waiver
from export.errors import InputError
from scriptable.config import nearest

__all__ = ["NOT_EXPORTED", "Padding", "Row", "Waiver", "find", "rows"]


@cache
def rows() -> tuple[Row, ...]:
    """All rows, file by file."""
    found: list[Row] = []
    for info in pkgutil.walk_packages(__path__, f"{__name__}."):
        found += getattr(importlib.import_module(info.name), "ROWS", [])
    ids = [row.id for row in found]
    for row_id in ids:
        if ids.count(row_id) > 1:
            raise ValueError(f"catalogue: two entries are called {row_id}")
    return tuple(found)


def find(names: list[str] | None, among: Sequence[Row] | None = None) -> list[Row]:
    """The rows of the named entries (or of one id, entry and variant), or all; of the catalogue."""
    among = rows() if among is None else among
    if not names:
        return list(among)
    chosen: list[Row] = []
    for name in names:
        matching = [row for row in among if name in (row.entry, row.id) or name in row.also]
        if not matching:
            near = nearest(name, (known for row in among for known in (row.entry, *row.also)))
            hint = f"did you mean {near!r}? " if near else ""
            raise InputError(f"entry: no entry is called {name}; {hint}see: list")
        chosen += [row for row in matching if row not in chosen]
    return chosen
