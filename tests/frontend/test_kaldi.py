"""Kaldi's filterbank and cepstrum against torchaudio's reimplementation of Kaldi."""

import copy
import re
from typing import Any

import pytest
import torch
from frontend_helpers import SAMPLES, broadband, deviation, noise, periodic
from torch import Tensor, nn

from scriptable import KaldiFbank, KaldiMFCC

kaldi = pytest.importorskip("torchaudio.compliance.kaldi")

FRAMES: dict[str, dict[str, Any]] = {
    "default": {},
    "wespeaker": {"num_mel_bins": 80, "window_type": "hamming", "subtract_mean": True},
    "hanning": {"window_type": "hanning", "remove_dc_offset": False},
    "rectangular": {"window_type": "rectangular", "preemphasis_coefficient": 0.0},
    "blackman": {"window_type": "blackman", "blackman_coeff": 0.4, "preemphasis_coefficient": 1.0},
    "mirrored": {"snip_edges": False},
    "mirrored_long": {"snip_edges": False, "frame_length": 32.0, "frame_shift": 7.0},
    "sparse": {"snip_edges": False, "frame_length": 10.0, "frame_shift": 25.0},
    "exact_length": {"round_to_power_of_two": False, "frame_length": 30.0},
    "band": {"low_freq": 100.0, "high_freq": -400.0, "num_mel_bins": 40},
    "telephone": {"sample_frequency": 8000.0, "high_freq": 3700.0},
    "warped": {"vtln_warp": 0.9},
    "energy": {"use_energy": True},
    "energy_last": {"use_energy": True, "htk_compat": True, "energy_floor": 0.0},
    "energy_windowed": {"use_energy": True, "raw_energy": False, "energy_floor": 0.1},
    "energy_with_dc": {"use_energy": True, "remove_dc_offset": False, "subtract_mean": True},
}
FBANK: dict[str, dict[str, Any]] = {
    **FRAMES,
    "linear": {"use_log_fbank": False},
    "magnitude": {"use_power": False},
    "magnitude_energy": {"use_power": False, "use_energy": True, "raw_energy": False},
}
MFCC: dict[str, dict[str, Any]] = {
    **FRAMES,
    "htk": {"htk_compat": True},
    "no_lifter": {"cepstral_lifter": 0.0, "num_ceps": 23},
    "many": {"num_ceps": 30, "num_mel_bins": 30, "cepstral_lifter": 30.0},
}
CASES = [("fbank", name) for name in FBANK] + [("mfcc", name) for name in MFCC]


def options(kind: str, name: str) -> dict[str, Any]:
    return (FBANK if kind == "fbank" else MFCC)[name]


def ours(kind: str, **given: Any) -> nn.Module:
    return (KaldiFbank if kind == "fbank" else KaldiMFCC)(**given).eval()


def theirs(kind: str, waveform: Tensor, **given: Any) -> Tensor:
    function = getattr(kaldi, kind)
    return torch.stack([function(item.unsqueeze(0), **given).t() for item in waveform])


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_equals_torchaudio(kind: str, name: str) -> None:
    """In float32, too, ours stay close to torchaudio's float64, closer than its own float32."""
    given = options(kind, name)
    frontend = ours(kind, **given)
    rough = broadband()
    features = frontend(rough)
    expected = theirs(kind, rough.double(), **given)
    # Rounding is that of the values before their mean is subtracted.
    size = theirs(kind, rough.double(), **{**given, "subtract_mean": False}).abs().amax((1, 2))
    difference = (features - expected).abs().amax((1, 2)) / size.clamp(min=1.0)
    assert float(difference.max()) <= 1e-5
    assert list(features.shape[1:]) == [frontend.n_features, frontend.num_frames(SAMPLES)]
    wide = torch.cat([rough, periodic()]).double()
    # torchaudio keeps cosines and lifters apart in float32; ours are their product, rounded again.
    tolerance = 1e-10 if kind == "fbank" else 1e-5
    assert deviation(frontend.double()(wide), theirs(kind, wide, **given)) <= tolerance


@pytest.mark.parametrize("scale", [1.0, 32768.0])
@pytest.mark.parametrize(("kind", "mean"), [("fbank", 5e-6), ("mfcc", 2e-5)])
def test_speech_equals_torchaudio(kind: str, mean: float, scale: float, speech: Tensor) -> None:
    """What is left is float32's: of bins far below the loudest, the logarithm shows it.

    The lifter multiplies it by up to 12.
    """
    given = {"num_mel_bins": 80, "window_type": "hamming"} if kind == "fbank" else {}
    frontend = ours(kind, scale=scale, **given)
    expected = theirs(kind, scale * speech.double(), **given)
    difference = (frontend(speech).double() - expected).abs()
    assert float(difference.max()) <= 1.2e-3 and float(difference.mean()) <= mean
    exact = frontend.double()(speech.double())
    assert deviation(exact, expected) <= (1e-10 if kind == "fbank" else 1e-5)


def test_scale_multiplies_the_samples() -> None:
    waveform = noise()
    scaled = KaldiFbank(scale=32768.0, use_energy=True)(waveform)
    torch.testing.assert_close(
        scaled, KaldiFbank(use_energy=True)(32768.0 * waveform), rtol=0, atol=2e-5
    )


@pytest.mark.parametrize(("kind", "name"), [("fbank", "magnitude_energy"), ("mfcc", "energy_last")])
@pytest.mark.parametrize("content", ["silence", "constant", "impulse"])
def test_gradients_are_finite(kind: str, name: str, content: str) -> None:
    waveform = torch.zeros(1, SAMPLES)
    if content == "constant":
        waveform += 0.5
    if content == "impulse":
        waveform[0, 700] = 1.0
    waveform.requires_grad_()
    features = ours(kind, **options(kind, name))(waveform)
    (gradient,) = torch.autograd.grad(features.sum(), waveform)
    assert bool(features.isfinite().all()) and bool(gradient.isfinite().all())


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(
    ("kind", "name"), [("fbank", "energy"), ("fbank", "mirrored"), ("mfcc", "energy_windowed")]
)
def test_script_trace_and_export_with_any_batch(kind: str, name: str) -> None:
    frontend = ours(kind, **options(kind, name))
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(frontend, (noise(),), dynamic_shapes=(batch,)).module()
    content = broadband()
    assert deviation(program(content), frontend(content)) <= 1e-6
    assert deviation(torch.jit.script(frontend)(content), frontend(content)) <= 1e-6
    traced = torch.jit.trace(frontend, noise())
    assert deviation(traced(content[:2]), frontend(content[:2])) <= 1e-6


def test_a_copy_in_float64_leaves_the_original_alone() -> None:
    frontend = KaldiFbank()
    before = frontend.spectrogram.kernel.clone()
    copy.deepcopy(frontend).double()
    assert torch.equal(frontend.spectrogram.kernel, before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"window_type": "hann"}, "window_type: expected one of ['povey', 'hamming', 'hanning'"),
        ({"dither": 1.0}, "dither: expected 0, because a score must not be random, got 1.0"),
        ({"num_mel_bins": 3}, "num_mel_bins: expected 4 or more, got 3"),
        (
            {"low_freq": 9000.0},
            "low_freq: expected 0 <= low_freq < high_freq <= 8000.0, got 9000.0",
        ),
        ({"frame_length": 0.05}, "frame_length: expected 2 samples or more, got 0"),
        ({"frame_shift": 0.0}, "frame_shift in samples: expected a value above 0, got 0"),
        ({"preemphasis_coefficient": 2.0}, "preemphasis_coefficient: expected a value in [0, 1]"),
        ({"scale": 0.0}, "scale: expected a value above 0, got 0.0"),
        (
            {"round_to_power_of_two": False, "frame_length": 25.0625},
            "frame_length: expected an even number of samples without round_to_power_of_two",
        ),
        ({"vtln_warp": 1.1, "vtln_low": 10.0}, "vtln_warp: "),
    ],
)
def test_bad_configurations(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        KaldiFbank(**given)


def test_bad_cepstra_and_waveforms() -> None:
    with pytest.raises(ValueError, match="num_ceps: expected at most num_mel_bins = 23, got 24"):
        KaldiMFCC(num_ceps=24)
    message = re.escape("waveform: expected shape [B, N] with N >= 400, got [1, 399]")
    with pytest.raises(ValueError, match=message):
        KaldiFbank()(torch.zeros(1, 399))
    with pytest.raises(ValueError, match="num_samples: expected at least 400, got 399"):
        KaldiFbank(snip_edges=False).num_frames(399)
