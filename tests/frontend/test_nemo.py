"""NeMo's mel spectrogram, against its published formula written out in float64."""

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from frontend_helpers import SAMPLES, broadband, deviation, noise
from torch import Tensor

from scriptable import AudioToMelSpectrogramPreprocessor

CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "titanet": {"window_size": 0.025, "features": 80, "n_fft": 512},
    "all_features": {"normalize": "all_features", "pad_to": 0},
    "plain": {"normalize": "NA", "preemph": None, "mel_norm": None, "pad_value": -7.0},
    "magnitude": {"mag_power": 1.0, "window": "hamming", "lowfreq": 60.0, "highfreq": 7000.0},
    "clamp": {"log_zero_guard_type": "clamp", "log_zero_guard_value": 1e-5, "window": "none"},
    "linear": {"log": False, "normalize": "NA"},
    "older": {"pad_mode": "reflect", "count_last": True, "n_window_size": 400},
    "telephone": {"sample_rate": 8000, "n_window_stride": 100, "pad_to": 7},
}


def slaney_filters(rate: int, n_fft: int, count: int, low: float, high: float, norm: bool) -> Any:
    """Triangles on Slaney's scale: linear to 1 kHz, then 27 steps to each factor of 6.4."""

    def to_mel(f: float) -> float:
        return f * 3 / 200 if f < 1000 else 15 + 27 * math.log(f / 1000) / math.log(6.4)

    mel = np.linspace(to_mel(low), to_mel(high), count + 2)
    edges = np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
    bins = np.linspace(0, rate / 2, n_fft // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    return filters * (2 / (edges[2:] - edges[:-2]))[:, None] if norm else filters


def reference(waveform: Tensor, given: dict[str, Any]) -> Tensor:
    """Frame by frame in numpy; ``[B, F, T]``."""
    rate = given.get("sample_rate", 16000)
    width = given.get("n_window_size", int(given.get("window_size", 0.02) * rate))
    hop = given.get("n_window_stride", int(0.01 * rate))
    n_fft = given.get("n_fft", 2 ** math.ceil(math.log2(width)))
    window = {"hann": np.hanning, "hamming": np.hamming, "none": np.ones}[
        given.get("window", "hann")
    ](width)
    left = (n_fft - width) // 2
    framed = np.pad(window, (left, n_fft - width - left))
    filters = slaney_filters(
        rate,
        n_fft,
        given.get("features", 64),
        given.get("lowfreq", 0.0),
        given.get("highfreq", rate / 2),
        given.get("mel_norm", "slaney") is not None,
    )
    items = [mel_of(item, given, framed, filters, hop) for item in waveform.double().numpy()]
    return torch.from_numpy(np.stack(items))


def mel_of(x: Any, given: dict[str, Any], window: Any, filters: Any, hop: int) -> Any:
    if given.get("preemph", 0.97) is not None:
        x = np.concatenate([x[:1], x[1:] - 0.97 * x[:-1]])
    n_fft, samples = len(window), len(x)
    padded = np.pad(x, n_fft // 2, mode=given.get("pad_mode", "constant"))
    starts = range(0, len(padded) - n_fft + 1, hop)
    spectrum = np.stack([np.fft.rfft(window * padded[s : s + n_fft]) for s in starts], axis=1)
    mel = filters @ np.abs(spectrum) ** given.get("mag_power", 2.0)
    if given.get("log", True):
        if given.get("log_zero_guard_type", "add") == "add":
            mel = np.log(mel + 2.0**-24)
        else:
            mel = np.log(np.maximum(mel, given["log_zero_guard_value"]))
    frames = mel.shape[1]
    valid = frames if given.get("count_last") else samples // hop
    kind = given.get("normalize", "per_feature")
    if kind != "NA":
        axis = 1 if kind == "per_feature" else None
        counted = mel[:, :valid]
        mean = counted.mean(axis=axis, keepdims=True)
        mel = (mel - mean) / (counted.std(axis=axis, keepdims=True, ddof=1) + 1e-5)
    mel[:, valid:] = given.get("pad_value", 0.0)
    step = given.get("pad_to", 16)
    more = -frames % step if step else 0
    return np.pad(mel, ((0, 0), (0, more)), constant_values=given.get("pad_value", 0.0))


def module(name: str) -> AudioToMelSpectrogramPreprocessor:
    return AudioToMelSpectrogramPreprocessor(**CASES[name]).eval()


@pytest.mark.parametrize("name", CASES)
def test_equals_the_formula(name: str) -> None:
    frontend = module(name)
    waveform = broadband()
    features = frontend(waveform)
    assert list(features.shape[1:]) == [frontend.n_features, frontend.num_frames(SAMPLES)]
    assert deviation(features[:4], reference(waveform[:4], CASES[name])) <= 1e-4
    # The filters are torchaudio's, in float32.
    exact = frontend.double()(waveform.double())
    assert deviation(exact, reference(waveform, CASES[name])) <= 2e-5


@pytest.mark.parametrize("name", ["titanet", "older"])
def test_speech_equals_the_formula(name: str, speech: Tensor) -> None:
    difference = (module(name)(speech).double() - reference(speech, CASES[name])).abs()
    assert float(difference.max()) <= 2e-3 and float(difference.mean()) <= 2e-5


@pytest.mark.parametrize("name", ["default", "all_features"])
def test_silence_is_finite(name: str) -> None:
    waveform = torch.zeros(1, SAMPLES, requires_grad=True)
    features = module(name)(waveform)
    (gradient,) = torch.autograd.grad(features.sum(), waveform)
    assert bool(features.isfinite().all()) and bool(gradient.isfinite().all())
    one_frame = module(name)(0.1 * torch.randn(1, 160))
    assert bool(one_frame.isfinite().all())


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", ["default", "older", "all_features"])
def test_script_trace_and_export(name: str) -> None:
    frontend = module(name)
    content = broadband()[:4]
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(frontend, (noise(),), dynamic_shapes=(batch,)).module()
    for shipped in (torch.jit.script(frontend), program, torch.jit.trace(frontend, content)):
        assert deviation(shipped(content), frontend(content)) <= 1e-6


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"window": "povey"}, "window: expected one of ['hann', 'hamming', 'blackman', 'bartlett'"),
        (
            {"normalize": "fixed"},
            "normalize: expected one of ['per_feature', 'all_features', 'NA']",
        ),
        ({"frame_splicing": 2}, "frame_splicing: expected one of [1], got 2"),
        ({"log_zero_guard_type": "x"}, "log_zero_guard_type: expected one of ['add', 'clamp']"),
        ({"pad_to": -1}, "pad_to: expected a value of 0 or above, got -1"),
        ({"preemph": -0.5}, "preemph: expected a value of 0 or above, got -0.5"),
        ({"n_fft": 100}, "win_length: expected at most n_fft = 100, got 320"),
    ],
)
def test_bad_configurations(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        AudioToMelSpectrogramPreprocessor(**given)


def test_a_waveform_without_a_frame_that_counts() -> None:
    message = re.escape("waveform: expected shape [B, N] with N >= 160, got [1, 159]")
    with pytest.raises(ValueError, match=message):
        AudioToMelSpectrogramPreprocessor()(torch.zeros(1, 159))
