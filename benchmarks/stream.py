"""A chunk of a stream beside a window a hop, and an hour's drift: ``python -m benchmarks.stream``.

The scorers are the demo's, untrained: what they cost does not depend on their weights. One hears
chunks, one windows, and one windows whose frames are computed once. All run
from their XNNPACK files on one thread, in interleaved rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.device import (
    PROGRAMS,
    Timed,
    export_scorer,
    latencies,
    measure_start,
    native,
    repeated,
    window,
)
from export import backends
from export.backends import Artefact, Source
from export.corpus import BONA_FIDE, synthetic_corpus
from export.demo.training import Settings, build_pipeline, build_stream
from export.jobs.latency import use_one_thread
from export.jobs.live import with_live
from export.runtime.contract import Audio, StreamingContract, versions, weights_sha256
from export.runtime.stream_parts import ElapsedCalibration, Stream, StreamDecision
from scriptable import CachedScorePipeline, StreamingScorePipeline

TARGET = 0.12
MOST_BYTES = 16 * 1024
STARTS = 5
_START = """
import sys, time
from pathlib import Path
import torch
from export import backends
begin = time.perf_counter()
_, artefact = backends.load(Path(sys.argv[1]))
artefact.run("forward", (torch.zeros(1, int(sys.argv[2])), torch.zeros(1, int(sys.argv[3]))))
print(time.perf_counter() - begin)
"""


def export_stream(settings: Settings, path: Path) -> StreamingScorePipeline:
    """The demo's scorer of streams, untrained, saved with a contract."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        pipeline = build_stream(settings).eval()
    inputs = (torch.zeros(1, pipeline.chunk_samples), pipeline.initial_state())
    contract = _contract(settings, pipeline).model_dump_json()
    source = Source(pipeline, {"forward": inputs}, contract)
    backends.save(backends.all_backends()["executorch_xnnpack"], source, path)
    return pipeline


def _contract(settings: Settings, pipeline: StreamingScorePipeline) -> StreamingContract:
    row = ElapsedCalibration(samples=pipeline.warmup_samples, scale=1.0, offset=0.0)
    return StreamingContract(
        model="untrained",
        audio=Audio(sample_rate=settings.sample_rate),
        stream=Stream(
            chunk_samples=pipeline.chunk_samples,
            state_size=pipeline.state_size,
            warmup_samples=pipeline.warmup_samples,
            longest_gap=settings.sample_rate,
        ),
        decision=StreamDecision(
            calibration=(row,), prior=0.5, threshold=0.0, operating_point="none"
        ),
        versions=versions(),
        weights_sha256=weights_sha256(pipeline.state_dict()),
    )


def export_cached(settings: Settings, path: Path) -> CachedScorePipeline:
    """The demo's scorer of windows, untrained, with frames that a stream computes once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        pipeline = with_live(build_pipeline(settings), settings.sample_rate)
    live = (torch.zeros(1, pipeline.chunk_samples), pipeline.initial_state())
    methods = {"forward": (torch.zeros(1, settings.num_samples),), "live": live}
    backends.save(backends.all_backends()["executorch_xnnpack"], Source(pipeline, methods), path)
    return pipeline


def measure(rounds: int) -> dict[str, Any]:
    """Time a chunk and a window, state, start."""
    settings = Settings()
    use_one_thread()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        names = ("stream", "scorer", "cached")
        stream, scorer, shared = (Path(folder) / f"{name}.xnnpack.pte" for name in names)
        pipeline = export_stream(settings, stream)
        export_scorer(settings, scorer)
        cached = export_cached(settings, shared)
        _, live = backends.load(stream)
        _, once = backends.load(shared)
        _, windowed = backends.load(scorer)
        chunk, state = window(settings.chunk_samples), pipeline.initial_state()
        whole = window(settings.num_samples)
        piece, past = window(cached.chunk_samples), cached.initial_state()
        calls = {
            "chunk": repeated(lambda: live.run("forward", (chunk, state))),
            "window": repeated(lambda: windowed.run("forward", (whole,))),
            "cached": repeated(lambda: once.run("live", (piece, past))),
            "eager chunk": repeated(lambda: pipeline(chunk, state)),
        }
        timed: dict[str, Timed] = latencies(calls, rounds, "chunk")
        in_cpp = _measure_native(stream, scorer, rounds)
        starts = [_start(stream, pipeline) for _ in range(STARTS)]
        size, cached_size = stream.stat().st_size, shared.stat().st_size
        window_size = scorer.stat().st_size
    seconds = settings.chunk_samples / settings.sample_rate
    return {
        "chunk_seconds": seconds,
        "rounds": rounds,
        "latency": {name: vars(entry) for name, entry in timed.items()},
        "real_time_factor": timed["chunk"].ms / 1e3 / seconds,
        "state_bytes": 4 * pipeline.state_size,
        "load_to_first_score_ms": 1e3 * statistics.median(starts),
        "bytes": size,
        "cached_over_window": timed["cached"].ms / timed["window"].ms,
        "cached_bytes": cached_size,
        "window_bytes": window_size,
        "cached_past_bytes": 4 * cached.state_size,
        **in_cpp,
    }


def _measure_native(stream: Path, scorer: Path, rounds: int) -> dict[str, Any]:
    """The same in C++, the verdict's own work included; nothing where it is not built."""
    if not (PROGRAMS / "bench_window").exists():
        return {}
    with native(stream) as chunk, native(scorer) as whole:
        timed = latencies({"C++ chunk": chunk, "C++ window": whole}, rounds, "C++ chunk")
    starts = [measure_start(stream)[0] for _ in range(STARTS)]
    return {
        "native_latency": {name: vars(entry) for name, entry in timed.items()},
        "native_load_to_first_score_ms": statistics.median(starts),
    }


def _start(path: Path, pipeline: StreamingScorePipeline) -> float:
    sizes = (str(pipeline.chunk_samples), str(pipeline.state_size))
    command = [sys.executable, "-c", _START, str(path), *sizes]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(ran.stdout)


def drift(seconds: float, half_life: bool) -> dict[str, float]:
    """Largest error of the raw score along a stream, of eager and of the XNNPACK file.

    Against float64 in chunks of 16 times the length, at the ends that both have.
    """
    settings = Settings()
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder) / "stream.xnnpack.pte"
        pipeline = export_stream(settings, path)
        if not half_life:
            pipeline.encoder.pooling.forgetting = 0.0  # type: ignore[union-attr, assignment]
            inputs = (torch.zeros(1, pipeline.chunk_samples), pipeline.initial_state())
            path = Path(folder) / "cumulative.xnnpack.pte"
            source = Source(pipeline, {"forward": inputs})
            backends.save(backends.all_backends()["executorch_xnnpack"], source, path)
        _, artefact = backends.load(path)
        return _compared(pipeline, artefact, seconds, settings.sample_rate)


def _compared(
    pipeline: StreamingScorePipeline, artefact: Artefact, seconds: float, rate: int
) -> dict[str, float]:
    size, times = pipeline.chunk_samples, 16
    exact = _rechunked(pipeline, times * size)
    states = [pipeline.initial_state(), pipeline.initial_state()]
    wide = exact.initial_state()
    worst = {"eager": 0.0, "XNNPACK": 0.0, "eager, last minute": 0.0, "XNNPACK, last minute": 0.0}
    total = int(seconds * rate / (times * size))
    for number, block in zip(range(total), _speech(times * size, rate), strict=False):
        reference, wide = exact(block.double().unsqueeze(0), wide)
        for chunk in block.split(size):
            eager, states[0] = pipeline(chunk.unsqueeze(0), states[0])
            saved, states[1] = artefact.run("forward", (chunk.unsqueeze(0), states[1]))
        for name, score in (("eager", eager), ("XNNPACK", saved)):
            error = abs(float(score) - float(reference))
            worst[name] = max(worst[name], error)
            if (total - number) * times * size <= 60 * rate:
                worst[f"{name}, last minute"] = max(worst[f"{name}, last minute"], error)
    return worst


def _rechunked(pipeline: StreamingScorePipeline, size: int) -> StreamingScorePipeline:
    import copy

    wide: nn.Module = copy.deepcopy(pipeline).double()
    made = StreamingScorePipeline(wide.frontend, wide.encoder, wide.head, size)  # type: ignore[arg-type]
    return made.eval()


def _speech(size: int, rate: int) -> Iterator[Tensor]:
    """Synthetic voices one after the other, over and over, with digital silence, in blocks."""
    corpus = synthetic_corpus(3, speakers=4, utterances_per_speaker=3, sample_rate=rate)
    pieces = [u.waveform for u in corpus.utterances if u.label == BONA_FIDE]
    pieces.append(torch.zeros(2 * rate))
    waiting, turn = torch.zeros(0), 0
    while True:
        while len(waiting) < size:
            waiting = torch.cat([waiting, pieces[turn % len(pieces)]])
            turn += 1
        yield waiting[:size]
        waiting = waiting[size:]


def print_tables(found: dict[str, Any]) -> None:
    """The figures for people."""
    for entries in (found.get("latency", {}), found.get("native_latency", {})):
        first = next(iter(entries), "")
        for name, entry in entries.items():
            low, high = entry["ratio_ci"]
            ratio = f"   {first}/{name} {entry['ratio']:.3f} [{low:.3f}, {high:.3f}]"
            print(f"{name:<12} {entry['ms']:8.3f} ms{ratio if name != first else ''}")
    if "latency" in found:
        print(f"real-time factor     {found['real_time_factor']:.4f}")
        print(f"state                {found['state_bytes']} bytes")
        print(f"load to first score  {found['load_to_first_score_ms']:.1f} ms")
        if "native_latency" in found:
            chunk_ms = found["native_latency"]["C++ chunk"]["ms"]
            print(f"real-time factor of C++ {chunk_ms / 1e3 / found['chunk_seconds']:.4f}")
            print(f"C++ load to first score {found['native_load_to_first_score_ms']:.1f} ms")
        print(f"file                 {found['bytes'] / 1e3:.0f} kB")
        print(f"cached over window   {found['cached_over_window']:.3f}")
        print(f"cached, past         {found['cached_past_bytes']} bytes")
        sizes = found["cached_bytes"] / 1e3, found["window_bytes"] / 1e3
        print(f"cached, file         {sizes[0]:.0f} kB, of windows alone {sizes[1]:.0f} kB")
    for name, worst in found.get("drift", {}).items():
        said = ", ".join(f"{key} {value:.1e}" for key, value in worst.items())
        print(f"drift over {found['drift_seconds']:g} s, {name}: {said}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--drift", type=float, metavar="SECONDS", help="measure this instead")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    start = time.perf_counter()
    if arguments.drift:
        use_one_thread()
        kinds = {"cumulative": False, "forgetting": True}
        found: dict[str, Any] = {
            "drift_seconds": arguments.drift,
            "drift": {},
        }
        for name, kind in kinds.items():
            found["drift"][name] = drift(arguments.drift, kind)
            print(f"{name}: {found['drift'][name]}", file=sys.stderr, flush=True)
    else:
        found = measure(arguments.rounds)
    found["seconds"] = time.perf_counter() - start
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print_tables(found)


if __name__ == "__main__":
    main()
