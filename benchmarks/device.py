"""The C++ scorer beside Python's runtime and eager, one thread: ``python -m benchmarks.device``.

The scorer is the demo's, untrained: what it costs does not depend on its weights. ``make native``
builds what is measured, ``make native-arm64`` the libraries whose sizes are given for a phone.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import executorch
import soundfile
import torch
from torch import Tensor

from benchmarks.measure import bootstrap
from export import backends
from export.backends import Source
from export.demo.training import Settings, build_pipeline
from export.jobs.latency import use_one_thread
from export.runtime.contract import Audio, Contract, Decision, Windows, versions, weights_sha256
from scriptable import ScorePipeline

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "build" / "native"
LIBRARIES = (
    "libexecutorch.so",
    "libexecutorch_kernels_optimized.so",
    "libexecutorch_backend_xnnpack.so",
    "libexecutorch_threadpool.so",
)
CALLS = 8
STARTS = 9


@dataclass(frozen=True)
class Timed:
    """Median milliseconds a window, and against C++ the median of the rounds' ratios."""

    ms: float
    ratio: float
    ratio_ci: tuple[float, float]


def export_scorer(settings: Settings, path: Path) -> ScorePipeline:
    """The demo's scorer, untrained, saved with a contract."""
    torch.manual_seed(settings.seed)
    pipeline = build_pipeline(settings).eval()
    contract = Contract(
        model="untrained",
        audio=Audio(sample_rate=settings.sample_rate),
        windows=Windows(num_samples=settings.num_samples, hop=settings.hop),
        decision=Decision(scale=1.0, offset=0.0, prior=0.5, threshold=0.0, operating_point="none"),
        versions=versions(),
        weights_sha256=weights_sha256(pipeline.state_dict()),
    )
    inputs = (torch.zeros(1, settings.num_samples),)
    source = Source(pipeline, {"forward": inputs}, contract.model_dump_json())
    backends.save(backends.all_backends()["executorch_xnnpack"], source, path)
    return pipeline


def window(num_samples: int) -> Tensor:
    """The window that ``bench_window`` scores."""
    return 0.1 * torch.sin(0.05 * (torch.arange(num_samples) % 4096).float())[None]


def latencies(
    calls: Mapping[str, Callable[[int], float]], rounds: int, first: str
) -> dict[str, Timed]:
    """Seconds of each call in interleaved rounds; ratios are those of ``first`` to the others."""
    names, times = list(calls), {name: list[float]() for name in calls}
    for call in calls.values():
        call(2)
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            times[name].append(calls[name](CALLS) / CALLS)
    found = {}
    for name in names:
        ratios = [a / b for a, b in zip(times[first], times[name], strict=True)]
        found[name] = Timed(
            1e3 * statistics.median(times[name]), statistics.median(ratios), bootstrap(ratios)
        )
    return found


def repeated(call: Callable[[], object]) -> Callable[[int], float]:
    """Seconds of a number of calls."""

    def measure(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            call()
        return time.perf_counter() - start

    return measure


@contextmanager
def native(model: Path) -> Iterator[Callable[[int], float]]:
    """Seconds of a number of windows, or of chunks of a stream, in C++."""
    process = subprocess.Popen(
        [PROGRAMS / "bench_window", model], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None and process.stdout is not None
    asked, answered = process.stdin, process.stdout
    answered.readline()

    def measure(count: int) -> float:
        asked.write(f"{count}\n")
        asked.flush()
        return float(answered.readline())

    with process:
        yield measure
        asked.close()


def measure_start(model: Path) -> tuple[float, float]:
    """Milliseconds from the start of loading to the first score in C++, and bytes held by then."""
    ran = subprocess.run(
        [PROGRAMS / "bench_window", model], input="", capture_output=True, text=True, check=True
    )
    load, peak = ran.stdout.split()
    return 1e3 * float(load), 1024.0 * int(peak)


def measure_latency(model: Path, pipeline: ScorePipeline, rounds: int) -> dict[str, Timed]:
    """C++, Python's runtime and eager, interleaved."""
    inputs = window(pipeline.num_samples)
    _, artefact = backends.load(model)
    with native(model) as call, torch.no_grad():
        calls = {
            "C++": call,
            "Python runtime": repeated(lambda: artefact.run("forward", (inputs,))),
            "eager": repeated(lambda: pipeline(inputs)),
        }
        return latencies(calls, rounds, "C++")


def measure_process(model: Path, wav: Path) -> dict[str, float]:
    """Start, memory: medians over fresh processes."""
    loads, walls, peaks = [], [], []
    for _ in range(STARTS):
        load, peak = measure_start(model)
        loads.append(load)
        peaks.append(peak)
        start = time.perf_counter()
        command: list[str | Path] = [PROGRAMS / "spoof_score", "--json", model, wav]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        walls.append(time.perf_counter() - start)
    return {
        "load_to_first_score_ms": statistics.median(loads),
        "process_ms": 1e3 * statistics.median(walls),
        "peak_mb": statistics.median(peaks) / 1e6,
    }


def sizes(model: Path) -> dict[str, int]:
    """Bytes of the model and of what must ship with it."""
    found = {"model": model.stat().st_size}
    folders = {
        "x86-64": Path(next(iter(executorch.__path__))) / "lib",
        "arm64": ROOT / "build" / "arm64-packages" / "executorch" / "lib",
    }
    for machine, folder in folders.items():
        for name in LIBRARIES:
            if (folder / name).exists():
                found[f"{machine} {name}"] = (folder / name).stat().st_size
    return found


def measure(rounds: int) -> dict[str, Any]:
    """All figures."""
    settings = Settings()
    use_one_thread()
    with tempfile.TemporaryDirectory() as folder:
        model, wav = Path(folder) / "scorer.xnnpack.pte", Path(folder) / "window.wav"
        pipeline = export_scorer(settings, model)
        soundfile.write(wav, window(settings.num_samples)[0].numpy(), settings.sample_rate)
        timed = measure_latency(model, pipeline, rounds)
        started = measure_process(model, wav)
        bytes_of = sizes(model)
    seconds = settings.num_samples / settings.sample_rate
    return {
        "window_seconds": seconds,
        "rounds": rounds,
        "latency": {name: vars(entry) for name, entry in timed.items()},
        "real_time_factor": timed["C++"].ms / 1e3 / seconds,
        **started,
        "bytes": bytes_of,
    }


def print_tables(found: dict[str, Any]) -> None:
    """The figures for people."""
    print(f"{found['window_seconds']:.2f} s window, one thread, {found['rounds']} rounds")
    for name, entry in found["latency"].items():
        low, high = entry["ratio_ci"]
        ratio = f"   C++/{name} {entry['ratio']:.2f} [{low:.2f}, {high:.2f}]"
        print(f"{name:<15} {entry['ms']:8.2f} ms{ratio if name != 'C++' else ''}")
    print(f"real-time factor of C++     {found['real_time_factor']:8.5f}")
    print(f"load to first score         {found['load_to_first_score_ms']:8.1f} ms")
    print(f"spoof_score, whole process  {found['process_ms']:8.1f} ms")
    print(f"peak memory                 {found['peak_mb']:8.1f} MB")
    for name, size in found["bytes"].items():
        print(f"{name:<50} {size / 1e6:8.2f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.device", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    if not (PROGRAMS / "bench_window").exists():
        sys.exit("error: bench_window is not built: make native")
    found = measure(arguments.rounds)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print_tables(found)


if __name__ == "__main__":
    main()
