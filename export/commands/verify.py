"""``python -m export verify``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from export.commands._app import ManyFiles, app, note, out


@app.command(cls=ManyFiles)
def verify(
    artifact: Annotated[Path, typer.Argument(help="A saved verifier, of any backend.")],
    enrol: Annotated[
        list[Path], typer.Option("--enrol", help="Recordings of the enrolled speaker.")
    ],
    test: Annotated[list[Path], typer.Option("--test", help="Recordings to compare with it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say whether recordings are of the enrolled speaker, with a saved artefact.

    Both options take one file or several: --enrol a.wav b.wav --test c.wav d.wav.

    Example: scriptable verify build/demo-verification/speaker_verifier.ptl
    --enrol a.wav b.wav --test c.wav
    """
    from export.runtime.verifier import load_verifier

    verifier = load_verifier(artifact)
    heard = []
    for path in (*enrol, *test):
        waveform, remarks = verifier.read(path)
        heard.append(verifier.hear(str(path), waveform))
        note(*remarks)
    enrolment = verifier.enrol(heard[: len(enrol)])
    results = [verifier.compare(enrolment, recording) for recording in heard[len(enrol) :]]
    note(*verifier.notes)
    if as_json:
        print(json.dumps([result.as_dict() for result in results], indent=1, allow_nan=False))
        return
    both = results[0].spoofing is not None
    table = Table(title=Text(f"Enrolled: {', '.join(enrolment.names)}"), header_style="bold")
    for name in ("file", "score", "LLR", "posterior", "decision"):
        table.add_column(name, justify="left" if name in ("file", "decision") else "right")
    if both:
        table.add_column("spoofing")
    for result in results:
        numbers = (f"{value:.4f}" for value in (result.score, result.llr, result.posterior))
        spoofing = [f"{result.spoofing} (LLR {result.bonafide_llr:.4f})"] if both else []
        table.add_row(Text(result.file), *numbers, result.decision, *spoofing)
    out.print(table)
