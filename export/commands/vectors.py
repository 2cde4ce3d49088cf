"""``python -m export vectors``."""

from pathlib import Path
from typing import Annotated

import typer

from export.commands._app import app, note, out


@app.command()
def vectors(
    artifact: Annotated[Path, typer.Argument(help="A saved scorer, of any backend.")],
    folder: Annotated[Path, typer.Option("--out", help="A new folder, or one of earlier vectors.")],
) -> None:
    """Write golden vectors: recordings, windows, scores and decisions for other implementations.

    vectors.json holds the contract and a list of cases; each names a WAV file and a file of its
    windows, float32 little-endian, n_windows times the contract's num_samples.

    Example: scriptable vectors build/demo/spoof_scorer.xnnpack.pte --out build/vectors
    """
    from export.jobs.vectors import write_vectors
    from export.runtime.scorer import load_scorer

    scorer = load_scorer(artifact)
    count = write_vectors(scorer, folder)
    note(*scorer.notes)
    out.print(f"{count} recordings in {folder}", markup=False, highlight=False)
