"""Front ends as files: time and size beside one convolution, and beside ExecuTorch's own.

``python -m benchmarks --only frontend`` measures them; 4 s of audio, one thread, interleaved.
"""

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import scriptable
from benchmarks.measure import Effort, interleaved, ratio
from benchmarks.one_convolution import OneConvolution
from export import backends
from export.backends import Source, all_backends, native_notices_hidden, quiet_executorch
from export.jobs.latency import use_one_thread
from export.parity.guard import BOUNDS

_SAMPLES = 64600
_FFT: dict[str, Any] = {"n_fft": 512, "win_length": 400, "hop_length": 160}
ONE_CONVOLUTION = "one convolution"
EXECUTORCH = "ExecuTorch's mel spectrogram"
FLOAT32 = "itself in float32"
_TOLERANCES = {"float32": 2e-3} | {name: bound.score_error for name, bound in BOUNDS.items()}

Run = Callable[[], object]


@dataclass(frozen=True)
class File:
    """A module that is saved, what it is held against, and the most of that it may take."""

    name: str
    shape: str
    backend: str
    make: Callable[[], tuple[nn.Module, nn.Module]]
    time: float | None
    size: float | None
    beside: str = ONE_CONVOLUTION
    precision: str = "float32"


def _both(frontend: Any) -> tuple[nn.Module, nn.Module]:
    return frontend, OneConvolution(frontend)


def _log_mel() -> tuple[nn.Module, nn.Module]:
    return _both(scriptable.LogMel(n_mels=64, **_FFT))


def _mfcc() -> tuple[nn.Module, nn.Module]:
    return _both(scriptable.MFCC(n_mfcc=20, n_mels=40, log_mels=True, **_FFT))


def _lfcc() -> tuple[nn.Module, nn.Module]:
    return _both(scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True, **_FFT))


def _scorer() -> tuple[nn.Module, nn.Module]:
    """Untrained: what it costs does not depend on its weights."""
    torch.manual_seed(0)
    frontend = scriptable.LFCC(n_lfcc=20, n_filter=20, log_lf=True, deltas=2)
    norm = scriptable.FeatureNorm(60).fit(frontend(_noise(8)))
    parts = scriptable.LightCNN(60, 64), scriptable.OCSoftmax(64)
    ours, theirs = (
        scriptable.ScorePipeline(nn.Sequential(part, norm), *parts, num_samples=_SAMPLES)
        for part in _both(frontend)
    )
    return ours, theirs


def _scorer_twice() -> tuple[nn.Module, nn.Module]:
    scorer, _ = _scorer()
    return scorer, scorer


def _noise(windows: int) -> Tensor:
    return 0.1 * torch.randn(windows, _SAMPLES, generator=torch.Generator().manual_seed(0))


def _whisper() -> tuple[nn.Module, nn.Module]:
    from executorch.extension.audio.mel_spectrogram import WhisperAudioProcessor

    theirs = WhisperAudioProcessor(feature_size=80, n_fft=400, hop_length=160, streaming=True)
    return scriptable.LogMel(n_fft=400, hop_length=160, n_mels=80), theirs


_XNNPACK = "executorch_xnnpack"
_PARTS = "LFCC 400/200 and LightCNN"
FILES = [
    File("LogMel", "512/160, 64 mels", _XNNPACK, _log_mel, 0.5, 0.25),
    File("MFCC", "512/160, 40 mels", _XNNPACK, _mfcc, 0.5, 0.25),
    File("LFCC", "512/160, 20 filters", _XNNPACK, _lfcc, 0.5, 0.25),
    File("LogMel", "400/160, 80 mels", _XNNPACK, _whisper, 0.75, None, EXECUTORCH),
    File("LFCC", "512/160, 20 filters", "executorch_portable", _lfcc, 0.4, 0.25),
    File("ScorePipeline", _PARTS, _XNNPACK, _scorer, 0.75, 0.5),
    File("ScorePipeline", _PARTS, "onnx", _scorer, None, 0.5),
    File("ScorePipeline", _PARTS, "coreml", _scorer, None, 0.5),
    File("ScorePipeline", f"{_PARTS}, mixed16", _XNNPACK, _scorer, None, 0.45, precision="mixed16"),
    File("ScorePipeline", f"{_PARTS}, int8", _XNNPACK, _scorer, 0.6, 0.32, precision="int8"),
    File("ScorePipeline", f"{_PARTS}, int8", _XNNPACK, _scorer_twice, None, None, FLOAT32, "int8"),
]


def measure(file: File, effort: Effort) -> dict[str, Any]:
    """Both files' bytes and, where they run here, milliseconds; a reason where one is missing."""
    record: dict[str, Any] = {
        "name": file.name,
        "shape": file.shape,
        "backend": file.backend,
        "beside": file.beside,
    }
    backend = all_backends()[file.backend]
    if backend.unavailable():
        return {**record, "reason": backend.unavailable()}
    use_one_thread()
    window = _noise(1)
    with (
        tempfile.TemporaryDirectory() as folder,
        torch.no_grad(),
        warnings.catch_warnings(),
        native_notices_hidden(),
    ):
        warnings.simplefilter("ignore")
        ours, theirs = (module.eval() for module in file.make())
        paths = [Path(folder) / f"{number}{backend.suffix}" for number in range(2)]
        source = Source(ours, {"forward": (window,)})
        backends.save(backend, source.in_precision(file.precision, _noise(8)), paths[0])
        if file.beside == EXECUTORCH:
            _save_executorch(theirs, window[0], paths[1])
        else:
            backends.save(backend, Source(theirs, {"forward": (window,)}), paths[1])
        sizes = [_bytes(path) for path in paths]
        record |= {"bytes": sizes[0], "its_bytes": sizes[1], "bytes_ratio": sizes[0] / sizes[1]}
        record |= {"size_target": file.size, "size_met": _met(record["bytes_ratio"], file.size)}
        if file.time is not None or file.backend == _XNNPACK:
            record |= _times(file, backend, paths, window, effort)
    return record


def _times(
    file: File, backend: Any, paths: list[Path], window: Tensor, effort: Effort
) -> dict[str, Any]:
    run = _runner(backend, paths[0], window)
    if file.beside == EXECUTORCH:
        # Its logarithm is scaled and cut off another way: nothing to compare.
        beside = _executorch_runner(paths[1], window[0])
    else:
        beside = _runner(backend, paths[1], window)
        apart = float((run()[0] - beside()[0]).abs().max())
        if not apart <= _TOLERANCES[file.precision]:
            return {"error": f"differs from {file.beside} by {apart:.2g}"}
    times = interleaved({"ours": run, "theirs": beside}, effort)
    found = ratio(times["ours"], times["theirs"])
    middle = {name: 1e3 * sorted(values)[len(values) // 2] for name, values in times.items()}
    return {
        "ms": middle["ours"],
        "its_ms": middle["theirs"],
        "ratio": found.median,
        "ratio_ci": [found.low, found.high],
        "target": file.time,
        "met": None if file.time is None else found.low <= file.time,
    }


def _met(value: float, target: float | None) -> bool | None:
    return None if target is None else value <= target


def _bytes(path: Path) -> int:
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size


def _runner(backend: Any, path: Path, window: Tensor) -> Callable[[], Any]:
    artefact = backend.load(path)
    return lambda: artefact.run("forward", (window,))


def _save_executorch(module: nn.Module, samples: Tensor, path: Path) -> None:
    """As its own exporter does; its FFT is an operator of the optimised kernels."""
    with quiet_executorch():
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

        program = torch.export.export(module, (samples,), strict=True)
        edge = to_edge_transform_and_lower(
            program,
            partitioner=[XnnpackPartitioner()],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
        path.write_bytes(edge.to_executorch().buffer)


def _executorch_runner(path: Path, samples: Tensor) -> Callable[[], Any]:
    with quiet_executorch():
        from executorch.extension.pybindings.portable_lib import _load_for_executorch

        module = _load_for_executorch(str(path))
    return lambda: module.run_method("forward", (samples,))
