"""A corpus from a folder of speech: recordings are bona fide, vocoded copies are the spoofs."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from export.corpus._types import Corpus, Utterance, audio_files, spread, summed_up
from export.corpus.vocoder import VOCODERS, as_pair, copy_synthesis
from export.errors import InputError
from export.progress import Progress, silent, tracked
from export.runtime.audio import read_waveform

MIN_SECONDS = 0.3


def from_speech_folder(
    folder: str | os.PathLike[str],
    sample_rate: int,
    *,
    limit: int | None = None,
    progress: Progress = silent,
) -> Corpus:
    """Read all WAV and FLAC files below a folder as bona fide, and vocode each into a spoof.

    The speaker of a file is its sub-folder's name or, where the files lie in one folder, its name
    up to the first ``_`` or ``-``. Files shorter than 0.3 s and silent ones are left out.

    Args:
        folder: searched with everything below it.
        sample_rate: the rate wanted, in Hz; other files are resampled.
        limit: read at most this many files, from all speakers in turn.
        progress: told about every file read and copied.

    Raises:
        InputError: if there is no usable audio, or a file cannot be read.
    """
    folder = Path(folder)
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected at least 1 file, got {limit}")
    files = audio_files(folder)
    if not files:
        raise InputError(
            f"{folder}: contains no .wav or .flac file; give a folder of speech recordings"
        )
    names = _names(files, folder)
    speakers, speaker_notes = _speakers(files)
    chosen = spread(speakers, limit)
    utterances: list[Utterance] = []
    remarks: list[str] = []
    for done, index in enumerate(tracked(chosen, "vocoding copies of the recordings", progress)):
        audio = read_waveform(files[index], sample_rate)
        if len(audio.waveform) < MIN_SECONDS * sample_rate:
            remarks.append(f"left out: shorter than {MIN_SECONDS} s")
        elif float(audio.waveform.abs().max()) == 0.0:
            remarks.append("left out: silent")
        else:
            remarks += audio.notes
            vocoder = VOCODERS[done % len(VOCODERS)]
            copy = copy_synthesis(audio.waveform, sample_rate, vocoder, seed=done)
            utterances += as_pair(names[index], speakers[index], audio.waveform, copy, vocoder)
    if not utterances:
        raise InputError(
            f"{folder}: none of {len(chosen)} files contains {MIN_SECONDS} s of sound; "
            "give speech recordings"
        )
    notes = (*speaker_notes, *summed_up(remarks, len(chosen)))
    if len(chosen) < len(files):
        notes = (f"{len(chosen)} of the {len(files)} files in {folder} used", *notes)
    return Corpus(tuple(utterances), sample_rate, notes)


def _names(files: Sequence[Path], folder: Path) -> list[str]:
    named: dict[str, Path] = {}
    for file in files:
        name = file.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise InputError(
                f"{named[name]} and {file}: two files with the same name, "
                "probably the same speech twice; keep one"
            )
        named[name] = file
    return list(named)


def _speakers(files: Sequence[Path]) -> tuple[list[str], tuple[str, ...]]:
    parent = Path(os.path.commonpath([file.parent for file in files]))
    below = [file.relative_to(parent).parts for file in files]
    if any(len(parts) > 1 for parts in below):
        names = [parts[0] if len(parts) > 1 else _from_name(parts[0]) for parts in below]
        return names, ()
    names = [_from_name(parts[0]) for parts in below]
    number = len(set(names))
    if len(files) > 1 and number in (1, len(files)):
        found = "one speaker" if number == 1 else "no two files of a speaker"
        note = (
            f"the file names show {found}: each file counts as a speaker of its own "
            "(sub-folders named after the speakers would tell)"
        )
        return [Path(parts[0]).stem for parts in below], (note,)
    return names, ()


def _from_name(file_name: str) -> str:
    stem = Path(file_name).stem
    return re.split("[_-]", stem, maxsplit=1)[0] or stem
