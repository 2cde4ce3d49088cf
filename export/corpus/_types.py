"""What a corpus is made of, and what its three sources share."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from export.errors import InputError
from export.runtime.audio import AUDIO_SUFFIXES, PCM_SCALE

BONA_FIDE = 1
SPOOF = 0
NO_ATTACK = "-"

_Item = TypeVar("_Item")


@dataclass(frozen=True, eq=False)
class Utterance:
    """One recording and what is known about it.

    Attributes:
        name: unique within a corpus.
        speaker: who speaks; for a spoof, who is imitated or which system speaks.
        attack: the spoofing system, ``"-"`` for bona fide speech.
        label: 1 = bona fide, 0 = spoof.
        waveform: float32 samples of shape (N,).
    """

    name: str
    speaker: str
    attack: str
    label: int
    waveform: Tensor


@dataclass(frozen=True, eq=False)
class Corpus:
    """Utterances at one sample rate, with remarks a user should see about how they came to be."""

    utterances: tuple[Utterance, ...]
    sample_rate: int
    notes: tuple[str, ...] = ()


def audio_files(folder: Path) -> list[Path]:
    """All WAV and FLAC files below ``folder``, sorted; linked folders are followed once.

    Raises:
        InputError: if ``folder`` is not a directory.
    """
    if not folder.is_dir():
        state = "is not a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {state}; give the folder with the audio files")
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        found += [Path(parent, name) for name in files if _is_audio(name)]
    return sorted(found)


def _is_audio(name: str) -> bool:
    # Copies from a Mac bring along "._x.wav", which is metadata under the name of audio.
    return not name.startswith("._") and name.lower().endswith(AUDIO_SUFFIXES)


def summed_up(notes: Iterable[str], total: int) -> tuple[str, ...]:
    """The notes on single files, each once and with the number of files it is about."""
    return tuple(f"{count} of {total} files {note}" for note, count in Counter(notes).items())


def spread(speakers: Sequence[str], limit: int | None) -> list[int]:
    """Indices of at most ``limit`` items, taken from every speaker in turn, in their old order."""
    if limit is None or limit >= len(speakers):
        return list(range(len(speakers)))
    turns: Counter[str] = Counter()
    order = []
    for index, speaker in enumerate(speakers):
        order.append((turns[speaker], index))
        turns[speaker] += 1
    return sorted(index for _, index in sorted(order)[:limit])


def as_pcm16(waveform: Tensor) -> Tensor:
    """Round to the steps of 16-bit audio, staying float32.

    Recordings come in such steps and fall to exact zeros in silence; computed speech does not,
    and a detector would learn that difference before any other.
    """
    steps = torch.round(waveform / PCM_SCALE)
    return steps.clamp(-32768, 32767) * PCM_SCALE


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread for a while.

    How many share a sum decides how it is rounded, and the samples must not depend on the machine.
    Pieces as short as one utterance are also made faster this way.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
