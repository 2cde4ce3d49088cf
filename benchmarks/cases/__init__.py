"""The rows, family by family: each file beside this one holds its rows in ``CASES``."""

import dataclasses
import importlib
import pkgutil

from benchmarks.case import Case


def cases() -> list[Case]:
    """All rows, in the order of the families' names."""
    found: list[Case] = []
    for info in pkgutil.iter_modules(__path__):
        rows = getattr(importlib.import_module(f"{__name__}.{info.name}"), "CASES", [])
        found += [dataclasses.replace(row, family=info.name) for row in rows]
    return found
