"""Reading audio files: what comes out exactly, and what bad files are answered with."""

import builtins
import math

import numpy as np
import pytest
import soundfile
import torch
from speech_helpers import SPEECH, needs_speech

from export.errors import InputError, MissingPackageError
from export.runtime import audio, resampling
from export.runtime.audio import read_waveform
from export.runtime.contract import Audio


def tone(frequency, rate, seconds=0.5, amplitude=0.5):
    return amplitude * np.sin(2 * math.pi * frequency * np.arange(int(rate * seconds)) / rate)


def dominant_frequency(waveform, rate):
    spectrum = torch.fft.rfft(waveform * torch.hann_window(len(waveform))).abs()
    return float(spectrum.argmax()) * rate / len(waveform)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_16_bit_samples_are_divided_by_32768_exactly(tmp_path, suffix):
    steps = np.array([-32768, -32767, -1, 0, 1, 2, 12345, 32767], dtype=np.int16)
    path = tmp_path / f"steps.{suffix}"
    soundfile.write(path, steps, 16000, subtype="PCM_16")
    read = read_waveform(path, 16000)
    assert read.waveform.dtype == torch.float32
    assert torch.equal(read.waveform, torch.from_numpy(steps).float() / 32768)
    assert read.notes == ()


@pytest.mark.parametrize("channels", [2, 3])
def test_mixdown_is_the_mean_of_the_channels(tmp_path, channels):
    steps = np.random.default_rng(0).integers(-9000, 9000, (800, channels)).astype(np.int16)
    path = tmp_path / "many.wav"
    soundfile.write(path, steps, 16000)
    read = read_waveform(path, 16000)
    expected = torch.from_numpy(steps.mean(axis=1) / 32768).float()
    torch.testing.assert_close(read.waveform, expected, atol=1e-7, rtol=0)
    assert read.notes == (f"mixed down from {channels} channels",)
    assert read.waveform.is_contiguous()


@pytest.mark.parametrize("rate", [44100, 48000, 22050, 8000, 16001])
def test_other_rates_are_resampled_and_keep_the_pitch(tmp_path, rate):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(1000, rate), rate, subtype="FLOAT")
    if rate == 16001:
        with pytest.raises(InputError, match=r"tone\.wav: 16001 Hz cannot be resampled"):
            read_waveform(path, 16000)
        return
    read = read_waveform(path, 16000)
    assert len(read.waveform) == math.ceil(int(rate * 0.5) * 16000 / rate)
    assert dominant_frequency(read.waveform, 16000) == pytest.approx(1000, abs=2)
    expected = torch.from_numpy(tone(1000, 16000)).float()
    assert (read.waveform - expected)[200:-200].abs().max() < 2e-3
    assert read.notes == (f"resampled from {rate} Hz",)


def test_channels_are_mixed_before_resampling(tmp_path):
    path = tmp_path / "both.flac"
    stereo = np.stack([tone(500, 44100), tone(700, 44100)], axis=1)
    soundfile.write(path, stereo, 44100, subtype="PCM_24")
    read = read_waveform(path, 16000)
    mixed, _ = soundfile.read(path, dtype="float32")
    expected = resampling.resample(torch.from_numpy(mixed).mean(dim=1), 44100, 16000)
    assert torch.equal(read.waveform, expected)
    assert read.notes == ("mixed down from 2 channels", "resampled from 44100 Hz")


def test_downsampling_removes_what_the_new_rate_cannot_hold(tmp_path):
    path = tmp_path / "high.wav"
    soundfile.write(path, tone(15000, 44100), 44100, subtype="FLOAT")
    assert read_waveform(path, 16000).waveform[200:-200].abs().max() < 1e-2


def test_the_score_contract_states_these_constants():
    stated = Audio(sample_rate=16000)
    assert stated.mixdown == audio.MIXDOWN
    assert 1 / stated.pcm16_divisor == audio.PCM_SCALE
    assert stated.resampler == resampling.RESAMPLING_METHOD
    assert stated.resampler_lowpass_filter_width == resampling.LOWPASS_FILTER_WIDTH
    assert stated.resampler_rolloff == resampling.ROLLOFF


def _cut(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def _bad_file(kind, folder):
    noise = np.random.default_rng(1).normal(0, 0.1, 16000)
    path = folder / "bad.wav"
    if kind == "directory":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("no sound in here\n" * 20)
    elif kind == "no samples":
        soundfile.write(path, noise[:0], 16000)
    elif kind in ("nan", "inf"):
        noise[777] = float(kind)
        soundfile.write(path, noise, 16000, subtype="FLOAT")
    elif kind == "cut header":
        soundfile.write(path, noise, 16000)
        _cut(path, 20)
    elif kind == "cut wav":
        soundfile.write(path, noise, 16000)
        _cut(path, 16044)
    elif kind == "cut flac":
        path = folder / "bad.flac"
        soundfile.write(path, noise, 16000)
        _cut(path, path.stat().st_size // 2)
    elif kind == "raw":
        path = folder / "bad.raw"
        path.write_bytes(b"\x01\x02" * 500)
    elif kind == "broken link":
        path.symlink_to(folder / "gone.wav")
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("broken link", "no such file"),
        ("directory", "is a directory; give a WAV or FLAC file"),
        ("empty", r"is empty \(0 bytes\)"),
        ("text", "not readable as audio"),
        ("raw", "not readable as audio"),
        ("cut header", "not readable as audio"),
        ("no samples", "contains no samples"),
        ("nan", "contains NaN or infinite samples"),
        ("inf", "contains NaN or infinite samples"),
        ("cut wav", "truncated, 16000 bytes of audio that its header promises are missing"),
        ("cut flac", "truncated"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path, kind, message):
    path = _bad_file(kind, tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_waveform(path, 16000)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert text.count(str(path)) == 1
    assert "\n" not in text


def test_a_streamed_wav_with_a_placeholder_for_its_length_is_read(tmp_path):
    path = tmp_path / "streamed.wav"
    soundfile.write(path, tone(440, 16000), 16000)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = b"\xff" * 4
    path.write_bytes(content)
    assert len(read_waveform(path, 16000).waveform) == 8000


def test_sample_rate_must_be_positive(tmp_path):
    with pytest.raises(InputError, match="sample rate: expected a positive number of Hz, got 0"):
        read_waveform(tmp_path / "any.wav", 0)


@pytest.mark.parametrize(
    ("package", "error", "message"),
    [
        ("soundfile", ImportError("no module"), r"needs soundfile.*scriptable-speech\[cli\]"),
        (
            "soundfile",
            OSError("libsndfile not found"),
            r"libsndfile not found.*scriptable-speech\[cli\]",
        ),
        ("torchaudio", ImportError("no module"), "torchaudio is not installed"),
        ("torchaudio", OSError("libc10_cuda.so"), r"libc10_cuda\.so.*CPU-only torchaudio"),
    ],
)
def test_packages_that_cannot_be_imported(tmp_path, monkeypatch, package, error, message):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(440, 8000), 8000)
    real_import = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == package:
            raise error
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingPackageError, match=message):
        if package == "soundfile":
            read_waveform(path, 16000)
        audio.load_torchaudio()


@needs_speech
def test_real_recordings_are_read_as_they_are():
    files = sorted(SPEECH.rglob("*.wav"))
    assert len(files) == 27
    for path in files:
        read = read_waveform(path, 16000)
        steps, rate = soundfile.read(path, dtype="int16")
        assert rate == 16000
        assert torch.equal(read.waveform * 32768, torch.from_numpy(steps).float())
        assert read.notes == ()


def test_a_header_that_promises_gigabytes_costs_none(tmp_path):
    path = tmp_path / "huge.flac"
    soundfile.write(path, np.zeros(4000, dtype=np.float32), 16000)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the upper bits of STREAMINFO's number of samples
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"huge\.flac: truncated"):
        audio.read_waveform(path, 16000)
