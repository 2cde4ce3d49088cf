"""Score and key files read by columns: Arrow parses, and only a file with a fault is read twice."""

import csv
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from export.errors import InputError
from export.extras import require
from export.metrics import formats
from export.metrics.formats import KEYS, Format, Kind
from export.metrics.lines import Line

_BLOCK = 1 << 22
_HEAD = 1 << 16
_WORDS = ("attack", "speaker", "part")
_READ = ("file", "enrol", "test", "score", "llr", "key", "flag", "mark", "trim", *_WORDS)
# What a flag or a mark says; the flags of verification are 0 and 1.
_FLAGS = {"1": "target", "0": "nontarget"}
_MARKS = {"1": "bonafide", "0": "spoof", "-1": ""}


@dataclass(frozen=True)
class Columns:
    """The trials of a file, as columns; what the file does not say is None."""

    place: str
    """The file, for messages."""
    format: Format
    trial: Any
    """Arrow strings: the file, or enrolment and test with a tab between."""
    score: np.ndarray | None = None
    key: np.ndarray | None = None
    """Indices into ``KEYS``; -1 where there is none."""
    llr: np.ndarray | None = None
    attack: Any = None
    speaker: Any = None
    part: Any = None

    def __len__(self) -> int:
        return len(self.trial)

    @property
    def pairs(self) -> bool:
        """Whether trials are pairs of enrolment and test."""
        return len(self.trial) > 0 and "\t" in self.trial[0].as_py()

    def name(self, index: int) -> str:
        """A trial for people."""
        return str(self.trial[int(index)].as_py()).replace("\t", " ")

    def parts(self) -> dict[str, int]:
        """The parts of the corpus with their numbers of trials, sorted by name."""
        if self.part is None:
            return {}
        counted = self.part.value_counts().to_pylist()
        return dict(sorted((entry["values"], entry["counts"]) for entry in counted))

    def of_part(self, part: str) -> "Columns":
        """Only the trials of one part."""
        compute = require("pyarrow.compute")
        return self.at(compute.indices_nonzero(compute.equal(self.part.cast("string"), part)))

    def at(self, rows: Any) -> "Columns":
        """The trials at Arrow indices, in their order."""
        values: dict[str, Any] = {}
        for name in ("trial", *_WORDS):
            column = getattr(self, name)
            values[name] = None if column is None else column.take(rows)
        for name in ("score", "key", "llr"):
            column = getattr(self, name)
            values[name] = None if column is None else column[as_numpy(rows)]
        return replace(self, **values)

    def __iter__(self) -> Iterator[Line]:
        """The trials one by one, for small files."""
        words = {name: getattr(self, name) for name in _WORDS}
        told = {name: column.to_pylist() for name, column in words.items() if column is not None}
        for index, trial in enumerate(self.trial.to_pylist()):
            yield Line(
                tuple(trial.split("\t")),
                None if self.score is None else float(self.score[index]),
                "" if self.key is None or self.key[index] < 0 else KEYS[self.key[index]],
                llr=None if self.llr is None else float(self.llr[index]),
                **{name: column[index] for name, column in told.items()},
            )


def as_numpy(array: Any) -> np.ndarray:
    """The numbers of an Arrow array, as they lie there; Arrow's own way would import pandas."""
    return np.from_dlpack(array)


def read_scores(path: Path, name: str | None = None) -> Columns:
    """Read a file of scores, in the layout of this name or in the one that it has.

    Raises:
        InputError: naming file and line, if a line does not parse, a score is no number, a trial
            comes twice, or the file has no scores.
    """
    found = read(path, "scores", name)
    check_unique(found)
    return found


def read_keys(path: Path, name: str | None = None) -> Columns:
    """Read a protocol or a trial list, in the layout of this name or in the one that it has.

    Raises:
        InputError: naming file and line, if a line does not parse, a key is unknown, a trial
            comes twice, or the file has no keys.
    """
    found = read(path, "keys", name)
    check_unique(found)
    return found


def read(path: Path, kind: Kind, name: str | None = None) -> Columns:
    """Read a file by columns; trials may come twice.

    Raises:
        InputError: naming file and line, if a line does not parse or the file is empty.
    """
    head = _head(path, kind)
    place = f"{path}:{_first_line(path)}"
    layout = formats.detect(head, kind, place, name)
    arrow = require("pyarrow")
    try:
        table = _parse(path, layout, loose=False)
    except arrow.ArrowInvalid:
        raise_fault(path, layout)
        table = _parse(path, layout, loose=True)
    if not len(table):
        raise InputError(f"{path}: holds no {kind}")
    return _columns(path, layout, table)


def check_unique(columns: Columns) -> None:
    """Raise if a trial comes twice.

    Raises:
        InputError: naming file, both lines and the trial.
    """
    compute = require("pyarrow.compute")
    trial = columns.trial
    # Many a file is sorted, and then a look at the neighbours is enough.
    if compute.all(compute.less(trial[:-1], trial[1:])).as_py():
        return
    if len(trial.dictionary_encode().dictionary) == len(trial):
        return
    first = as_numpy(compute.index_in(trial, value_set=trial))
    second = int((first != np.arange(len(first))).argmax())
    path = Path(columns.place)
    lines = [line_number(path, columns.format, int(row)) for row in (second, first[second])]
    raise InputError(
        f"{path}:{lines[0]}: trial {columns.name(second)!r} is also in line {lines[1]}; "
        "name each trial once"
    )


def _head(path: Path, kind: str) -> list[str]:
    """The first lines that are not blank."""
    try:
        with path.open("rb") as file:
            start = file.read(_HEAD)
        # A character may be cut in two at the end.
        text = start.decode("utf-8-sig", errors="strict" if len(start) < _HEAD else "ignore")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file; expected {kind}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path}: holds no {kind}")
    return lines


def _rows(path: Path, layout: Format) -> Iterator[tuple[int, list[str], str]]:
    """Line number, fields and text of every line that counts; the slow way."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            if layout.separator:
                reader = csv.reader(file)
                next(reader)
                yield from ((reader.line_num, row, ",".join(row)) for row in reader if row)
                return
            for number, line in enumerate(file, start=1):
                fields = layout.fields(line.rstrip("\r\n"))
                if fields and tuple(fields) != layout.header:
                    yield number, fields, line.strip()
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"{path}: is not a text file ({error})") from error


def _first_line(path: Path) -> int:
    with path.open("rb") as file:
        return next((number for number, line in enumerate(file, start=1) if line.strip()), 1)


def line_number(path: Path, layout: Format, row: int) -> int:
    """The line in which the trial with this index stands."""
    return next(number for index, (number, _, _) in enumerate(_rows(path, layout)) if index == row)


def raise_fault(path: Path, layout: Format) -> None:
    """Raise for the first line that does not have the layout.

    Raises:
        InputError: naming line and column.
    """
    for number, fields, text in _rows(path, layout):
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


def _parse(path: Path, layout: Format, loose: bool) -> Any:
    """The columns as an Arrow table; ``loose`` leaves the numbers to Python's own parser."""
    arrow, reader = require("pyarrow"), require("pyarrow.csv")
    names = [f"{place} {role}" for place, role in enumerate(layout.columns)]
    kept = [name for name in names if name.split()[1] in _READ]
    word = arrow.dictionary(arrow.int32(), arrow.string())
    number = arrow.string() if loose else arrow.float64()
    types = dict.fromkeys(("score", "llr"), number)
    types |= dict.fromkeys(("file", "test"), arrow.large_string())
    options = {
        "read_options": reader.ReadOptions(
            column_names=names,
            block_size=_BLOCK,
            # The header of a comma-separated file; elsewhere the stream leaves it out.
            skip_rows=1 if layout.separator else 0,
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
    if layout.separator:
        table = reader.read_csv(str(path), **options)
    else:
        with _Stream(path, layout) as stream:
            table = reader.read_csv(stream, **options)
    return table.rename_columns([name.split()[1] for name in kept])


def _columns(path: Path, layout: Format, table: Any) -> Columns:
    """The table as trials, keys and scores, its values checked."""
    values: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if str(column.type).startswith("dictionary"):
            values[name] = column.unify_dictionaries().combine_chunks()
        elif name in ("score", "llr"):
            values[name] = _numbers(column, path, layout)
        else:
            values[name] = column.combine_chunks()
    keys = _keys(values, path, layout)
    if "trim" in values:
        values["part"] = _parts(layout, values)
    speaks = keys is not None and bool(np.isin(keys, (2, 3)).any())
    if "enrol" in values:
        trial = _joined(values["enrol"], values["test"])
    elif speaks and "speaker" in values and "part" in values:
        # The verification protocols of 2021 have the countermeasure's columns, but name pairs.
        trial = _joined(values["speaker"], values["file"])
    elif "file" in values:
        trial = values["file"]
    else:
        # A tandem's scores of 2019 name no trials.
        arrow = require("pyarrow")
        trial = arrow.array(np.arange(1, len(table) + 1)).cast(arrow.large_string())
    words = {name: _words(values[name], name) for name in _WORDS if name in values}
    return Columns(str(path), layout, trial, values.get("score"), keys, values.get("llr"), **words)


def _joined(enrol: Any, test: Any) -> Any:
    arrow, compute = require("pyarrow"), require("pyarrow.compute")
    large = arrow.large_string()
    return compute.binary_join_element_wise(enrol.cast(large), test, arrow.scalar("\t", large))


def _numbers(column: Any, path: Path, layout: Format) -> np.ndarray:
    if str(column.type) == "string":
        return np.array([float(value) for value in column.to_pylist()])
    values = as_numpy(column.combine_chunks())
    if np.isnan(values.min()):
        raise_fault(path, layout)
    return values


def _keys(values: dict[str, Any], path: Path, layout: Format) -> np.ndarray | None:
    """Indices into ``KEYS`` from a column of keys, flags or marks."""
    for name, meaning in (("key", {}), ("flag", _FLAGS), ("mark", _MARKS)):
        if name not in values:
            continue
        words = [meaning.get(word, word) for word in values[name].dictionary.to_pylist()]
        if not set(words) <= {*KEYS, ""} or ("" in words and "score" not in values):
            raise_fault(path, layout)
        codes = np.array([KEYS.index(word) if word else -1 for word in words], dtype=np.int8)
        return codes[as_numpy(values[name].indices)]
    return None


def _words(column: Any, name: str) -> Any:
    """Words from a dictionary; where a table of our own has none, it is said by a dash."""
    if name == "part" or "" not in column.dictionary.to_pylist():
        return column
    arrow = require("pyarrow")
    words = [word or "-" for word in column.dictionary.to_pylist()]
    return arrow.array([words[i] for i in column.indices.to_pylist()]).dictionary_encode()


def _parts(layout: Format, values: dict[str, Any]) -> Any:
    """The part; physical access of 2021 has two hidden ones, told apart by the trimming."""
    part = values["part"]
    if layout.name != "asvspoof2021_pa":
        return part
    compute = require("pyarrow.compute")
    words, trim = part.cast("string"), values["trim"].cast("string")
    hidden = compute.if_else(compute.equal(trim, "notrim"), "hidden1_PA", "hidden2_PA")
    return compute.if_else(compute.equal(words, "hidden"), hidden, words).dictionary_encode()
