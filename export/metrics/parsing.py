"""Lines of a file to columns: Arrow parses, and only a file with a fault is read twice."""

import csv
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from export.errors import InputError
from export.extras import require
from export.metrics import formats
from export.metrics.formats import Format

NUMBERS = ("score", "llr", "cm", "asv")
WORDS = ("attack", "speaker", "part")
_READ = ("file", "enrol", "test", "key", "flag", "mark", "trim", *NUMBERS, *WORDS)
_BLOCK = 1 << 22
_HEAD = 1 << 16


def head_of(path: Path, kind: str) -> list[str]:
    """The first lines that are not blank."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEAD)
        # A character may be cut in two where the head ends.
        text = (start.rpartition(b"\n")[0] or start).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file; expected {kind}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path}: contains no {kind}")
    return lines


def rows_of(path: Path, layout: Format) -> Iterator[tuple[int, list[str], str]]:
    """Line number, fields and text of every line that counts; the slow way."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            if layout.separator:
                reader = csv.reader(file)
                rows = ((reader.line_num, row, ",".join(row)) for row in reader if row)
                next(rows)
                yield from rows
                return
            for number, line in enumerate(file, start=1):
                fields = layout.fields(line.rstrip("\r\n"))
                if fields and tuple(fields) != layout.header:
                    yield number, fields, line.strip()
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: is not a text file ({error})") from error


def first_line(path: Path) -> int:
    """The number of the first line that is not blank."""
    with path.open("rb") as file:
        return next((number for number, line in enumerate(file, start=1) if line.strip()), 1)


def line_number(path: Path, layout: Format, row: int) -> int:
    """The line in which the trial with this index stands."""
    return next(
        number for index, (number, _, _) in enumerate(rows_of(path, layout)) if index == row
    )


def raise_fault(path: Path, layout: Format) -> None:
    """Raise for the first line that does not have the layout.

    Raises:
        InputError: naming line and column.
    """
    for number, fields, text in rows_of(path, layout):
        if len(fields) != len(layout.columns):
            raise InputError(
                f"{path}:{number}: expected {len(layout.columns)} columns ({layout.name}: "
                f"{layout.shown}), got {len(fields)}: {text!r}"
            )
        for place, (role, value) in enumerate(zip(layout.columns, fields, strict=True), start=1):
            said = formats.fault(role, value)
            optional = role == "key" and not value and "score" in layout.columns
            if said and not optional:
                raise InputError(f"{path}:{number}: column {place}, {said}, got {value!r}")
            if role in ("score", "llr") and math.isnan(float(value)):
                trial = " ".join(
                    field
                    for name, field in zip(layout.columns, fields, strict=True)
                    if name in ("file", "enrol", "test")
                )
                raise InputError(f"{path}:{number}: trial {trial!r}: {role} is NaN")


class _Stream(io.RawIOBase):
    """A file whose columns are parted by one space each, as Arrow wants them."""

    def __init__(self, path: Path, layout: Format) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._layout = layout
        self._marker = layout.marker.encode()
        self._left = memoryview(b"")
        self._start = True

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; whole lines are read ahead."""
        while not self._left:
            block = self._file.read(_BLOCK) + self._file.readline()
            if not block:
                return b""
            self._left = memoryview(self._clean(block))
        end = len(self._left) if size < 0 else size
        piece, self._left = self._left[:end], self._left[end:]
        return bytes(piece)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _clean(self, block: bytes) -> bytes:
        if self._start:
            self._start = False
            block = block.removeprefix(b"\xef\xbb\xbf")
            if self._layout.header:
                block = block.lstrip().partition(b"\n")[2]
        if self._marker:
            kept = [
                line[len(self._marker) :].replace(b",", b" ")
                for line in block.splitlines()
                if line.startswith(self._marker)
            ]
            block = b"\n".join(kept) + b"\n"
        if b"\t" in block or b"\r" in block:
            block = block.replace(b"\t", b" ").replace(b"\r\n", b"\n")
        if b"  " in block or b" \n" in block or b"\n " in block or block[:1] in (b" ", b"\n"):
            block = b"\n".join(b" ".join(line.split()) for line in block.split(b"\n"))
            block = block.lstrip(b"\n")
        return block


def parse(path: Path, layout: Format, loose: bool) -> Any:
    """The columns as an Arrow table; ``loose`` leaves the numbers to Python's own parser."""
    arrow, reader = require("pyarrow"), require("pyarrow.csv")
    number = arrow.string() if loose else arrow.float64()
    types = dict.fromkeys(("score", "llr"), number)
    types |= dict.fromkeys(("file", "test", "cm", "asv"), arrow.large_string())
    options = _options(path, layout, types)
    if layout.separator:
        table = reader.read_csv(str(path), **options)
    else:
        with _Stream(path, layout) as stream:
            table = reader.read_csv(stream, **options)
    return table.rename_columns(_roles(table))


def batches(path: Path, layout: Format) -> Iterator[Any]:
    """The columns in pieces, as Arrow batches of words, for files that no memory holds.

    Raises:
        InputError: if a line does not parse.
    """
    arrow, reader = require("pyarrow"), require("pyarrow.csv")
    options = _options(path, layout, {})
    try:
        if layout.separator:
            for batch in reader.open_csv(str(path), **options):
                yield batch.rename_columns(_roles(batch))
            return
        with _Stream(path, layout) as stream:
            for batch in reader.open_csv(stream, **options):
                yield batch.rename_columns(_roles(batch))
    except arrow.ArrowInvalid as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error


def _options(path: Path, layout: Format, types: dict[str, Any]) -> dict[str, Any]:
    """How Arrow reads a file: columns that are no other type are words, each kept once."""
    arrow, reader = require("pyarrow"), require("pyarrow.csv")
    names = [f"{place} {role}" for place, role in enumerate(layout.columns)]
    kept = [name for name in names if name.split()[1] in _READ]
    word = arrow.dictionary(arrow.int32(), arrow.string())
    return {
        "read_options": reader.ReadOptions(
            column_names=names,
            block_size=_BLOCK,
            # The header of a comma-separated file; elsewhere the stream leaves it out.
            skip_rows=first_line(path) if layout.separator else 0,
        ),
        "parse_options": reader.ParseOptions(
            delimiter=layout.separator or " ", quote_char='"' if layout.separator else False
        ),
        "convert_options": reader.ConvertOptions(
            column_types={name: types.get(name.split()[1], word) for name in kept},
            include_columns=kept,
            null_values=[],
            strings_can_be_null=False,
        ),
    }


def _roles(columns: Any) -> list[str]:
    return [name.split()[1] for name in columns.schema.names]
