"""What all examples end with: held-out audio, the files, and a table that proves each of them."""

import sys
from pathlib import Path

from rich.console import Console

import corpus
from export.jobs.ship import ship
from export.report.terminal import comparison_table, failures
from scriptable import LFCC, LightCNN, OCSoftmax, ScorePipeline

BACKENDS = ("torchscript", "torch_export", "executorch_xnnpack")


def build() -> ScorePipeline:
    """Front end, encoder and head: replace the encoder by your own network."""
    frontend = LFCC(corpus.SAMPLE_RATE, n_filter=20, n_lfcc=20, log_lf=True, center=False)
    return ScorePipeline(frontend, LightCNN(20, 16), OCSoftmax(16), corpus.NUM_SAMPLES)


def finish(pipeline: ScorePipeline) -> None:
    """Export, compare, print, and exit with 1 if any file differs from the trained model."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else f"build/{Path(sys.argv[0]).stem}")
    windows, labels = corpus.draw(40, seed=1)
    records = ship(pipeline, windows, labels, out, BACKENDS, corpus.SAMPLE_RATE)
    Console(width=100).print(comparison_table(records))
    print(f"written to {out}")
    if failures(records):
        sys.exit("\n".join(failures(records)))
