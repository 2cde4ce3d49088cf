"""Score and key files as columns of trials, their keys and their scores."""

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
from export.metrics.parsing import (
    NUMBERS,
    WORDS,
    first_line,
    head_of,
    line_number,
    parse,
    raise_fault,
    rows_of,
)

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
    cm: np.ndarray | None = None
    """Of a tandem, the countermeasure's score."""
    asv: np.ndarray | None = None
    """Of a tandem, the verification system's score."""

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
        for name in ("trial", *WORDS):
            column = getattr(self, name)
            values[name] = None if column is None else column.take(rows)
        for name in ("key", *NUMBERS):
            column = getattr(self, name)
            values[name] = None if column is None else column[as_numpy(rows)]
        return replace(self, **values)

    def __iter__(self) -> Iterator[Line]:
        """The trials one by one, for small files."""
        words = {name: getattr(self, name) for name in WORDS}
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
    head = head_of(path, kind)
    place = f"{path}:{first_line(path)}"
    layout = formats.detect(head, kind, place, name)
    arrow = require("pyarrow")
    try:
        table = parse(path, layout, loose=False)
    except arrow.ArrowInvalid:
        raise_fault(path, layout)
        empty = next(rows_of(path, layout), None) is None
        table = () if empty else parse(path, layout, loose=True)
    if not len(table):
        raise InputError(f"{path}: contains no {kind}")
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


def _columns(path: Path, layout: Format, table: Any) -> Columns:
    """The table as trials, keys and scores, its values checked."""
    values: dict[str, Any] = {}
    for name in table.column_names:
        column = table.column(name)
        if str(column.type).startswith("dictionary"):
            values[name] = column.unify_dictionaries().combine_chunks()
        elif name in ("score", "llr"):
            values[name] = _numbers(column, path, layout)
        elif name in ("cm", "asv"):
            values[name] = _halves(column, name, path, layout)
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
    words = {name: _words(values[name], name) for name in WORDS if name in values}
    numbers = {name: values.get(name) for name in NUMBERS}
    return Columns(str(path), layout, trial, key=keys, **numbers, **words)


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


def _halves(column: Any, name: str, path: Path, layout: Format) -> np.ndarray | None:
    """The scores of one system of a tandem; a dash in every line where there are none."""
    compute = require("pyarrow.compute")
    none = compute.equal(column, "-")
    if compute.all(none).as_py():
        return None
    try:
        return as_numpy(column.cast("double").combine_chunks())
    except require("pyarrow").ArrowInvalid as error:
        row = int(compute.index(none, True).as_py())
        where = f"{path}:{line_number(path, layout, row)}" if row >= 0 else str(path)
        raise InputError(f"{where}: {name}: expected a number in every line, or a dash") from error


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
