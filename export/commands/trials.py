"""``python -m export trials``."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from export.commands._app import app, note
from export.commands._app import out as console


@app.command()
def trials(
    embeddings: Annotated[Path, typer.Argument(help="The folder of a verifier's bulk run.")],
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="TRIALS", help="Pairs: Kaldi or VoxCeleb trials, CSV, Parquet, ENROL TEST."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Scores: .parquet, .csv, or else lines ENROL TEST SCORE.")
    ],
    cohort: Annotated[
        Optional[Path],
        typer.Option(help="A bulk run over a cohort: adaptive S-norm (AS-norm) by it."),
    ] = None,
    top: Annotated[
        Optional[int],
        typer.Option(min=2, help="Cohort scores that count; by default the contract's, or 300."),
    ] = None,
) -> None:
    """Score pairs of recordings that bulk has embedded, hundreds of millions of them.

    Example: scriptable trials build/voices trials.txt --out scores.txt --cohort build/cohort
    """
    from export.bulk.trials import read_embeddings, score_pairs

    impostors = None if cohort is None else read_embeddings(cohort)
    done = score_pairs(read_embeddings(embeddings), pairs, out, impostors, top)
    line = f"{done.pairs} pairs scored: {out}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
    if done.left_out:
        note(f"{done.left_out} pairs are left out: a recording of theirs has no embedding")
