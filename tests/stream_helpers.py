"""A tiny untrained scorer of streams, its contract, and a way to save it."""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export import backends
from export.backends import Source
from export.runtime.contract import Audio, StreamingContract, weights_sha256
from export.runtime.guards import Guards
from export.runtime.stream_parts import ElapsedCalibration, Stream, StreamDecision
from scriptable import LFCC, CausalLightCNN, OCSoftmax, StreamingScorePipeline

RATE = 16000
CHUNK = 2560
ROWS = ((4000, 2.5, -0.25), (8000, 4.0, -0.5), (32000, 7.5, -1.25))
THRESHOLD, PRIOR = 0.125, 0.2


def tiny_stream(
    half_life: float = 0.0, chunk: int = CHUNK, stride: int = 8
) -> StreamingScorePipeline:
    """An untrained scorer of streams, the same weights at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        frontend = LFCC(
            RATE,
            n_fft=400,
            hop_length=160,
            n_filter=10,
            n_lfcc=10,
            log_lf=True,
            center=False,
            deltas=2,
        )
        encoder = CausalLightCNN(frontend.n_features, 16, half_life, stride)
        return StreamingScorePipeline(frontend, encoder, OCSoftmax(16), chunk).eval()


def stream_contract(pipeline: StreamingScorePipeline, **decision: Any) -> StreamingContract:
    """A contract with nothing at its default that matters."""
    rows = tuple(ElapsedCalibration(samples=n, scale=a, offset=b) for n, a, b in ROWS)
    values = {"calibration": rows, "threshold": THRESHOLD, "prior": PRIOR, **decision}
    return StreamingContract(
        model="tiny stream",
        audio=Audio(sample_rate=RATE),
        stream=Stream(
            chunk_samples=pipeline.chunk_samples,
            state_size=pipeline.state_size,
            warmup_samples=pipeline.warmup_samples,
            longest_gap=RATE,
        ),
        decision=StreamDecision(**values, operating_point="chosen by the test"),
        versions={"torch": torch.__version__},
        weights_sha256=weights_sha256(pipeline.state_dict()),
        guards=Guards(min_seconds=0.3),
    )


def save_stream(name: str, path: Path, pipeline: StreamingScorePipeline | None = None) -> Path:
    """Save through one backend, contract included."""
    pipeline = pipeline or tiny_stream()
    inputs: tuple[Tensor, ...] = (
        torch.zeros(1, pipeline.chunk_samples),
        pipeline.initial_state(),
    )
    contract = stream_contract(pipeline).model_dump_json(indent=1)
    backends.save(
        backends.all_backends()[name], Source(pipeline, {"forward": inputs}, contract), path
    )
    return path


if __name__ == "__main__":
    # python tests/stream_helpers.py executorch_xnnpack FILE.pte
    save_stream(sys.argv[1], Path(sys.argv[2]))
