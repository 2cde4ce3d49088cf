"""SpeechBrain's filterbank and its normalisation, against SpeechBrain."""

import copy
import re
from typing import Any

import pytest
import torch
from frontend_helpers import SAMPLES, broadband, deviation, noise, periodic
from toolkits import imported
from torch import Tensor

from scriptable import CepstralNorm, Fbank

CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "ecapa": {"n_mels": 80},
    "deltas": {"deltas": True},
    "context": {"context": True},
    "left": {"context": True, "left_frames": 3, "right_frames": 1},
    "right": {"deltas": True, "context": True, "left_frames": 0, "right_frames": 4},
    "rectangular": {"filter_shape": "rectangular", "f_min": 100, "f_max": 7000},
    "gaussian": {"filter_shape": "gaussian", "n_fft": 512},
    "telephone": {"sample_rate": 8000, "n_fft": 256, "win_length": 30, "hop_length": 15},
}


def theirs(waveform: Tensor, **given: Any) -> Tensor:
    return imported("speechbrain.lobes.features").Fbank(**given)(waveform).transpose(1, 2)


@pytest.mark.parametrize("name", CASES)
def test_equals_speechbrain(name: str) -> None:
    frontend = Fbank(**CASES[name]).eval()
    waveform = broadband()
    features = frontend(waveform)
    assert deviation(features, theirs(waveform, **CASES[name])) <= 1e-5
    assert list(features.shape[1:]) == [frontend.n_features, frontend.num_frames(SAMPLES)]


@pytest.mark.parametrize("std_norm", [False, True])
def test_speech_equals_speechbrain_with_its_normalisation(std_norm: bool, speech: Tensor) -> None:
    module = imported("speechbrain.processing.features")
    after = module.InputNormalization(norm_type="sentence", std_norm=std_norm)
    plain = theirs(speech, n_mels=80).transpose(1, 2)
    expected = after(plain, torch.ones(len(speech))).transpose(1, 2)
    frontend = Fbank(n_mels=80, mean_norm=True, std_norm=std_norm)
    difference = (frontend(speech) - expected).abs()
    # In decibels, of which a natural logarithm has 4.3 to one.
    assert float(difference.max()) <= 5e-3 and float(difference.mean()) <= 2e-5


def test_what_is_left_is_float32(speech: Tensor) -> None:
    frontend = Fbank()
    exact = copy.deepcopy(frontend).double()(speech.double())
    assert float((frontend(speech).double() - exact).abs().mean()) <= 1e-5
    assert bool(frontend(periodic()).isfinite().all())


def test_norm_equals_a_loop_and_is_safe() -> None:
    x = torch.randn(2, 3, 7, dtype=torch.float64)
    for std_norm in (False, True):
        y = CepstralNorm(std_norm)(x)
        for b in range(2):
            for f in range(3):
                row = x[b, f] - x[b, f].mean()
                expected = row / row.square().mean().sqrt() if std_norm else row
                torch.testing.assert_close(y[b, f], expected, rtol=1e-12, atol=1e-12)
    constant = torch.full((1, 2, 5), 3.0, requires_grad=True)
    y = CepstralNorm(std_norm=True)(constant)
    (gradient,) = torch.autograd.grad(y.sum(), constant)
    assert not bool(y.any()) and bool(gradient.isfinite().all())
    assert not bool(CepstralNorm()(torch.ones(1, 2, 1)).any())


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("name", ["default", "right"])
def test_script_trace_and_export(name: str) -> None:
    frontend = Fbank(std_norm=True, **CASES[name]).eval()
    content = broadband()
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(frontend, (noise(),), dynamic_shapes=(batch,)).module()
    for shipped in (torch.jit.script(frontend), program, torch.jit.trace(frontend, content)):
        assert deviation(shipped(content), frontend(content)) <= 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fbank(filter_shape="square"), "filter_shape: expected one of ['triangular'"),
        (lambda: Fbank(win_length=30), "win_length: expected at most n_fft = 400, got 480"),
        (lambda: Fbank(f_min=9000.0), "f_min: expected at most f_max = 8000.0, got 9000.0"),
        (
            lambda: Fbank(context=True, left_frames=-1),
            "left_frames: expected a value of 0 or above",
        ),
        (lambda: CepstralNorm(epsilon=0.0), "epsilon: expected a value above 0, got 0.0"),
        (lambda: CepstralNorm()(torch.ones(2, 3)), "x: expected shape [B, F, T], got [2, 3]"),
    ],
)
def test_bad_input(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        make()
