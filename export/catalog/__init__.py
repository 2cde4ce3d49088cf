"""The catalogue: a row for every public loss and score and every variant worth proving.

Each file beside this one holds the rows of one family in ``ROWS``. Tests, parity and the command
line read the same table.
"""

import importlib
import pkgutil
from functools import cache

from export.catalog.not_exported import NOT_EXPORTED
from export.catalog.row import Padding, Row, Waiver
from export.errors import InputError

__all__ = ["NOT_EXPORTED", "Padding", "Row", "Waiver", "find", "rows"]


@cache
def rows() -> tuple[Row, ...]:
    """All rows, family by family."""
    found: list[Row] = []
    for info in pkgutil.iter_modules(__path__):
        found += getattr(importlib.import_module(f"{__name__}.{info.name}"), "ROWS", [])
    ids = [row.id for row in found]
    for row_id in ids:
        if ids.count(row_id) > 1:
            raise ValueError(f"catalogue: two rows are called {row_id}")
    return tuple(found)


def find(names: list[str] | None) -> list[Row]:
    """The rows of the named entries (or of one id, entry and variant), or all."""
    if not names:
        return list(rows())
    chosen = []
    for name in names:
        matching = [row for row in rows() if name in (row.entry, row.id) or name in row.also]
        if not matching:
            raise InputError(f"entry: no row in the catalogue is called {name}; see: list")
        chosen += [row for row in matching if row not in chosen]
    return chosen
