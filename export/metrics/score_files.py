"""Score and key files as the field writes them: ASVspoof, Kaldi trials, and CSV.

A trial is named by what it is about: a countermeasure trial by its file, a verification trial by
enrolment and test. Which layout a file has is seen from its first line; every further line must
have the same.

==================  ======================================================  ==================
layout              fields of a line                                        holds
==================  ======================================================  ==================
asvspoof2019        SPEAKER FILE - ATTACK KEY                               keys
asvspoof2021        SPEAKER FILE CODEC TRANSMISSION ATTACK KEY TRIM PHASE   keys, of both tasks
asvspoof2019_asv    ENROL FILE SOURCE KEY                                   keys
trials              ENROL TEST KEY                                          keys
asvspoof2019_cm     FILE ATTACK KEY SCORE                                   scores and keys
asvspoof2021_cm     FILE SCORE                                              scores
kaldi               ENROL TEST SCORE                                        scores
csv                 header with file, or enrol and test; score, key         what it has
==================  ======================================================  ==================
"""

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from export.errors import InputError
from export.files import replacing

KEYS = ("bonafide", "spoof", "target", "nontarget")
ScoreLayout = Literal["asvspoof2019_cm", "asvspoof2021_cm", "kaldi", "csv"]
KeyLayout = Literal["asvspoof2019", "asvspoof2019_asv", "trials", "csv"]
_NAMED = 3


@dataclass(frozen=True)
class Line:
    """One trial of a file; what the file does not say is None or empty."""

    trial: tuple[str, ...]
    """``(file,)``, or ``(enrolment, test)``."""
    score: float | None = None
    key: str = ""
    attack: str = "-"
    speaker: str = "-"
    llr: float | None = None
    part: str = ""
    """Of a corpus, such as ``held_out``."""

    @property
    def name(self) -> str:
        """For people."""
        return " ".join(self.trial)


def read_scores(path: Path) -> tuple[Line, ...]:
    """Read a file of scores.

    Raises:
        InputError: naming file and line, if a line does not parse, a score is no number, a trial
            comes twice, or the file has no scores.
    """
    return _read(path, _SCORES, "scores")


def read_keys(path: Path) -> tuple[Line, ...]:
    """Read a protocol or a trial list.

    Raises:
        InputError: naming file and line, if a line does not parse, a key is unknown, a trial
            comes twice, or the file has no keys.
    """
    return _read(path, _KEYS, "keys")


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


def join(scores: Sequence[Line], keys: Sequence[Line], score_file: str = "scores") -> list[Line]:
    """The scores with the keys of a protocol, in the protocol's order.

    Raises:
        InputError: if a trial of the protocol has no score, a score belongs to no trial of the
            protocol, or the two files disagree about a key; trials are named.
    """
    found: Mapping[tuple[str, ...], Line] = {line.trial: line for line in scores}
    wanted = {line.trial for line in keys}
    if scores and keys and len(scores[0].trial) != len(keys[0].trial):
        kinds = {1: "files", 2: "pairs of enrolment and test"}
        raise InputError(
            f"{score_file}: scores {kinds[len(scores[0].trial)]}, "
            f"but the protocol lists {kinds[len(keys[0].trial)]}"
        )
    _refuse(score_file, "without a score", [k.name for k in keys if k.trial not in found])
    _refuse(score_file, "not in the protocol", [s.name for s in scores if s.trial not in wanted])
    joined = []
    for line in keys:
        score = found[line.trial]
        if score.key and score.key != line.key:
            raise InputError(
                f"{score_file}: trial {line.name!r}: key {score.key}, the protocol says {line.key}"
            )
        joined.append(replace(line, score=score.score, llr=score.llr, part=score.part))
    return joined


def _refuse(place: str, what: str, names: list[str]) -> None:
    if names:
        first = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
        trials = "trial" if len(names) == 1 else "trials"
        raise InputError(f"{place}: {len(names)} {trials} {what}: {first}")


def read_tandem_scores(path: Path) -> tuple[Line, ...]:
    """Read the verification scores of ASVspoof 2019, ``SOURCE KEY SCORE``: trials have no names.

    Raises:
        InputError: naming file and line, if a line does not parse.
    """
    lines = []
    for number, line in enumerate(_text(path, "scores").splitlines(), start=1):
        fields = line.split()
        if len(fields) != 3 or fields[1] not in ("target", "nontarget", "spoof"):
            raise InputError(
                f"{path}:{number}: expected SOURCE KEY SCORE, KEY being target, nontarget or "
                f"spoof, got {line!r}"
            )
        try:
            lines.append(Line((str(number),), float(fields[2]), fields[1], fields[0]))
        except ValueError as error:
            raise InputError(f"{path}:{number}: score: expected a number: {line!r}") from error
    return tuple(lines)


_Layout = Callable[[list[str]], Line]

# Number of fields → how to read them.
_SCORES: dict[int, _Layout] = {
    2: lambda f: Line((f[0],), float(f[1])),
    3: lambda f: Line((f[0], f[1]), float(f[2])),
    4: lambda f: Line((f[0],), float(f[3]), f[2], f[1]),
}
_KEYS: dict[int, _Layout] = {
    3: lambda f: Line((f[0], f[1]), key=f[2]),
    4: lambda f: Line((f[0], f[1]), key=f[3], attack=f[2]),
    5: lambda f: Line((f[1],), key=f[4], attack=f[3], speaker=f[0]),
    8: lambda f: Line((f[1],), key=f[5], attack=f[4], speaker=f[0]),
}


def _read(path: Path, layouts: Mapping[int, _Layout], what: str) -> tuple[Line, ...]:
    text = _text(path, what)
    table = "," in text.partition("\n")[0]
    read = _csv_lines(path, text, what) if table else _plain_lines(path, text, layouts, what)
    lines: list[Line] = []
    places: dict[tuple[str, ...], int] = {}
    for number, line in read:
        if line.trial in places:
            raise InputError(
                f"{path}:{number}: trial {line.name!r} is also in line {places[line.trial]}; "
                "name each trial once"
            )
        places[line.trial] = number
        if line.key and line.key not in KEYS:
            raise InputError(f"{path}:{number}: key: expected {', '.join(KEYS)}, got {line.key!r}")
        if line.score is not None and math.isnan(line.score):
            raise InputError(f"{path}:{number}: trial {line.name!r}: score is NaN")
        lines.append(line)
    if not lines:
        raise InputError(f"{path}: holds no {what}")
    return tuple(lines)


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no text file; expected {what}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _plain_lines(
    path: Path, text: str, layouts: Mapping[int, _Layout], what: str
) -> Iterable[tuple[int, Line]]:
    count = 0
    found: list[tuple[int, Line]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        # The 2021 deepfake protocol has further columns after the eighth.
        size = 8 if len(fields) > 8 and 8 in layouts else len(fields)
        if size not in layouts:
            known = ", ".join(map(str, layouts))
            raise InputError(
                f"{path}:{number}: expected {known} fields for {what}, got {len(fields)}: {line!r}"
            )
        if count and size != count:
            raise InputError(f"{path}:{number}: expected {count} fields as before, got {size}")
        count = size
        try:
            found.append((number, layouts[size](fields)))
        except ValueError as error:
            raise InputError(f"{path}:{number}: score: expected a number: {line!r}") from error
    if count == 8 and any(line.key in ("target", "nontarget") for _, line in found):
        # The verification protocol of 2021 has the countermeasure's columns, but names pairs.
        found = [(n, replace(line, trial=(line.speaker, *line.trial))) for n, line in found]
    return found


def _csv_lines(path: Path, text: str, what: str) -> Iterable[tuple[int, Line]]:
    reader = csv.DictReader(text.splitlines())
    header = reader.fieldnames or []
    pair = "enrol" in header and "test" in header
    if not pair and "file" not in header:
        raise InputError(f"{path}:1: expected a column file, or columns enrol and test")
    needed = "key" if what == "keys" else "score"
    if needed not in header:
        raise InputError(f"{path}:1: expected a column {needed}")
    for row in reader:
        place = f"{path}:{reader.line_num}"
        if None in row or None in row.values():
            raise InputError(f"{place}: expected {len(header)} fields as in the header")
        if what == "keys" and not row["key"]:
            raise InputError(f"{place}: key: expected {', '.join(KEYS)}, got ''")
        yield (
            reader.line_num,
            Line(
                (row["enrol"], row["test"]) if pair else (row["file"],),
                _cell(row, "score", place),
                row.get("key", ""),
                row.get("attack") or "-",
                row.get("speaker") or "-",
                _cell(row, "llr", place),
                row.get("part", ""),
            ),
        )


def _cell(row: Mapping[str, str], column: str, place: str) -> float | None:
    if column not in row:
        return None
    try:
        return float(row[column])
    except ValueError as error:
        raise InputError(f"{place}: {column}: expected a number, got {row[column]!r}") from error


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
                raise InputError(f"{path}: trial {line.name!r}: white space in a name")
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
