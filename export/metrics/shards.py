"""Scores in the shards of ``python -m export bulk``, and what recordings are called there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import InputError
from export.extras import require
from export.metrics.formats import KEYS, Format
from export.metrics.reading import Columns, as_numpy

SHARDS = Format("shards", (), ("scores",))
_WANTED = ("path", "file", "score", "llr", "decision", "error", "key", "attack", "speaker", "part")


def shards_in(folder: Path) -> list[Path]:
    """The shards of a run, in order.

    Raises:
        InputError: if there are none.
    """
    found = sorted((folder / "shards").glob("*.parquet"))
    if not found:
        raise InputError(f"{folder}: is not the folder of a bulk run, or has no shards yet")
    return found


def read_shards(folder: Path, keys: Columns | None = None) -> tuple[Columns, Any]:
    """The scores of a run, and the trials that have none: in error or undecided.

    Args:
        folder: of the run.
        keys: of a protocol; trials are then called as it calls them: by the column ``file``, the
            path, its end, or its name without the ending.

    Raises:
        InputError: if there are no scores, the protocol names none of the recordings, or several
            are called alike.
    """
    arrow, compute = require("pyarrow"), require("pyarrow.compute")
    parquet = require("pyarrow.parquet")
    tables = []
    for path in shards_in(folder):
        file = parquet.ParquetFile(path)
        tables.append(file.read([n for n in file.schema_arrow.names if n in _WANTED]))
    table = arrow.concat_tables(tables).combine_chunks()
    if "score" not in table.column_names:
        raise InputError(
            f"{folder}: contains embeddings, not scores; score pairs of them with trials"
        )
    trial = None if keys is None else called(table, keys.trial[:1], str(folder))
    table = table.append_column("trial", table["path"] if trial is None else trial)
    scored = table.filter(compute.is_valid(table["score"]))
    if not len(scored):
        raise InputError(f"{folder}: contains no scores")
    without = table.filter(compute.is_null(table["score"]))["trial"].combine_chunks()
    large = arrow.large_string()
    words = {
        name: compute.fill_null(scored[name].cast("string"), "-").combine_chunks()
        for name in ("attack", "speaker", "part")
        if name in scored.column_names
    }
    trials = scored["trial"].cast(large).combine_chunks()
    _check_unique(trials, str(folder))
    columns = Columns(
        str(folder),
        SHARDS,
        trials,
        as_numpy(scored["score"].combine_chunks()),
        _keys(scored, str(folder)),
        as_numpy(scored["llr"].combine_chunks()),
        **{name: column.dictionary_encode() for name, column in words.items()},
    )
    return columns, without.cast(large)


def without_trials(keys: Columns, trials: Any) -> Columns:
    """The keys of a protocol but for some trials."""
    compute = require("pyarrow.compute")
    known = compute.is_in(keys.trial, value_set=trials)
    return keys.at(compute.indices_nonzero(compute.invert(known)))


def called(table: Any, names: Any, place: str) -> Any:
    """The recordings' names in the manner of ``names``, the first of which is to be among them.

    Raises:
        InputError: if no manner has it.
    """
    compute = require("pyarrow.compute")
    for manner in manners(table):
        if compute.all(compute.is_in(names, value_set=manner.cast(names.type))).as_py():
            return manner
    raise InputError(
        f"{place}: contains no recording {names[0].as_py()!r}, as path, end of a path, name, or in "
        "a column file"
    )


def manners(table: Any) -> Iterator[Any]:
    """The ways to call a recording: column ``file``, whole path, its ends, its name alone."""
    compute = require("pyarrow.compute")
    if "file" in table.column_names:
        yield table["file"].cast("string").combine_chunks()
    path = table["path"].combine_chunks()
    yield path
    parts = compute.count_substring(path, "/")
    deepest = compute.max(parts).as_py() or 0
    for kept in range(deepest, 0, -1):
        pattern = f"(?:[^/]*/){{{kept - 1}}}[^/]*$"
        end = compute.struct_field(compute.extract_regex(path, f"(?P<end>{pattern})"), "end")
        end = compute.coalesce(end, path)
        yield end
        yield compute.replace_substring_regex(end, r"\.[^./]*$", "")


def _keys(table: Any, place: str) -> np.ndarray | None:
    if "key" not in table.column_names:
        return None
    words = table["key"].cast("string").combine_chunks()
    known = require("pyarrow").array(KEYS)
    codes = require("pyarrow.compute").index_in(words, value_set=known)
    if codes.null_count > words.null_count:
        raise InputError(f"{place}: column key: expected {', '.join(KEYS)}")
    return as_numpy(codes.fill_null(-1)).astype(np.int8)


def _check_unique(trials: Any, place: str) -> None:
    compute = require("pyarrow.compute")
    counts = compute.value_counts(trials)
    twice = counts.filter(compute.greater(compute.struct_field(counts, "counts"), 1))
    if len(twice):
        raise InputError(f"{place}: several recordings are called {twice[0].as_py()['values']!r}")
