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
    windows, float32 little-endian, n_windows times the contract's num_samples. Of a scorer of
    streams, each case names a file of samples, the blocks in which they come, a file of the states
    after every chunk, n_chunks times the contract's state_size, and the verdicts.

    Example: scriptable vectors build/demo/spoof_scorer.xnnpack.pte --out build/vectors
    """
    from export.jobs.stream_vectors import write_stream_vectors
    from export.jobs.vectors import write_vectors
    from export.runtime.stream import StreamScorer, load_any_scorer

    scorer = load_any_scorer(artifact)
    if isinstance(scorer, StreamScorer):
        count, what = write_stream_vectors(scorer, folder), "streams"
    else:
        count, what = write_vectors(scorer, folder), "recordings"
    note(*scorer.notes)
    out.print(f"{count} {what} in {folder}", markup=False, highlight=False)
