"""Lists of recordings: text, CSV, tab-separated or Parquet, read in pieces and never as a whole."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import InputError
from export.extras import require

PATH = "path"
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_BATCH = 1 << 16
_EXAMPLES = 3


@dataclass
class Manifest:
    """A list of recordings on this machine, looked through once.

    Attributes:
        sha256: of the whole file.
        columns: the Arrow schema of the columns beside ``path``.
        duplicates: rows whose path stands in an earlier one, which are left out.
        examples: some of their paths.
    """

    file: Path
    name: str
    sha256: str = ""
    columns: Any = None
    duplicates: int = 0
    examples: list[str] = field(default_factory=list)
    _twice: Any = None

    def __post_init__(self) -> None:
        arrow = require("pyarrow")
        with self.file.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        reader = self._reader()
        if PATH not in reader.schema.names:
            names = ", ".join(reader.schema.names)
            raise InputError(f"{self.name}: expected a column path, got {names}")
        self.columns = arrow.schema([f for f in reader.schema if f.name != PATH])
        # Hashes, eight bytes a row: only paths whose hash comes twice need be held and compared.
        found = [
            np.fromiter(map(hash, _paths(batch).to_pylist()), np.int64, len(batch))
            for batch in self._batches([PATH])
        ]
        hashes = np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
        if not len(hashes):
            raise InputError(f"{self.name}: contains no recordings")
        self._twice = np.unique(hashes[1:][hashes[1:] == hashes[:-1]])

    def tables(self, skip: int = 0) -> Iterator[Any]:
        """Arrow tables of the rows, each path once; ``skip`` of them are left out."""
        arrow = require("pyarrow")
        seen: set[bytes] = set()
        self.duplicates, self.examples = 0, []
        for batch in self._batches(None):
            table = arrow.Table.from_batches([batch])
            paths = _paths(batch)
            table = table.set_column(table.schema.get_field_index(PATH), PATH, paths)
            if len(self._twice):
                table = table.filter(arrow.array(self._first(paths.to_pylist(), seen)))
            if skip >= len(table):
                skip -= len(table)
                continue
            yield table.slice(skip)
            skip = 0

    def _first(self, paths: list[bytes], seen: set[bytes]) -> list[bool]:
        """Which of the rows are the first with their path."""
        hashes = np.fromiter(map(hash, paths), np.int64, len(paths))
        keep = [True] * len(paths)
        for row in np.flatnonzero(np.isin(hashes, self._twice)).tolist():
            path = paths[row]
            if path in seen:
                keep[row] = False
                self.duplicates += 1
                if len(self.examples) < _EXAMPLES:
                    self.examples.append(path.decode("utf-8", "replace"))
            seen.add(path)
        return keep

    def _batches(self, columns: list[str] | None) -> Iterator[Any]:
        arrow = require("pyarrow")
        try:
            yield from self._reader(columns).batches()
        except (arrow.ArrowInvalid, OSError) as error:
            raise InputError(f"{self.name}: cannot be read: {_line(error)}") from error

    def _reader(self, columns: list[str] | None = None) -> Any:
        arrow = require("pyarrow")
        kind = Path(self.name).suffix.lower()
        try:
            if kind == ".parquet":
                return _Parquet(self.file, columns)
            return _Text(self.file, _SEPARATORS.get(kind, ""), columns)
        except (arrow.ArrowInvalid, UnicodeDecodeError) as error:
            raise InputError(f"{self.name}: cannot be read: {_line(error)}") from error


def _paths(batch: Any) -> Any:
    """The paths as bytes, which is what names of files are."""
    arrow = require("pyarrow")
    column = batch.column(batch.schema.get_field_index(PATH))
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        column = column.cast(arrow.binary())
    except (arrow.ArrowInvalid, arrow.ArrowNotImplementedError) as error:
        raise InputError(f"column path: expected text, got {column.type}") from error
    return require("pyarrow.compute").fill_null(column, b"")


class _Parquet:
    def __init__(self, file: Path, columns: list[str] | None) -> None:
        self._file = require("pyarrow.parquet").ParquetFile(file)
        self._columns = columns
        self.schema = self._file.schema_arrow

    def batches(self) -> Iterator[Any]:
        yield from self._file.iter_batches(_BATCH, columns=self._columns)


class _Text:
    """CSV, all of it as text; without a separator, a path a line."""

    def __init__(self, file: Path, separator: str, columns: list[str] | None) -> None:
        arrow, reader = require("pyarrow"), require("pyarrow.csv")
        names = [PATH]
        if separator:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                names = next(csv.reader(lines, delimiter=separator), [])
        types = {name: arrow.binary() if name == PATH else arrow.string() for name in names}
        self.schema = arrow.schema(list(types.items()))
        self._open = lambda: reader.open_csv(
            file,
            reader.ReadOptions(column_names=names, skip_rows=1 if separator else 0),
            reader.ParseOptions(
                delimiter=separator or "\x1f",
                quote_char='"' if separator else False,
                newlines_in_values=bool(separator),
            ),
            reader.ConvertOptions(
                column_types=types,
                include_columns=columns or [],
                strings_can_be_null=False,
                null_values=[],
            ),
        )

    def batches(self) -> Iterator[Any]:
        try:
            yield from self._open()
        except require("pyarrow").ArrowInvalid as error:
            if "Empty CSV" not in str(error):
                raise


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
