"""``python -m export web``."""

from pathlib import Path
from typing import Annotated

import typer

from export.commands._app import app, out


@app.command()
def web(
    artifact: Annotated[Path, typer.Argument(help="A saved spoofing scorer, an .onnx file.")],
    folder: Annotated[Path, typer.Option("--out", help="A new folder, or one of an earlier page.")],
) -> None:
    """Write a page that scores the microphone and files in a browser, and sends nothing anywhere.

    The folder holds page, runtime and model. Any file server serves it; a browser gives the
    microphone to pages of https and of localhost only.

    Example: scriptable web build/demo/spoof_scorer.onnx --out build/web/page
    """
    from export.jobs.web import write_page

    names = write_page(artifact, folder)
    out.print(f"{len(names)} files in {folder}", markup=False, highlight=False)
