"""Half a file is an error, or a note says that nothing tells; joined files are told; blocks."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from artefact_helpers import RATE, Artefacts, Command, voice, write_wav

from export.errors import InputError
from export.runtime.audio import Recording, read_waveform
from export.runtime.resampling import Resampler, resample

NO_LENGTH = "completeness not checked: its header states no length"
NOT_DONE = "completeness not checked: not done for this format"

CHECKED = ["WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "SVX", "FLAC", "OGG", "MP3"]
# libsndfile itself notices what is missing, or nothing tells, and the note says so.
OTHERS = ["AVR", "HTK", "IRCAM", "MAT4", "MAT5", "MPC2K", "PAF", "PVF", "VOC", "WVE"]


def written(kind: str, folder: Path, samples: int = 8000, channels: int = 1) -> Path:
    path = folder / f"a.{kind.lower()}"
    wave = torch.stack([voice(samples, seed=c) for c in range(channels)], 1)
    subtype = soundfile.default_subtype(kind) or "PCM_16"
    soundfile.write(path, wave.numpy(), RATE, format=kind, subtype=subtype)
    return path


def test_every_format_that_the_library_writes_is_in_one_list() -> None:
    known = {*CHECKED, *OTHERS, "RAW", "SD2", "SDS", "XI"}
    assert set(soundfile.available_formats()) <= known


@pytest.mark.parametrize("kind", CHECKED)
def test_half_a_file_is_an_error_and_a_whole_one_needs_no_note(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path)
    assert read_waveform(path, RATE).notes == ()
    content = path.read_bytes()
    for length in (len(content) // 2, len(content) * 3 // 4, len(content) - 2):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"truncated|not readable"):
            read_waveform(path, RATE)


@pytest.mark.parametrize("kind", OTHERS)
def test_what_cannot_be_checked_is_named_beside_the_score(
    kind: str, artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    path = written(kind, tmp_path)
    assert read_waveform(path, RATE).notes[0] == NOT_DONE
    ran = command("score", artefacts.path("torchscript"), path)
    assert f"note: {path}: {NOT_DONE}" in ran.err.splitlines()


def test_a_big_endian_wav_is_read_and_its_half_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, voice(8000).numpy(), RATE, format="WAV", endian="BIG")
    content = path.read_bytes()
    assert content[:4] == b"RIFX"
    assert read_waveform(path, RATE).notes == ()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="truncated"):
        read_waveform(path, RATE)


@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3"])
def test_joined_recordings_are_told(kind: str, tmp_path: Path) -> None:
    path = written(kind, tmp_path)
    path.write_bytes(2 * path.read_bytes())
    with pytest.raises(InputError, match="contains several recordings, one after the other"):
        read_waveform(path, RATE)


def without_length(content: bytes) -> bytes:
    at = content.index(b"data") + 4
    return content[:at] + struct.pack("<I", 0) + content[at + 4 :]


def test_a_wav_whose_writer_was_stopped_is_read_to_its_end_with_a_note(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", voice(8000))
    whole = read_waveform(path, RATE)
    path.write_bytes(without_length(path.read_bytes()))
    read = read_waveform(path, RATE)
    assert torch.equal(read.waveform, whole.waveform)
    assert (whole.notes, read.notes) == ((), (NO_LENGTH,))


def test_an_empty_wav_with_a_chunk_behind_its_data_stays_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), RATE)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 10) + bytes(10))
    with pytest.raises(InputError, match="contains no samples"):
        read_waveform(path, RATE)


def test_a_flac_without_a_length_is_read_with_a_note(tmp_path: Path) -> None:
    path = written("FLAC", tmp_path, samples=200_000)
    whole = read_waveform(path, RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    read = read_waveform(path, RATE)
    assert torch.equal(read.waveform, whole.waveform) and read.notes == (NO_LENGTH,)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="truncated"):
        read_waveform(path, RATE)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("sizes", [(1000,), (7, 90_001, 1)])
def test_resampling_gives_the_same_bits_whatever_the_blocks(
    rate: int, sizes: tuple[int, ...]
) -> None:
    wave = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    resampler, made, at = Resampler(rate, RATE), [], 0
    while at < len(wave):
        for size in sizes:
            made.append(resampler.push(wave[at : at + size]))
            at += size
    made.append(resampler.finish())
    assert torch.equal(torch.cat(made), resample(wave, rate, RATE))


def test_reading_measures_channels_and_waveform(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    left, right = voice(44100, rate=44100), voice(44100, 190.0, 3, 44100)
    soundfile.write(path, torch.stack([left, right], 1).numpy(), 44100)
    with Recording(path, RATE) as recording:
        wave = torch.cat(list(recording.blocks()))
    assert recording.meter.seconds == len(wave) / RATE == 1.0
    assert recording.meter.amplitude == float(wave.abs().max())
    assert recording.meter.clipped == 0.0 and recording.meter.cancellation_db < 6


LONG = """
import resource, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from export.runtime.scorer import load_scorer
scorer = load_scorer(Path(sys.argv[1]))
scorer.score_file(Path(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found, _ = scorer.score_file(Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, found.decision)
"""


def test_memory_does_not_grow_with_the_recording(artefacts: Artefacts, tmp_path: Path) -> None:
    """Ten minutes of 44.1 kHz stereo, 212 MB as floats, after one second of it."""
    block = torch.stack([voice(44100, rate=44100), voice(44100, 150.0, 2, 44100)], 1).numpy()
    short, long = tmp_path / "short.wav", tmp_path / "long.wav"
    soundfile.write(short, block, 44100, subtype="PCM_16")
    with soundfile.SoundFile(long, "w", 44100, 2, subtype="PCM_16") as file:
        for _ in range(600):
            file.write(block)
    text = artefacts.path("executorch_xnnpack")
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LONG, str(text), str(short), str(long)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).resolve().parents[3],
    )
    kilobytes, decision = ran.stdout.split()
    assert decision in ("bonafide", "spoof")
    assert int(kilobytes) < 60_000


def test_a_chunk_of_more_than_there_is_is_no_place_to_look_behind(tmp_path: Path) -> None:
    """The second chunk of CAF and the format of W64 say nearly 2⁶⁴ bytes: seeking there fails."""
    for kind, place in (("CAF", 56), ("W64", 56)):
        path = written(kind, tmp_path)
        content = bytearray(path.read_bytes())
        content[place : place + 8] = b"\x7f" * 8
        path.write_bytes(content)
        try:
            assert read_waveform(path, RATE).waveform.numel() > 0
        except InputError as error:
            assert "cannot be read" not in str(error)
