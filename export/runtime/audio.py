"""Reading speech from files: one channel, one sample rate, and a word on what was changed.

Every part of ``export`` that takes a file reads it here, so that what a score contract says about
mixdown, sample scale and resampling is true of training, of parity and of scoring alike.
"""

import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, BinaryIO

import torch
from torch import Tensor

from export.errors import InputError, MissingPackageError
from export.runtime._containers import Container, Incomplete, examine
from export.runtime.guards import Meter, peak
from export.runtime.resampling import Resampler

MIXDOWN = "mean"
PCM_SCALE = 1.0 / 32768.0

AUDIO_SUFFIXES = (".flac", ".wav")

# Samples of all channels that are decoded at once.
_BLOCK = 1 << 17

# What libsndfile says of a length that it does not know.
_UNKNOWN = 1 << 62


@dataclass(frozen=True)
class Audio:
    """A waveform as the models see it, and what was done to the file to get there.

    Attributes:
        waveform: float32 samples of shape (N,), full scale = 1.
        notes: one short remark for each change, such as ``"resampled from 44100 Hz"``.
    """

    waveform: Tensor
    notes: tuple[str, ...] = ()


def load_torchaudio() -> ModuleType:
    """Import torchaudio, which on a CPU-only torch may fail to find its CUDA libraries.

    Raises:
        MissingPackageError: if it is missing or does not fit the installed torch.
    """
    try:
        import torchaudio
    except ImportError as error:
        raise MissingPackageError(
            "torchaudio is not installed: pip install torchaudio in the version of your torch"
        ) from error
    except OSError as error:
        raise MissingPackageError(
            f"torchaudio does not fit the installed torch {torch.__version__} ({error}): "
            "install both from the same index (a CPU-only torch needs a CPU-only torchaudio)"
        ) from error
    module: ModuleType = torchaudio
    return module


def _load_soundfile() -> ModuleType:
    try:
        import soundfile
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"reading audio files needs soundfile ({error}): pip install 'scriptable-speech[cli]'"
        ) from error
    module: ModuleType = soundfile
    return module


class Recording:
    """An audio file, opened, whose waveform comes block by block; a context manager.

    Channels are averaged first, the mean is resampled after. 16-bit samples are divided by 32768.

    Args:
        path: a WAV or FLAC file, or any other format that libsndfile reads.
        sample_rate: the rate wanted, in Hz.

    Attributes:
        rate: the file's own sample rate, in Hz.
        notes: what is done to the file, and what cannot be known of it.
        meter: what :class:`export.runtime.guards.Guards` look at, complete after the last block.

    Raises:
        InputError: if the file is missing, empty, truncated, no audio, or holds several recordings.
        MissingPackageError: if soundfile cannot be imported.
    """

    def __init__(self, path: str | os.PathLike[str], sample_rate: int) -> None:
        if sample_rate <= 0:
            raise InputError(f"sample rate: expected a positive number of Hz, got {sample_rate}")
        self.path = Path(path)
        container = _checked(self.path)
        self._closing = ExitStack()
        self._file = _open(self.path, container, self._closing)
        rate, channels = int(self._file.samplerate), int(self._file.channels)
        self._resampler = None
        notes = [container.note] if container.note else []
        if channels > 1:
            notes.append(f"mixed down from {channels} channels")
        if rate != sample_rate:
            notes.append(f"resampled from {rate} Hz")
            try:
                self._resampler = Resampler(rate, sample_rate)
            except InputError as error:
                self._closing.close()
                raise InputError(f"{self.path}: {error}") from error
        self.rate = rate
        self.notes = tuple(notes)
        self.meter = Meter(sample_rate)

    def __enter__(self) -> "Recording":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    def blocks(self) -> Iterator[Tensor]:
        """The waveform ``[*]`` in float32, in order.

        Raises:
            InputError: if it ends before its header says, or holds NaN or infinity.
        """
        for frames in self._frames():
            mono = self.meter.hear_channels(frames).float()
            block = mono if self._resampler is None else self._resampler.push(mono)
            self.meter.hear(block)
            yield block
        if self._resampler is not None:
            block = self._resampler.finish()
            self.meter.hear(block)
            yield block

    def _frames(self) -> Iterator[Tensor]:
        """Samples ``[F, C]`` as they are decoded; memory goes by what is there, not by a header."""
        soundfile = _load_soundfile()
        count, promised = 0, int(self._file.frames)
        if promised >= _UNKNOWN:
            # At the end of such a file soundfile would fail to seek to where it is.
            self._file._info.seekable = 0
            promised = 0
        size = max(1, _BLOCK // int(self._file.channels))
        while True:
            try:
                data = self._file.read(size, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError) as error:
                raise InputError(
                    f"{self.path}: truncated or damaged ({_reason(error)}); "
                    "copy or download the file again"
                ) from error
            if len(data) == 0:
                break
            count += len(data)
            frames = torch.from_numpy(data)
            if not math.isfinite(peak(frames)):
                raise InputError(
                    f"{self.path}: contains NaN or infinite samples; repair or re-export the file"
                )
            yield frames
        if count < promised:
            raise InputError(
                f"{self.path}: truncated, {promised} frames promised and {count} there; "
                "copy or download the file again"
            )
        if count == 0:
            raise InputError(f"{self.path}: contains no samples; record or export the file again")


def read_waveform(path: str | os.PathLike[str], sample_rate: int) -> Audio:
    """Read an audio file as one channel of float32 at ``sample_rate``, all of it.

    Raises:
        InputError: as :class:`Recording` does.
        MissingPackageError: likewise.
    """
    with Recording(path, sample_rate) as recording:
        waveform = torch.cat(list(recording.blocks()))
        return Audio(waveform.contiguous(), recording.notes)


def _checked(path: Path) -> Container:
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a WAV or FLAC file")
    if not path.is_file():
        state = "is not a regular file" if path.exists() else "no such file"
        raise InputError(f"{path}: {state}; check the path")
    try:
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes); copy or record the file again")
        return examine(path)
    except Incomplete as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from error


def _open(path: Path, container: Container, closing: ExitStack) -> Any:
    soundfile = _load_soundfile()
    try:
        if container.patches:
            raw = closing.enter_context(path.open("rb"))
            return closing.enter_context(soundfile.SoundFile(_Patched(raw, container.patches)))
        # As bytes: a name need not be UTF-8, and soundfile would encode it strictly.
        name = os.fsencode(path) if os.name == "posix" else str(path)
        return closing.enter_context(soundfile.SoundFile(name))
    # soundfile answers a suffix such as .raw with TypeError: it would need to be told the format.
    except (soundfile.SoundFileError, TypeError, RuntimeError) as error:
        closing.close()
        raise InputError(
            f"{path}: not readable as audio ({_reason(error)}); give a WAV or FLAC file"
        ) from error


class _Patched:
    """A file of which some bytes are read as others."""

    def __init__(self, file: BinaryIO, patches: dict[int, bytes]) -> None:
        self._file = file
        self._patches = patches
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """As of any file."""
        begin = self._file.tell()
        content = bytearray(self._file.read(size))
        for at, patch in self._patches.items():
            for offset, byte in enumerate(patch, at - begin):
                if 0 <= offset < len(content):
                    content[offset] = byte
        return bytes(content)


def _reason(error: Exception) -> str:
    """What the library says, without the path that its message repeats."""
    text = " ".join(str(error).split()).removesuffix(".")
    return text.rsplit(": ", 1)[-1] if text.startswith("Error") else text
