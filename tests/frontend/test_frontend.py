"""The static front ends equal torchaudio's transforms, item by item, up to the edges."""

import copy
from typing import Any

import pytest
import torch
from frontend_helpers import (
    FAMILY,
    PAIRS,
    SPECTROGRAMS,
    broadband,
    build,
    deviation,
    in_float64,
    lfcc,
    log_mel,
    mfcc,
    noise,
    per_item,
    periodic,
)
from torch import Tensor, nn

from scriptable.frontend import LFCC, MFCC, LogMel

transforms = pytest.importorskip("torchaudio.transforms")
functional = pytest.importorskip("torchaudio.functional")

# Filters narrower than a bin are empty, and torchaudio says so; the grid has some on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero values")


@pytest.mark.parametrize("name", PAIRS)
def test_equals_torchaudio(name: str) -> None:
    ours, reference = pair = PAIRS[name]()
    rough, regular = broadband(), periodic()
    assert deviation(ours(rough), per_item(reference, rough)) <= 1e-5
    actual, expected = in_float64(pair, torch.cat([rough, regular]))
    assert deviation(actual, expected) <= 1e-9
    if "magnitude" not in name:
        tolerance = 2e-3 if name.startswith("logmel") else 2e-4
        assert deviation(ours(regular), per_item(reference, regular)) <= tolerance


@pytest.mark.parametrize("spec", SPECTROGRAMS)
def test_energies_equal_torchaudio_also_where_the_log_magnifies_rounding(spec: str) -> None:
    """Before the logarithm a full-scale signal's bins agree to 2e-6 of the peak.

    What differs is the order of summation: a convolution adds up to 1024 products one by one, the
    FFT in a tree (with the rounded kernel, but summed in float64, the distance is 3e-8).

    A periodic signal leaves bins that hold nothing but this rounding. With ``power=1`` it stands
    above the log floor of 1e-6, in torchaudio's features as in ours, so the logarithms of those
    are compared in float64 only.
    """
    ours, reference = log_mel(spec, "htk40")
    waveform = periodic()

    def distance(waveform: Tensor) -> float:
        actual = ours.filterbank(ours.spectrogram(waveform.unsqueeze(1))).transpose(1, 2)
        expected = per_item(reference.mel, waveform)
        peak = expected.amax(dim=(1, 2), keepdim=True)
        return float(((actual - expected).abs() / peak).max())

    assert distance(waveform) <= 2e-6
    ours.double()
    reference.double()
    assert distance(waveform.double()) <= 1e-13


@pytest.mark.parametrize("spec", ["default", "asvspoof", "no_center", "magnitude"])
def test_speech_equals_torchaudio(spec: str, speech: Tensor) -> None:
    """On speech the distance is torchaudio's own distance from its float64 result, mostly."""
    for pair, own_error, difference in (
        (log_mel(spec, "htk40"), 2e-5, 2e-4),
        (mfcc(spec, "htk40", False), 1e-5, 2e-5),
        (mfcc(spec, "htk40", True), 1e-5, 2e-5),
        (lfcc(spec, "asvspoof", False), 1e-5, 2e-5),
        (lfcc(spec, "asvspoof", True), 1e-5, 2e-5),
    ):
        features = pair[0](speech)
        exact, expected = in_float64(pair, speech)
        assert deviation(exact, expected) <= 1e-9
        assert deviation(features, expected) <= own_error
        assert deviation(features, per_item(pair[1], speech)) <= difference


def test_log_floor_is_the_number_added() -> None:
    frontend = LogMel(n_mels=40, log_floor=1e-3)
    mel = transforms.MelSpectrogram(n_mels=40)(noise())
    torch.testing.assert_close(frontend(noise()), torch.log(mel + 1e-3), rtol=1e-5, atol=1e-5)


def test_unnormalised_cosine_transform() -> None:
    ours = MFCC(n_mfcc=12, norm=None, n_mels=40)
    reference = transforms.MFCC(n_mfcc=12, norm=None, melkwargs={"n_mels": 40})
    assert deviation(ours(noise()), per_item(reference, noise())) <= 1e-5


@pytest.mark.parametrize("frames", [1, 2, 5, 26])
@pytest.mark.parametrize("center", [True, False])
def test_deltas_equal_torchaudio(frames: int, center: bool) -> None:
    plain = LFCC(n_filter=20, n_lfcc=20, hop_length=160, center=center)
    samples = 160 * (frames - 1) + (240 if center else 400)
    frames = plain.num_frames(samples)
    waveform = noise(samples=samples)
    static = plain(waveform)
    first = functional.compute_deltas(static)
    second = functional.compute_deltas(first)
    for order, expected in ((1, [static, first]), (2, [static, first, second])):
        frontend = LFCC(n_filter=20, n_lfcc=20, hop_length=160, center=center, deltas=order)
        features = frontend(waveform)
        assert features.shape == (2, frontend.n_features, frames)
        assert deviation(features, torch.cat(expected, dim=1)) <= 1e-6


@pytest.mark.parametrize("log", [False, True])
def test_gradient_equals_torchaudio(log: bool) -> None:
    for spec in ("asvspoof", "magnitude", "no_center"):
        for pair in (lfcc(spec, "asvspoof", log), mfcc(spec, "htk40", log)):
            ours, reference = (module.double() for module in pair)
            waveform = broadband()[:4].double().requires_grad_()
            (expected,) = torch.autograd.grad(
                per_item(reference, waveform).square().sum(), waveform
            )
            (actual,) = torch.autograd.grad(ours(waveform).square().sum(), waveform)
            scale = float(expected.abs().max())
            assert float((actual - expected).abs().max()) <= 1e-9 * scale


@pytest.mark.parametrize("name", FAMILY)
def test_batch_equals_its_items(name: str) -> None:
    frontend = build(name)
    for waveform, tolerance in ((broadband(), 1e-6), (periodic().double(), 1e-9)):
        frontend.to(waveform.dtype)
        items = torch.cat([frontend(item.unsqueeze(0)) for item in waveform])
        assert deviation(frontend(waveform), items) <= tolerance


def test_decibel_floor_is_per_item_and_torchaudios_per_batch() -> None:
    ours, reference = mfcc("asvspoof", "htk40", False)
    quiet = 1e-4 * noise(1)
    batch = torch.cat([noise(1), quiet])
    alone = reference(quiet)
    in_batch = reference(batch)[1:]
    assert float((in_batch - alone).abs().max()) > 50.0
    assert deviation(ours(batch)[1:], alone) <= 1e-5
    assert deviation(reference(batch.unsqueeze(1))[1:, 0], alone) <= 1e-6


@pytest.mark.parametrize("name", FAMILY)
def test_num_frames_and_n_features(name: str) -> None:
    frontend = build(name)
    shortest = frontend.spectrogram.min_samples
    for samples in (shortest, shortest + 1, shortest + 159, shortest + 160, 1601):
        frames = frontend.num_frames(samples)
        assert frontend(noise(1, samples)).shape == (1, frontend.n_features, frames)
    with pytest.raises(ValueError, match=f"num_samples: expected at least {shortest}, got"):
        frontend.num_frames(shortest - 1)


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("kind", [LogMel, MFCC, LFCC])
def test_gradient_is_finite_on_every_content(kind: type[nn.Module], power: float) -> None:
    logs = {LogMel: [{}], MFCC: [{"log_mels": True}, {}], LFCC: [{"log_lf": True}, {}]}[kind]
    for options in logs:
        waveform = torch.cat([broadband(), periodic()]).requires_grad_()
        features = kind(n_fft=512, power=power, **options)(waveform)
        (gradient,) = torch.autograd.grad(features.sum(), waveform)
        assert features.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(dtype: torch.dtype) -> None:
    frontend = LogMel(n_fft=1024, n_mels=40)
    waveform = torch.cat([noise(), periodic()])
    with torch.autocast("cpu", dtype=dtype):
        mixed = frontend(waveform)
        from_half = frontend(waveform.to(dtype))
    assert mixed.dtype == from_half.dtype == torch.float32
    assert torch.equal(mixed, frontend(waveform))
    assert from_half.isfinite().all()


def test_float64_samples_are_cast_to_the_kernels_dtype() -> None:
    frontend = build("lfcc-db-deltas")
    assert torch.equal(frontend(noise().double()), frontend(noise()))


def test_cast_to_float64_and_back_restores_the_kernel() -> None:
    frontend = build("lfcc-db-deltas")
    before = copy.deepcopy(frontend.state_dict())
    rounded = frontend.spectrogram.transform.second.double()
    frontend.double()
    assert 0.0 < float((frontend.spectrogram.transform.second - rounded).abs().max()) < 1e-7
    frontend.float()
    for key, value in frontend.state_dict().items():
        assert torch.equal(value, before[key])


def test_state_dict_carries_the_kernels() -> None:
    frontend = build("lfcc-db-deltas")
    other = copy.deepcopy(frontend)
    for buffer in other.buffers():
        buffer.zero_()
    other.load_state_dict(frontend.state_dict())
    assert torch.equal(other(noise()), frontend(noise()))
    assert not list(frontend.parameters())


BAD_WAVEFORMS = [
    (torch.zeros(3), r"waveform: expected shape \[B, N\], got \[3\]"),
    (torch.zeros(2, 1, 4000), r"waveform: expected shape \[B, N\], got \[2, 1, 4000\]"),
    (torch.zeros(2, 256), r"waveform: expected shape \[B, N\] with N >= 257, got \[2, 256\]"),
    (torch.zeros(2, 4000, dtype=torch.int16), r"waveform: expected floating-point samples"),
]


@pytest.mark.parametrize(("waveform", "message"), BAD_WAVEFORMS)
def test_bad_waveforms(waveform: Tensor, message: str) -> None:
    frontend = build("lfcc-db-deltas")
    with pytest.raises(ValueError, match=message):
        frontend(waveform)
    with pytest.raises(torch.jit.Error, match="builtins.ValueError: " + message):
        torch.jit.script(frontend)(waveform)


def test_too_short_for_a_frame() -> None:
    with pytest.raises(ValueError, match=r"with N >= 512, got \[1, 511\]"):
        build("lfcc-log-no_center")(torch.zeros(1, 511))


BAD_OPTIONS: list[tuple[type[nn.Module], dict[str, Any], str]] = [
    (LogMel, {"n_fft": 0}, "n_fft: expected a value above 0, got 0"),
    (LogMel, {"win_length": 401}, "win_length: expected at most n_fft = 400, got 401"),
    (LogMel, {"hop_length": 0}, "hop_length: expected a value above 0, got 0"),
    (LogMel, {"win_length": 1}, "hop_length: expected a value above 0, got 0"),
    (LogMel, {"power": 3.0}, r"power: expected one of \[1.0, 2.0\], got 3.0"),
    (LogMel, {"normalized": "yes"}, "normalized: expected one of .* got 'yes'"),
    (LogMel, {"pad_mode": "circular"}, "pad_mode: expected one of .* got circular"),
    (
        LogMel,
        {"window_fn": lambda n: torch.ones(n + 1)},
        r"window_fn\(win_length\): expected shape",
    ),
    (LogMel, {"sample_rate": 0}, "sample_rate: expected a value above 0, got 0"),
    (LogMel, {"f_min": 9000.0}, "f_min: expected at most f_max = 8000.0, got 9000.0"),
    (LogMel, {"n_mels": 0}, "n_mels: expected a value above 0, got 0"),
    (LogMel, {"norm": "area"}, "norm of the mel filterbank: expected one of .* got 'area'"),
    (LogMel, {"mel_scale": "bark"}, "mel_scale: expected one of .* got bark"),
    (LogMel, {"log_floor": 0.0}, "log_floor: expected a value above 0, got 0.0"),
    (LogMel, {"deltas": 3}, r"deltas: expected one of \[0, 1, 2\], got 3"),
    (MFCC, {"n_mfcc": 129}, "n_mfcc: expected at most n_mels = 128, got 129"),
    (MFCC, {"dct_type": 3}, r"dct_type: expected one of \[2\], got 3"),
    (MFCC, {"norm": "unit"}, "norm: expected one of .* got 'unit'"),
    (LFCC, {"n_lfcc": 401}, "n_lfcc: expected at most n_fft = 400, got 401"),
    (LFCC, {"n_filter": 0}, "n_filter: expected a value above 0, got 0"),
]


@pytest.mark.parametrize(("kind", "options", "message"), BAD_OPTIONS)
def test_bad_options(kind: type[nn.Module], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)


@pytest.mark.parametrize("make", [LogMel, MFCC, LFCC])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing_in_eager_mode_and_little_in_script(make, dtype) -> None:
    frontend = make(n_fft=1024)
    tone = torch.sin(0.3 * torch.arange(8000.0)).repeat(2, 1)
    expected = frontend(tone)
    scripted = torch.jit.script(frontend)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(frontend(tone), expected)
        found = scripted(tone)
    assert found.dtype == torch.float32
    # Bins far below a pure tone are rounding, which two orders of summation do not share.
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02 * float(expected.std()))
