"""The layouts of score and key files that the field writes, and which of them a file has.

A layout is the list of its columns. Which one a file has is seen from its first line: their number,
and which of them are numbers, keys or flags. docs/score-files.md has the table for people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from export.errors import InputError

Kind = Literal["scores", "keys", "tandem"]
KEYS = ("bonafide", "spoof", "target", "nontarget")
_CSV_COLUMNS = ("file", "enrol", "test", "score", "llr", "key", "attack", "speaker", "part")


@dataclass(frozen=True)
class Format:
    """A layout: what its columns are, and what it is good for."""

    name: str
    columns: tuple[str, ...]
    """What each column is; ``-`` is not read."""
    kinds: tuple[Kind, ...]
    header: tuple[str, ...] = ()
    """The first line, where the layout has one."""
    marker: str = ""
    """What every line that counts begins with, where others stand between them."""
    separator: str = ""
    """Between columns, where it is not white space."""

    @property
    def shown(self) -> str:
        """The columns as they are printed."""
        words = self.header or tuple(name.upper() for name in self.columns)
        return ", ".join(["Output", *words]) if self.marker else " ".join(words)

    def fields(self, line: str) -> list[str]:
        """The fields of a line; none if it does not count."""
        if self.marker:
            whole = line.startswith(self.marker)
            return line[len(self.marker) :].replace(",", " ").split() if whole else []
        return line.split()


def _named(name: str, columns: str, kinds: str, header: str = "", marker: str = "") -> Format:
    return Format(name, tuple(columns.split()), tuple(kinds.split()), tuple(header.split()), marker)  # type: ignore[arg-type]


# Of two layouts that a line fits, the first is taken.
FORMATS = (
    _named("asvspoof2021_cm", "file score", "scores"),
    _named("asvspoof2019_cm", "file attack key score", "scores"),
    _named("asvspoof2019_tandem", "attack key score", "tandem"),
    _named("kaldi", "enrol test score", "scores tandem"),
    _named("wespeaker", "enrol test score key", "scores"),
    _named("wespeaker_norm", "enrol test score key " + 4 * "number ", "scores"),
    _named("speechbrain", "enrol test flag score", "scores"),
    _named("asvspoof2021_log", "file mark score", "scores", marker="Output,"),
    _named("asvspoof5_cm", "file score", "scores", "filename cm-score"),
    _named(
        "asvspoof5_sasv",
        "enrol test cm asv score",
        "scores",
        "spk filename cm-score asv-score sasv-score",
    ),
    _named("trials", "enrol test key", "keys"),
    _named("voxceleb", "flag enrol test", "keys"),
    _named("asvspoof2019_asv", "enrol test attack key", "keys"),
    _named("asvspoof2019", "speaker file - attack key", "keys"),
    _named("asvspoof2021", "speaker file - - attack key trim part", "keys"),
    _named("asvspoof2021_df", "speaker file - - attack key trim part - - - - -", "keys"),
    _named("asvspoof2021_pa", "speaker file - - - - - - - key trim part", "keys"),
    _named("asvspoof5", "speaker file - - - - - attack key -", "keys"),
    _named("asvspoof5_cm_key", "file key", "keys", "filename cm-label"),
    _named("asvspoof5_sasv_key", "enrol test cmkey key", "keys", "spk filename cm-label asv-label"),
)
CSV = Format("csv", (), ("scores", "keys"), separator=",")
NAMES = (*(layout.name for layout in FORMATS), CSV.name)


def detect(lines: Sequence[str], kind: Kind, place: str, name: str | None = None) -> Format:
    """The layout that the first lines of a file have, or the one that is named.

    Raises:
        InputError: if the name is unknown or its layout holds something else, or if no layout fits;
            the message says which column surprised, and which layouts are known.
    """
    if name is not None:
        return _chosen(name, lines, kind)
    candidates = [layout for layout in FORMATS if kind in layout.kinds]
    for layout in candidates:
        if layout.marker and any(line.startswith(layout.marker) for line in lines):
            return layout
    first = lines[0]
    for layout in candidates:
        if layout.header and tuple(first.split()) == layout.header:
            return layout
    if "," in first:
        return csv_format(first, kind, place)
    plain = [layout for layout in candidates if not (layout.header or layout.marker)]
    fields = first.split()
    near = [layout for layout in plain if len(layout.columns) == len(fields)]
    faults = [_faults(layout, fields) for layout in near]
    for layout, found in zip(near, faults, strict=True):
        if not found:
            return layout
    raise InputError(f"{place}: {_surprise(near, faults, fields)}; {known(kind)}")


def _chosen(name: str, lines: Sequence[str], kind: Kind) -> Format:
    for layout in (*FORMATS, CSV):
        if layout.name == name and kind in layout.kinds:
            return csv_format(lines[0], kind, "line 1") if layout is CSV else layout
    names = [layout.name for layout in (*FORMATS, CSV) if kind in layout.kinds]
    raise InputError(f"format: expected one of {', '.join(names)} for {kind}, got {name}")


def csv_format(header: str, kind: Kind, place: str) -> Format:
    """The layout of a table of our own, whose header says what it holds.

    Raises:
        InputError: naming the column that is missing.
    """
    names = tuple(name.strip().strip('"') for name in header.split(","))
    if not {"enrol", "test"} <= set(names) and "file" not in names:
        raise InputError(
            f"{place}: expected a column file, or columns enrol and test, in the header; "
            f"got {', '.join(names)}; {known(kind)}"
        )
    needed = "key" if kind == "keys" else "score"
    if needed not in names:
        raise InputError(f"{place}: expected a column {needed} in the header")
    columns = tuple(name if name in _CSV_COLUMNS else "-" for name in names)
    if {"enrol", "test"} <= set(names):
        columns = tuple("-" if name == "file" else name for name in columns)
    return Format("csv", columns, CSV.kinds, names, separator=",")


def known(kind: Kind) -> str:
    """The layouts that hold this, in one line."""
    shown = [f"{layout.name} ({layout.shown})" for layout in FORMATS if kind in layout.kinds]
    return f"known formats: {', '.join(shown)}, csv (with a header)"


def fault(role: str, value: str) -> str:
    """What was expected of a column instead of this value, or nothing."""
    if role in ("score", "llr", "number"):
        return "" if _is_number(value) else f"{role}: expected a number"
    choices = {"key": KEYS, "cmkey": KEYS, "flag": ("0", "1"), "mark": ("1", "0", "-1")}.get(role)
    return "" if choices is None or value in choices else f"{role}: expected {', '.join(choices)}"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _faults(layout: Format, fields: Sequence[str]) -> list[str]:
    found = []
    for place, (role, value) in enumerate(zip(layout.columns, fields, strict=True), start=1):
        said = fault(role, value)
        if said:
            found.append(f"column {place}, {said}, got {value!r}")
    return found


def _surprise(near: Sequence[Format], faults: Sequence[list[str]], fields: Sequence[str]) -> str:
    if not near:
        return f"no format has {len(fields)} columns: {' '.join(fields)!r}"
    best = min(range(len(near)), key=lambda index: len(faults[index]))
    return f"{faults[best][0]} (as {near[best].name}: {near[best].shown})"
