"""Reading speech from files: one channel, one sample rate, and a word on what was changed.

Every part of ``export`` that takes a file reads it here, so that what a score contract says about
mixdown, sample scale and resampling is true of training, of parity and of scoring alike.
"""

import os
import struct
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from export.errors import InputError, MissingPackageError

MIXDOWN = "mean"
PCM_SCALE = 1.0 / 32768.0
RESAMPLING_METHOD = "sinc_interp_hann"
LOWPASS_FILTER_WIDTH = 6
ROLLOFF = 0.99

AUDIO_SUFFIXES = (".flac", ".wav")

# The resampling kernel has about this many taps in all: two rates without a common divisor
# would need gigabytes of them.
_MAX_KERNEL = 20_000_000

# A header that says 1 Hz must not turn a megabyte into gigabytes.
_MAX_STRETCH = 16

_BLOCK = 1 << 16

# Writers that stream to a pipe cannot know the length and leave a placeholder of about this size.
_STREAMED_SIZE = 0x7FFFF000


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


def resample(waveform: Tensor, source_rate: int, sample_rate: int) -> Tensor:
    """Resample (..., N) to (..., ceil(N·sample_rate/source_rate)) with the contract's parameters.

    The formula is :class:`export.runtime.contract.Audio`'s; beyond both ends the waveform is zero.

    Raises:
        InputError: if the rates have no common divisor large enough for a filter of sane size, or
            the waveform would grow more than 16 times.
    """
    if source_rate == sample_rate:
        return waveform
    common = gcd(source_rate, sample_rate)
    source, target = source_rate // common, sample_rate // common
    if source * target > _MAX_KERNEL or target > _MAX_STRETCH * source:
        raise InputError(
            f"{source_rate} Hz cannot be resampled to {sample_rate} Hz here (the rates have no "
            "useful common divisor, or are too far apart): convert the audio with another tool "
            "first"
        )
    length = -(-waveform.shape[-1] * target // source)
    # torchaudio rounds the length in float32, and from 6 s on drops a sample of some recordings:
    # more zeros at the end, and the exact length after. In float32 its filter is 1e-4 off.
    zeros = source * (2 + (length >> 23))
    resampled: Tensor = load_torchaudio().functional.resample(
        torch.nn.functional.pad(waveform, (0, zeros)).double(),
        source_rate,
        sample_rate,
        lowpass_filter_width=LOWPASS_FILTER_WIDTH,
        rolloff=ROLLOFF,
        resampling_method=RESAMPLING_METHOD,
    )
    return resampled[..., :length].to(waveform.dtype)


def read_waveform(path: str | os.PathLike[str], sample_rate: int) -> Audio:
    """Read an audio file as one channel of float32 at ``sample_rate``.

    Channels are averaged first, the mean is resampled after. 16-bit samples are divided by 32768.

    Args:
        path: a WAV or FLAC file, or any other format that libsndfile reads.
        sample_rate: the rate wanted, in Hz.

    Raises:
        InputError: if the file is missing, empty, truncated, no audio, or holds NaN or infinity.
        MissingPackageError: if soundfile, or torchaudio for resampling, cannot be imported.
    """
    if sample_rate <= 0:
        raise InputError(f"sample rate: expected a positive number of Hz, got {sample_rate}")
    path = Path(path)
    _check_file(path)
    samples, source_rate = _read_samples(path)
    notes = []
    if samples.shape[1] > 1:
        notes.append(f"mixed down from {samples.shape[1]} channels")
    waveform = samples.mean(dim=1) if samples.shape[1] > 1 else samples[:, 0]
    if not bool(torch.isfinite(waveform).all()):
        raise InputError(f"{path}: holds NaN or infinite samples; repair or re-export the file")
    if source_rate != sample_rate:
        notes.append(f"resampled from {source_rate} Hz")
        try:
            waveform = resample(waveform, source_rate, sample_rate)
        except MissingPackageError:
            raise
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    return Audio(waveform.contiguous(), tuple(notes))


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: is a directory; give a WAV or FLAC file")
    if not path.is_file():
        state = "is no regular file" if path.exists() else "no such file"
        raise InputError(f"{path}: {state}; check the path")
    try:
        with path.open("rb") as file:
            missing = _missing_wav_bytes(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from error
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes); copy or record the file again")
    if missing > 0:
        raise InputError(
            f"{path}: truncated, {missing} bytes of audio that its header promises are missing; "
            "copy or download the file again"
        )


def _missing_wav_bytes(file: BinaryIO) -> int:
    """How many bytes the data chunk of a RIFF file lacks; 0 for other formats.

    libsndfile shortens such a file without a word, so its own frame count cannot tell.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    header = file.read(12)
    if header[:4] != b"RIFF" or header[8:12] != b"WAVE":
        return 0
    while len(chunk := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            return 0 if size >= _STREAMED_SIZE else max(0, file.tell() + size - end)
        file.seek(size + size % 2, os.SEEK_CUR)
    return 0


def _read_samples(path: Path) -> tuple[Tensor, int]:
    soundfile = _load_soundfile()
    try:
        file = soundfile.SoundFile(str(path))
    # soundfile answers a suffix such as .raw with TypeError: it would need to be told the format.
    except (soundfile.SoundFileError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{path}: not readable as audio ({_reason(error)}); give a WAV or FLAC file"
        ) from error
    with file:
        try:
            data = _read_blocks(file)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise InputError(
                f"{path}: truncated or damaged ({_reason(error)}); copy or download the file again"
            ) from error
        promised, rate = int(file.frames), int(file.samplerate)
    if len(data) < promised:
        raise InputError(
            f"{path}: truncated, {promised} frames promised and {len(data)} there; "
            "copy or download the file again"
        )
    if len(data) == 0:
        raise InputError(f"{path}: holds no samples; record or export the file again")
    return torch.from_numpy(data), rate


def _read_blocks(file: Any) -> np.ndarray:
    """All frames; memory goes by what is there, not by what a header promises."""
    blocks = [file.read(_BLOCK, dtype="float32", always_2d=True)]
    while len(blocks[-1]):
        blocks.append(file.read(_BLOCK, dtype="float32", always_2d=True))
    return np.concatenate(blocks)


def _reason(error: Exception) -> str:
    """What the library says, without the path that its message repeats."""
    text = " ".join(str(error).split()).removesuffix(".")
    return text.rsplit(": ", 1)[-1] if text.startswith("Error") else text
