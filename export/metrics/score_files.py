"""Score and key files: read in every layout that :mod:`export.metrics.formats` knows, and written.

A trial is named by what it is about: a countermeasure trial by its file, a verification trial by
enrolment and test.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from export.errors import InputError
from export.files import replacing
from export.metrics.formats import KEYS
from export.metrics.joining import join, read_tandem_scores
from export.metrics.lines import Line
from export.metrics.reading import read_keys, read_scores

__all__ = [
    "Line",
    "join",
    "read_keys",
    "read_scores",
    "read_tandem_scores",
    "write_keys",
    "write_scores",
]

ScoreLayout = Literal["asvspoof2019_cm", "asvspoof2021_cm", "kaldi", "csv"]
KeyLayout = Literal["asvspoof2019", "asvspoof2019_asv", "trials", "csv"]


def write_scores(lines: Iterable[Line], path: Path, layout: ScoreLayout) -> None:
    """Write scores, to the last bit of float64.

    Raises:
        InputError: if a trial does not fit the layout or its name holds white space.
    """
    if layout == "csv":
        return _write_csv(lines, path)
    fields: dict[str, Callable[[Line], Sequence[str]]] = {
        "asvspoof2019_cm": lambda line: (line.trial[0], line.attack, _key(line), _number(line)),
        "asvspoof2021_cm": lambda line: (line.trial[0], _number(line)),
        "kaldi": lambda line: (*line.trial, _number(line)),
    }
    _write(lines, path, fields[layout], 2 if layout == "kaldi" else 1)


def write_keys(lines: Iterable[Line], path: Path, layout: KeyLayout) -> None:
    """Write a protocol or a trial list.

    Raises:
        InputError: if a trial does not fit the layout or its name holds white space.
    """
    if layout == "csv":
        return _write_csv(lines, path)
    fields: dict[str, Callable[[Line], Sequence[str]]] = {
        "asvspoof2019": lambda line: (line.speaker, line.trial[0], "-", line.attack, _key(line)),
        "asvspoof2019_asv": lambda line: (*line.trial, line.attack, _key(line)),
        "trials": lambda line: (*line.trial, _key(line)),
    }
    _write(lines, path, fields[layout], 1 if layout == "asvspoof2019" else 2)


def _write(
    lines: Iterable[Line], path: Path, fields: Callable[[Line], Sequence[str]], size: int
) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for line in lines:
            if len(line.trial) != size:
                raise InputError(
                    f"{path}: trial {line.name!r}: this layout names {size} of a trial"
                )
            row = fields(line)
            if any(len(field.split()) != 1 for field in row):
                raise InputError(f"{path}: trial {line.name!r}: the name contains white space")
            file.write(" ".join(row) + "\n")


def _write_csv(lines: Iterable[Line], path: Path) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for line in lines:
            names = ("file",) if len(line.trial) == 1 else ("enrol", "test")
            row: dict[str, object] = dict(zip(names, line.trial, strict=True))
            row |= {"speaker": line.speaker, "attack": line.attack, "key": line.key}
            row |= {name: value for name, value in _numbers(line) if value is not None}
            row |= {"part": line.part} if line.part else {}
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow(row)


def _numbers(line: Line) -> tuple[tuple[str, float | None], ...]:
    return (("score", line.score), ("llr", line.llr))


def _key(line: Line) -> str:
    if line.key not in KEYS:
        raise InputError(f"trial {line.name!r}: has no key to write")
    return line.key


def _number(line: Line) -> str:
    if line.score is None:
        raise InputError(f"trial {line.name!r}: has no score to write")
    return repr(float(line.score))
