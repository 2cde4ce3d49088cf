"""The static front ends against torchaudio's transforms, and through every way of shipping them."""

import copy
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scriptable.frontend import LFCC, MFCC, LogMel

transforms = pytest.importorskip("torchaudio.transforms")
functional = pytest.importorskip("torchaudio.functional")

ROOT = Path(__file__).resolve().parents[1]
SPEECH = Path(os.environ.get("SCRIPTABLE_SPEECH", ROOT.parent / "shared" / "data" / "speech"))
SAMPLES = 4000

# Filters narrower than a bin are empty, and torchaudio says so; the grid has some on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero values")

SPECTROGRAMS: dict[str, dict[str, Any]] = {
    "default": {},
    "asvspoof": {"n_fft": 512, "win_length": 320, "hop_length": 160},
    "no_center": {"n_fft": 512, "win_length": 400, "hop_length": 160, "center": False},
    "no_center_odd": {"n_fft": 400, "win_length": 257, "hop_length": 101, "center": False},
    "long": {"n_fft": 1024, "hop_length": 256, "normalized": True},
    "long_short_window": {"n_fft": 1024, "win_length": 400, "normalized": "frame_length"},
    "magnitude": {"n_fft": 512, "win_length": 400, "hop_length": 160, "power": 1.0},
    "magnitude_no_center": {"n_fft": 512, "power": 1.0, "center": False, "normalized": "window"},
    "constant": {"n_fft": 512, "win_length": 400, "pad_mode": "constant"},
    "replicate": {"n_fft": 512, "win_length": 401, "hop_length": 100, "pad_mode": "replicate"},
    "hamming": {"n_fft": 512, "win_length": 400, "window_fn": torch.hamming_window},
    "odd_fft": {"n_fft": 401, "win_length": 300, "hop_length": 111},
}
MELS: dict[str, dict[str, Any]] = {
    "htk40": {"n_mels": 40},
    "slaney80": {"n_mels": 80, "norm": "slaney", "mel_scale": "slaney"},
    "band": {"n_mels": 24, "f_min": 60.0, "f_max": 7000.0, "norm": "slaney"},
}
LINEARS: dict[str, dict[str, Any]] = {
    "asvspoof": {"n_filter": 20, "n_lfcc": 20},
    "band": {"n_filter": 70, "n_lfcc": 30, "f_min": 100.0, "f_max": 4000.0, "norm": None},
}


class LogMelReference(nn.Module):
    """The logarithm that torchaudio leaves to the user."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.mel = transforms.MelSpectrogram(**options)

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.log(self.mel(waveform) + 1e-6)


Pair = tuple[nn.Module, nn.Module]


def log_mel(spec: str, bank: str) -> Pair:
    options = SPECTROGRAMS[spec] | MELS[bank]
    reference = dict(options)
    kind = reference.pop("normalized", False)
    model = LogMelReference(reference)
    model.mel.spectrogram.normalized = kind
    return LogMel(**options), model


def mfcc(spec: str, bank: str, log: bool) -> Pair:
    spectrogram, mel = SPECTROGRAMS[spec], MELS[bank]
    ours = {"mel_norm" if key == "norm" else key: value for key, value in mel.items()}
    reference = transforms.MFCC(n_mfcc=20, log_mels=log, melkwargs=spectrogram | mel)
    return MFCC(n_mfcc=20, log_mels=log, **ours, **spectrogram), reference


def lfcc(spec: str, bank: str, log: bool) -> Pair:
    spectrogram, linear = SPECTROGRAMS[spec], LINEARS[bank]
    reference = transforms.LFCC(log_lf=log, speckwargs=spectrogram, **linear)
    return LFCC(log_lf=log, **linear, **spectrogram), reference


def pairs() -> dict[str, Callable[[], Pair]]:
    """Every spectrogram with every front end; the filterbanks take turns."""
    found: dict[str, Callable[[], Pair]] = {}
    mels, linears = list(MELS), list(LINEARS)
    for turn, spec in enumerate(SPECTROGRAMS):
        first, second, third = (mels[(turn + shift) % len(mels)] for shift in range(3))
        linear = linears[turn % len(linears)]
        found[f"logmel-{spec}-{first}"] = partial(log_mel, spec, first)
        found[f"mfcc-db-{spec}-{second}"] = partial(mfcc, spec, second, False)
        found[f"mfcc-log-{spec}-{third}"] = partial(mfcc, spec, third, True)
        found[f"lfcc-db-{spec}-{linear}"] = partial(lfcc, spec, linear, False)
        found[f"lfcc-log-{spec}-{linear}"] = partial(lfcc, spec, linear, True)
    for bank in mels:
        found[f"logmel-asvspoof-{bank}"] = partial(log_mel, "asvspoof", bank)
    return found


PAIRS = pairs()


def noise(batch: int = 2, samples: int = SAMPLES, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, samples, generator=generator) * 2 - 1


def tones() -> Tensor:
    time = torch.arange(SAMPLES, dtype=torch.float64) / 16000
    waves = [torch.sin(2 * torch.pi * f * time) for f in (440.0, 1000.0, 3333.3)]
    return torch.stack(waves).float()


def broadband() -> Tensor:
    """Full-scale and quiet noise, noise with a silent half, an impulse, silence."""
    gap = noise(1, seed=2)
    gap[:, SAMPLES // 2 :] = 0.0
    impulse = torch.zeros(1, SAMPLES)
    impulse[0, SAMPLES // 3] = 1.0
    return torch.cat([noise(), 1e-3 * noise(1, seed=1), gap, impulse, torch.zeros(1, SAMPLES)])


def periodic() -> Tensor:
    """Full-scale tones, square waves and a constant: most bins hold nothing but rounding."""
    waves = tones()
    return torch.cat([waves, torch.where(waves < 0, -1.0, 1.0), torch.ones(1, SAMPLES)])


@pytest.fixture(scope="module")
def speech() -> Tensor:
    files = sorted(SPEECH.rglob("*.wav"))
    if not files:
        pytest.skip(f"no *.wav under {SPEECH}: point SCRIPTABLE_SPEECH at a folder with speech")
    soundfile = pytest.importorskip("soundfile")
    signals = [torch.from_numpy(soundfile.read(file, dtype="float32")[0]) for file in files]
    return torch.stack([nn.functional.pad(x, (0, 24000))[:24000] for x in signals])


def per_item(reference: nn.Module, waveform: Tensor) -> Tensor:
    """Run torchaudio with a decibel floor for each item: the waveform as ``[B, 1, N]``."""
    return reference(waveform.unsqueeze(1)).squeeze(1)


def deviation(actual: Tensor, expected: Tensor) -> float:
    """Largest difference over max(1, largest reference value), the worst item's."""
    assert actual.shape == expected.shape
    scale = expected.double().abs().amax(dim=(1, 2)).clamp(min=1.0)
    difference = (actual.double() - expected.double()).abs().amax(dim=(1, 2))
    return float((difference / scale).max())


def in_float64(pair: Pair, waveform: Tensor) -> tuple[Tensor, Tensor]:
    ours, reference = (copy.deepcopy(module).double() for module in pair)
    return ours(waveform.double()), per_item(reference, waveform.double())


# --- equal to torchaudio -------------------------------------------------------------------------


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
    """Before the logarithm every content agrees to rounding.

    A periodic signal leaves bins that hold only float32 rounding, about 1e-7 of its peak. With
    ``power=1`` that rounding stands above the log floor of 1e-6, in torchaudio's features as in
    ours, so there the logarithms are compared in float64 only.
    """
    ours, reference = log_mel(spec, "htk40")
    waveform = periodic()
    actual = ours.filterbank(ours.spectrogram(waveform.unsqueeze(1)))
    expected = per_item(reference.mel, waveform)
    peak = expected.amax(dim=(1, 2), keepdim=True)
    assert float(((actual - expected).abs() / peak).max()) <= 1e-6


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


# --- one item does not see another ---------------------------------------------------------------


def family() -> dict[str, nn.Module]:
    """One of each kind, small enough to lower to every runtime."""
    common: dict[str, Any] = {"n_fft": 512, "win_length": 400, "hop_length": 160}
    return {
        "logmel": LogMel(n_mels=40, **common),
        "logmel-deltas-no_center": LogMel(n_mels=40, deltas=2, center=False, **common),
        "logmel-magnitude-replicate": LogMel(n_mels=40, power=1.0, pad_mode="replicate", **common),
        "mfcc-db-no_center": MFCC(n_mfcc=20, n_mels=40, center=False, **common),
        "mfcc-log-deltas-constant": MFCC(
            n_mfcc=20, n_mels=40, log_mels=True, deltas=1, pad_mode="constant", **common
        ),
        "lfcc-db-deltas": LFCC(n_filter=20, n_lfcc=20, deltas=2, **common),
        "lfcc-log-no_center": LFCC(n_filter=20, n_lfcc=20, log_lf=True, center=False, **common),
    }


FAMILY = list(family())


def build(name: str) -> nn.Module:
    return family()[name].eval()


@pytest.mark.parametrize("name", FAMILY)
def test_batch_equals_its_items(name: str) -> None:
    frontend = build(name)
    waveform = torch.cat([broadband(), periodic()])
    items = torch.cat([frontend(item.unsqueeze(0)) for item in waveform])
    assert deviation(frontend(waveform), items) <= 1e-6


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


# --- safe at the edges ---------------------------------------------------------------------------


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
        assert torch.equal(frontend(waveform), frontend.forward(waveform))
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
    rounded = frontend.spectrogram.kernel.double()
    frontend.double()
    assert 0.0 < float((frontend.spectrogram.kernel - rounded).abs().max()) < 1e-7
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


# --- shipping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILY)
def test_script_equals_eager_in_value_and_gradient(name: str) -> None:
    frontend = build(name)
    scripted = torch.jit.script(frontend)
    for _ in range(3):
        results = []
        for module in (frontend, scripted):
            waveform = broadband().requires_grad_()
            features = module(waveform)
            (gradient,) = torch.autograd.grad(features.square().mean(), waveform)
            results.append((features.detach(), gradient))
        assert deviation(results[1][0], results[0][0]) <= 1e-6
        scale = float(results[0][1].abs().max())
        assert float((results[1][1] - results[0][1]).abs().max()) <= 1e-5 * scale
    assert torch.equal(scripted(noise().double()), scripted(noise()))


@pytest.mark.parametrize("name", FAMILY)
def test_saved_script_trace_and_lite_run_on_other_content(name: str, tmp_path: Path) -> None:
    from torch.jit.mobile import _load_for_lite_interpreter

    frontend = build(name)
    scripted = torch.jit.script(frontend)
    traced = torch.jit.trace(frontend, (noise(),))
    scripted.save(tmp_path / "script.pt")
    traced.save(tmp_path / "trace.pt")
    scripted._save_for_lite_interpreter(str(tmp_path / "script.ptl"))
    loaded = [
        torch.jit.load(tmp_path / "script.pt"),
        torch.jit.load(tmp_path / "trace.pt"),
        _load_for_lite_interpreter(str(tmp_path / "script.ptl")),
    ]
    for content in (broadband()[2:4], periodic()[:2]):
        for module in loaded:
            assert deviation(module(content), frontend(content)) <= 1e-6


@pytest.mark.parametrize("name", FAMILY)
def test_torch_export_with_any_batch(name: str) -> None:
    frontend = build(name)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(frontend, (noise(),), dynamic_shapes=(batch,)).module()
    for content in (broadband(), periodic()):
        assert deviation(program(content), frontend(content)) <= 1e-6


def lowered(frontend: nn.Module, xnnpack: bool) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = torch.export.export(frontend, (noise(),))
        partitioners = [XnnpackPartitioner()] if xnnpack else []
        return to_edge_transform_and_lower(program, partitioner=partitioners)


@pytest.mark.parametrize("xnnpack", [False, True], ids=["portable", "xnnpack"])
@pytest.mark.parametrize("name", FAMILY)
def test_executorch_runs_and_xnnpack_takes_all_convolutions(name: str, xnnpack: bool) -> None:
    runtime = pytest.importorskip("executorch.runtime")
    frontend = build(name)
    edge = lowered(frontend, xnnpack)
    left = [str(n.target) for n in edge.exported_program().graph.nodes if n.op == "call_function"]
    convolutions = sum("convolution" in target for target in left)
    delegates = sum("executorch_call_delegate" in target for target in left)
    layers = 2 if name.startswith("logmel") else 3
    # The decibel floor needs the maximum, which XNNPACK leaves to a portable kernel.
    pieces = 2 if "-db" in name else 1
    assert (convolutions, delegates) == ((0, pieces) if xnnpack else (layers, 0))
    if xnnpack and "no_center" in name:
        portable = [t for t in left if "executorch_call_delegate" not in t and "getitem" not in t]
        assert len(portable) == pieces, portable
    buffer = edge.to_executorch().buffer
    method = runtime.Runtime.get().load_program(buffer).load_method("forward")
    for content in (noise(), broadband()[3:5], tones()[:2]):
        tolerance = 1e-5 if content is not tones else 2e-4
        assert deviation(method.execute([content])[0], frontend(content)) <= tolerance


@pytest.mark.parametrize("name", FAMILY)
def test_coreml_converts(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coremltools = pytest.importorskip("coremltools")
        program = torch.export.export(build(name), (noise(),)).run_decompositions({})
        model = coremltools.convert(
            program,
            minimum_deployment_target=coremltools.target.iOS16,
            compute_precision=coremltools.precision.FLOAT32,
            skip_model_load=True,
        )
    assert len(model.get_spec().description.output) == 1


# --- errors --------------------------------------------------------------------------------------

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


WITHOUT_TORCHAUDIO = """
import sys
import scriptable
from scriptable.frontend import LFCC
assert not any(name.startswith("torchaudio") for name in sys.modules)

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("torchaudio"):
            raise OSError("libc10_cuda.so: cannot open shared object file")

sys.meta_path.insert(0, Broken())
try:
    LFCC()
except ImportError as error:
    print(error)
"""


def test_torchaudio_is_imported_late_and_its_failure_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCHAUDIO], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "torchaudio cannot be imported (libc10_cuda.so" in done.stdout
    assert "install the build that matches your torch" in done.stdout
