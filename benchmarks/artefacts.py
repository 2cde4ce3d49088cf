"""Saved files at work: size, load time, latency, memory, delegated share, time per operator.

Run as ``python -m benchmarks.artefacts BACKEND`` in a process of its own, whose allocator gives
memory back, so that the peak of one artefact is not hidden by what the one before has left.
"""

import ctypes
import ctypes.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import QUIET_ALLOCATOR

SCORER = "spoof scorer"
_SAMPLES = 64600
_HEADS = (
    "AMSoftmax",
    "ASoftmax",
    "OCSoftmax",
    "CrossEntropy",
    "ASVSpoofBinaryLoss",
    "ASVSpoofAMSoftmaxLoss",
    "ASVSpoofOCSoftmaxLoss",
    "P2SGrad",
    "Softmax",
    "AAMSoftmax",
    "ArcMarginProduct_intertopk_subcenter",
    "SphereFace2",
    "GE2ELoss",
    "AngularPrototypical",
    "Prototypical",
)
_PROFILED = 10


@dataclass(frozen=True)
class Subject:
    """A module that is saved, and the method that is timed."""

    name: str
    method: str
    source: Any
    eager: Callable[[], object]
    target: float | None
    """Latency of the XNNPACK artefact over eager."""


def subjects() -> list[Subject]:
    """The scorer that the demo trains, and the score of every head of the catalogue."""
    import torch

    from benchmarks.lowering import entries
    from export.backends import Source
    from scriptable import LFCC, LightCNN, OCSoftmax, ScorePipeline

    torch.manual_seed(0)
    frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True, deltas=2)
    scorer = ScorePipeline(frontend, LightCNN(60, 64), OCSoftmax(64), num_samples=_SAMPLES).eval()
    window = (0.1 * torch.randn(1, _SAMPLES),)
    found = [
        Subject(
            SCORER, "forward", Source(scorer, {"forward": window}), lambda: scorer(*window), 0.5
        )
    ]
    for row in entries(set(_HEADS)):
        head, inputs = row.build(), row.draw("score", 0)
        source = Source(head, {"score": inputs})
        score: Any = head.score
        found.append(
            Subject(row.entry, "score", source, lambda s=score, i=inputs: s(*i), 1.1)  # type: ignore[misc]
        )
    return found


def measure(backend_name: str, only: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Every artefact of one backend, in this process."""
    import torch

    from export.backends import all_backends
    from export.jobs.latency import use_one_thread

    use_one_thread()
    backend = all_backends()[backend_name]
    reason = backend.unavailable() or backend.not_run_reason or backend.unmeasured
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, subject in enumerate(subjects()):
            if only and subject.name not in only:
                continue
            if reason and subject.name != SCORER:
                # Nothing is timed: the size of the scorer is all there is to say.
                continue
            path = Path(folder) / f"{number}{backend.suffix}"
            record: dict[str, Any] = {
                "name": subject.name,
                "method": subject.method,
                "backend": backend.name,
            }
            if backend.unavailable():
                found.append({**record, "reason": reason})
                continue
            found.append({**record, **_one(backend, subject, path, reason)})
    return found


def _one(backend: Any, subject: Subject, path: Path, reason: str) -> dict[str, Any]:
    from export import backends

    backends.save(backend, subject.source, path)
    size = sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size
    if reason:
        return {"bytes": size, "reason": reason}
    inputs = subject.source.methods[subject.method]
    before = _memory()
    start = time.perf_counter()
    artefact = backend.load(path)
    load_ms = 1e3 * (time.perf_counter() - start)
    artefact.run(subject.method, inputs)
    peak = _peak_mb(before)
    record = {
        "bytes": size,
        "load_ms": load_ms,
        "peak_mb": peak,
        **_latency(lambda: artefact.run(subject.method, inputs), subject),
    }
    if path.suffix == ".pte":
        record["operators"] = profile(path, subject.method, inputs)
        parts = [operator["delegated"] for operator in record["operators"]]
        record["delegated"] = sum(parts) / max(len(parts), 1)
    target = subject.target if backend.name == "executorch_xnnpack" else None
    met = None if target is None else record["ratio_ci"][0] <= target
    return {**record, "target": target, "met": met}


def _latency(call: Callable[[], object], subject: Subject) -> dict[str, Any]:
    """p50 and p95 of single calls, interleaved with eager."""
    from benchmarks.measure import ratio

    times: dict[str, list[float]] = {"eager": [], "artefact": []}
    calls = {"eager": subject.eager, "artefact": call}
    for _ in range(20):
        for step in calls.values():
            step()
    rounds = 40 if subject.name == SCORER else 400
    for _ in range(rounds):
        for name, step in calls.items():
            start = time.process_time()
            step()
            times[name].append(time.process_time() - start)
    found = ratio(times["artefact"], times["eager"])
    ordered = sorted(times["artefact"])
    return {
        "p50_ms": 1e3 * statistics.median(ordered),
        "p95_ms": 1e3 * ordered[int(0.95 * len(ordered))],
        "eager_ms": 1e3 * statistics.median(times["eager"]),
        "ratio": found.median,
        "ratio_ci": [found.low, found.high],
    }


def profile(path: Path, method: str, inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """Median milliseconds of each operator, from ExecuTorch's own trace."""
    from export.backends import native_notices_hidden, quiet_executorch

    with tempfile.TemporaryDirectory() as folder, native_notices_hidden(), quiet_executorch():
        from executorch.devtools import Inspector
        from executorch.extension.pybindings.portable_lib import _load_for_executorch

        trace = Path(folder) / "trace.etdump"
        module = _load_for_executorch(str(path), enable_etdump=True)
        for _ in range(_PROFILED):
            module.run_method(method, tuple(inputs))
        module.write_etdump_result_to_file(str(trace))
        blocks = Inspector(etdump_path=str(trace)).event_blocks
    return [
        {
            "name": event.name.removeprefix("native_call_"),
            "ms": float(event.perf_data.p50),
            "delegated": bool(event.is_delegated_op),
        }
        for block in blocks
        if block.name == "Execute"
        for event in block.events
        if event.perf_data is not None
        and (event.is_delegated_op or event.name.startswith("native_call_"))
    ]


def _memory() -> float:
    """Resident MB, after freed memory has gone back; the peak starts anew."""
    library = ctypes.util.find_library("c")
    if library:
        trim = getattr(ctypes.CDLL(library), "malloc_trim", None)
        if trim is not None:
            trim(0)
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    return _status("VmRSS")


def _peak_mb(before: float) -> float | None:
    peak = _status("VmHWM")
    return max(0.0, peak - before) if peak else None


def _status(key: str) -> float:
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1e3
    return 0.0


def measure_apart(backend: str) -> list[dict[str, Any]]:
    """:func:`measure` in a fresh process with the allocator as it comes."""
    environment = {k: v for k, v in os.environ.items() if k not in QUIET_ALLOCATOR}
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.artefacts", backend],
        capture_output=True,
        text=True,
        env=environment,
    )
    if result.returncode:
        line = (result.stderr.strip().splitlines() or ["no message"])[-1]
        return [{"name": SCORER, "backend": backend, "error": line}]
    found: list[dict[str, Any]] = json.loads(result.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2:])))
