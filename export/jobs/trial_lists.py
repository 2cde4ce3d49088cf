"""Trial lists and enrolment lists of verifiers, with the recordings that they name."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from export.corpus import BONA_FIDE, SPOOF, Utterance, audio_files
from export.errors import InputError
from export.jobs.speaker_trials import SpeakerTrial, SpeakerTrials
from export.metrics.score_files import Line, read_keys
from export.progress import Progress, tracked
from export.runtime.audio import read_waveform

Enrolments = Mapping[str, Sequence[str]]
"""The recordings of each model."""

_NAMED = 3
# As NIST heads the columns of its lists.
_HEADER = ["modelid", "segmentid"]


def read_enrolments(path: Path) -> Enrolments:
    """Read ``MODEL FILE [FILE ...]``, one line a model, or one line for each of its recordings.

    A comma separates files, too, as in ASVspoof's lists.

    Raises:
        InputError: naming file and line, if a model has no recording, or one recording twice.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise InputError(f"{path}: cannot be read ({reason})") from error
    models: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        model, *files = line.replace(",", " ").split() or [""]
        if not model or (number == 1 and [model, *files] == _HEADER):
            continue
        if not files:
            raise InputError(f"{path}:{number}: expected MODEL FILE [FILE ...], got {model!r}")
        for file in files:
            known = models.setdefault(model, [])
            if file in known:
                raise InputError(f"{path}:{number}: model {model} names the file {file} twice")
            known.append(file)
    if not models:
        raise InputError(f"{path}: is empty; expected lines of MODEL FILE [FILE ...]")
    return models


def read_trials(
    protocol: Path,
    folder: Path,
    sample_rate: int,
    progress: Progress,
    kinds: Sequence[str] = ("target", "nontarget"),
    enrolment: Path | None = None,
) -> tuple[SpeakerTrials, tuple[str, ...]]:
    """The trials of a list of ``ENROL TEST KEY``, with the recordings they name; and remarks.

    Trials of other kinds than ``kinds`` are left out. ENROL is a recording, or a model of the
    enrolment list where there is one.

    Raises:
        InputError: if a list or a recording cannot be read, one of the kinds is missing, a model
            is not in the enrolment list, or a recording is a spoof in some trials only.
    """
    lines = list(read_keys(protocol))
    used = _of_kinds(lines, kinds, protocol)
    models = None if enrolment is None else read_enrolments(enrolment)
    enrolled = [_recordings(line.trial[0], models, protocol, enrolment) for line in used]
    pairs = list(zip(used, enrolled, strict=True))
    speakers = {file: line.trial[0] for line, files in pairs for file in files}
    attacks = _attacks(used, speakers, protocol)
    names = list(dict.fromkeys([*speakers, *(line.trial[1] for line in used)]))
    paths = list(zip(names, located(names, folder), strict=True))
    utterances = [
        Utterance(
            name,
            speakers.get(name, name),
            attacks.get(name) or "-",
            SPOOF if attacks.get(name) else BONA_FIDE,
            read_waveform(path, sample_rate).waveform,
        )
        for name, path in tracked(paths, "reading audio", progress)
    ]
    place = {name: index for index, name in enumerate(names)}
    trials = [
        SpeakerTrial(
            tuple(place[file] for file in files), place[line.trial[1]], line.key, line.trial[0]
        )
        for line, files in pairs
    ]
    others = len(lines) - len(used)
    notes = (f"{protocol}: {others} trials of other kinds are left out",) if others else ()
    return SpeakerTrials(utterances, trials), notes


def _of_kinds(lines: Sequence[Line], kinds: Sequence[str], protocol: Path) -> list[Line]:
    if any(len(line.trial) != 2 for line in lines):
        raise InputError(f"{protocol}: expected lines of ENROL TEST {'|'.join(kinds)}")
    for kind in kinds:
        if not any(line.key == kind for line in lines):
            every = "both" if len(kinds) == 2 else "all three"
            raise InputError(f"{protocol}: contains no {kind} trial; {every} kinds are needed")
    return [line for line in lines if line.key in kinds]


def _recordings(
    name: str, models: Enrolments | None, protocol: Path, enrolment: Path | None
) -> Sequence[str]:
    if models is None:
        return [name]
    if name not in models:
        raise InputError(f"{protocol}: model {name} is not in {enrolment}")
    return models[name]


def _attacks(lines: Sequence[Line], enrolled: Collection[str], protocol: Path) -> dict[str, str]:
    """Of each recording under test its attack: a word where it is a spoof, nothing where live."""
    attacks: dict[str, str] = {}
    for line in lines:
        name = line.trial[1]
        attack = (line.attack if line.attack != "-" else "spoof") if line.key == "spoof" else ""
        if bool(attacks.setdefault(name, attack)) != bool(attack):
            raise InputError(f"{protocol}: {name} is a spoof in one trial and live in another")
        if attack and name in enrolled:
            raise InputError(f"{protocol}: {name} is enrolled, and a spoof in another trial")
    return attacks


def located(names: Sequence[str], folder: Path) -> list[Path]:
    """The file of each name: its path below the folder, or its name alone, with or without end."""
    known: dict[str, Path] = {}
    for path in audio_files(folder):
        below = path.relative_to(folder)
        for name in (below.as_posix(), below.with_suffix("").as_posix(), path.name, path.stem):
            known.setdefault(name, path)
    missing = [name for name in names if name not in known]
    if missing:
        first = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        raise InputError(
            f"{folder}: {len(missing)} of {len(names)} recordings are missing: {first}"
        )
    return [known[name] for name in names]
