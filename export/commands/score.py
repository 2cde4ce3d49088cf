"""``python -m export score``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from export.commands._app import app, note, out


@app.command()
def score(
    artifact: Annotated[Path, typer.Argument(help="A saved scorer, of any backend.")],
    wav: Annotated[list[Path], typer.Argument(help="Recordings, .wav or .flac.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score recordings with a saved artefact through its own runtime.

    Example: scriptable score build/demo/spoof_scorer.xnnpack.pte a.wav b.wav --json
    """
    from export.runtime.scorer import load_scorer

    scorer = load_scorer(artifact)
    results = []
    for path in wav:
        result, notes = scorer.score_file(path)
        results.append(result)
        note(*(f"{path}: {remark}" for remark in notes))
    note(*scorer.notes)
    if as_json:
        print(json.dumps([result.as_dict() for result in results], indent=1, allow_nan=False))
        return
    table = Table(header_style="bold")
    for name in ("file", "score", "LLR", "posterior", "decision"):
        table.add_column(name, justify="left" if name in ("file", "decision") else "right")
    for result in results:
        numbers = (f"{value:.4f}" for value in (result.score, result.llr, result.posterior))
        table.add_row(Text(result.file), *numbers, result.decision)
    out.print(table)
