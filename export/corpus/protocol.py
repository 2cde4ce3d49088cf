"""A corpus named by a protocol file in the layout of the ASVspoof 2019 logical-access task."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from export.corpus._types import (
    BONA_FIDE,
    SPOOF,
    Corpus,
    Utterance,
    audio_files,
    spread,
    summed_up,
)
from export.errors import InputError
from export.progress import Progress, silent, tracked
from export.runtime.audio import AUDIO_SUFFIXES, read_waveform

_LABELS = {"bonafide": BONA_FIDE, "spoof": SPOOF}
_LAYOUT = "SPEAKER FILE - ATTACK KEY, KEY being bonafide or spoof"
_NAMED = 3


@dataclass(frozen=True)
class Trial:
    """One line of a protocol: which file, who speaks, which attack (``"-"`` if none), 1 or 0."""

    name: str
    speaker: str
    attack: str
    label: int


def read_protocol(path: str | os.PathLike[str]) -> tuple[Trial, ...]:
    """Read a countermeasure protocol, one ``SPEAKER FILE - ATTACK KEY`` a line.

    Raises:
        InputError: if the file cannot be read, a line does not parse, a file is named twice, or
            not both classes are there; the message gives the line.
    """
    path = Path(path)
    trials: list[Trial] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        trial = _parse(line, f"{path}:{number}")
        if trial.name in lines:
            raise InputError(
                f"{path}:{number}: file {trial.name!r} is also named in line {lines[trial.name]}; "
                "name each file once"
            )
        lines[trial.name] = number
        trials.append(trial)
    if not trials:
        raise InputError(f"{path}: is empty; expected lines of {_LAYOUT}")
    if len({trial.label for trial in trials}) == 1:
        absent = "spoof" if trials[0].label == BONA_FIDE else "bonafide"
        raise InputError(f"{path}: has no {absent} line; both classes are needed")
    return tuple(trials)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not a text file; expected lines of {_LAYOUT}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _parse(line: str, place: str) -> Trial:
    fields = line.split()
    if len(fields) != 5:
        raise InputError(f"{place}: expected 5 fields ({_LAYOUT}), got {len(fields)}: {line!r}")
    speaker, name, _, attack, key = fields
    if key not in _LABELS:
        raise InputError(f"{place}: key: expected bonafide or spoof, got {key!r}")
    return Trial(_without_suffix(name), speaker, attack, _LABELS[key])


def _without_suffix(name: str) -> str:
    return Path(name).stem if name.lower().endswith(AUDIO_SUFFIXES) else name


def from_protocol(
    protocol: str | os.PathLike[str],
    audio_dir: str | os.PathLike[str],
    sample_rate: int,
    *,
    limit: int | None = None,
    progress: Progress = silent,
) -> Corpus:
    """Read all files that a protocol names, wherever they lie below a folder.

    Args:
        protocol: the protocol file, see :func:`read_protocol`.
        audio_dir: a folder; the tree below it is searched for ``FILE.flac`` and ``FILE.wav``.
        sample_rate: the rate wanted, in Hz; other files are resampled.
        limit: read at most this many files of each class, from all speakers in turn.
        progress: told about every file read.

    Raises:
        InputError: for a bad protocol, and for missing, ambiguous or unreadable audio files.
    """
    trials = read_protocol(protocol)
    chosen = _limited(trials, limit)
    paths = _locate([trial.name for trial in chosen], Path(audio_dir))
    utterances: list[Utterance] = []
    remarks: list[str] = []
    pairs = list(zip(chosen, paths, strict=True))
    for trial, path in tracked(pairs, "reading audio", progress):
        audio = read_waveform(path, sample_rate)
        remarks += audio.notes
        utterances.append(
            Utterance(trial.name, trial.speaker, trial.attack, trial.label, audio.waveform)
        )
    notes = summed_up(remarks, len(chosen))
    if len(chosen) < len(trials):
        notes = (f"{len(chosen)} of the {len(trials)} files of the protocol used", *notes)
    return Corpus(tuple(utterances), sample_rate, notes)


def _limited(trials: Sequence[Trial], limit: int | None) -> list[Trial]:
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected at least 1 file of each class, got {limit}")
    classes = [[t for t in trials if t.label == label] for label in (BONA_FIDE, SPOOF)]
    return [
        members[index]
        for members in classes
        for index in spread([trial.speaker for trial in members], limit)
    ]


def _locate(names: Iterable[str], folder: Path) -> list[Path]:
    by_name: dict[str, list[Path]] = {}
    for path in audio_files(folder):
        by_name.setdefault(path.stem, []).append(path)
    found, missing = [], []
    for name in names:
        matches = by_name.get(name, [])
        if len(matches) > 1:
            raise InputError(
                f"{name!r} of the protocol is ambiguous: {matches[0]} and {matches[1]}; "
                "give a folder that contains it once"
            )
        if matches:
            found.append(matches[0])
        else:
            missing.append(name)
    if missing:
        first = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        raise InputError(
            f"{folder}: {len(missing)} of {len(missing) + len(found)} files of the protocol are "
            f"missing as .flac or .wav: {first}; check the folder"
        )
    return found
