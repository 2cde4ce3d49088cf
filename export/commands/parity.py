"""``python -m export parity``."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from export.commands._app import Names, app, backend_names, failed, note, out, progress_bar
from export.errors import InputError
from export.extras import require
from export.files import check_output


@app.command()
def parity(
    entry: Annotated[Names, typer.Option(help="Only these catalogue entries.")] = None,
    backend: Annotated[
        Names, typer.Option(help="Only these backends.", autocompletion=backend_names)
    ] = None,
    module: Annotated[
        Optional[str],
        typer.Option(
            metavar="FILE.py",
            help="Check the heads that this file, or dotted module, registers with "
            "@register_loss, instead of the catalogue.",
        ),
    ] = None,
    jobs: Annotated[
        Optional[int],
        typer.Option(min=1, help="Worker processes; default: one per processor, at most 8."),
    ] = None,
    artifact: Annotated[
        Optional[list[Path]],
        typer.Option(help="Saved scorers to compare on a trial list instead of the catalogue."),
    ] = None,
    protocol: Annotated[
        Optional[Path], typer.Option(help="The trial list; needs --artifact and --audio.")
    ] = None,
    audio: Annotated[
        Optional[Path], typer.Option(help="Folder with the trial list's .flac or .wav files.")
    ] = None,
    json_file: Annotated[
        Optional[Path], typer.Option("--json", help="Write the records here.")
    ] = None,
    html_file: Annotated[
        Optional[Path], typer.Option("--html", help="Write the report page here.")
    ] = None,
) -> None:
    """Save, reload and compare every catalogue entry on every backend, or saved scorers on trials.

    With --module, the entries are your own heads, checked on random embeddings and labels. With
    --artifact, the scores and decisions of each artefact are compared with those of the first.

    Example: scriptable parity --entry AMSoftmax --json build/parity.json

    Example: scriptable parity --module my_losses.py --html build/mine.html
    """
    for path in (json_file, html_file):
        if path is not None:
            check_output(path)
    if artifact:
        if protocol is None or audio is None:
            raise InputError("artifact: also give --protocol and --audio")
        if entry or backend or html_file or module:
            raise InputError(
                "artifact: cannot be combined with --entry, --backend, --module or --html"
            )
        return decisions(artifact, protocol, audio, json_file)
    if protocol is not None or audio is not None:
        raise InputError("protocol: needs --artifact, the scorers to compare on its trials")
    matrix(entry, backend, module or "", jobs, json_file, html_file)


def matrix(
    entry: Names,
    backend: Names,
    module: str,
    jobs: Optional[int],
    json_file: Optional[Path],
    html_file: Optional[Path],
) -> None:
    """All entries, of the catalogue or of a module, on all backends."""
    from export.backends import select
    from export.catalog import find
    from export.parity import run as suite
    from export.parity.document import write_json
    from export.parity.user_heads import custom_rows
    from export.parity.workers import default_jobs
    from export.report.page import Report, write_html
    from export.report.terminal import failures, parity_table
    from export.runtime.audio import read_waveform
    from export.runtime.contract import versions
    from export.speech import HINT, speech_files

    if html_file is not None:
        require("jinja2")
    backends = select(backend)
    rows = find(entry, custom_rows(module) if module else None)
    files = speech_files()
    if not files:
        note(HINT)
    speech = read_waveform(files[0], 16000).waveform if files else None
    with progress_bar() as progress:
        records = suite.run(rows, backends, speech, progress, jobs or default_jobs(), module)
    if json_file is not None:
        write_json(records, json_file)
    if html_file is not None:
        write_html(Report(f"Parity of {module or 'the catalogue'}", records, versions()), html_file)
    out.print(parity_table(records))
    out.print(", ".join(f"{count} {status}" for status, count in suite.summary(records).items()))
    failed(failures(records))
    raise typer.Exit(1 if "fail" in suite.summary(records) else 0)


def decisions(
    artifacts: list[Path], protocol: Path, audio: Path, json_file: Optional[Path]
) -> None:
    """Saved scorers on a trial list."""
    from export.parity.decisions import compare_scorers
    from export.parity.document import write_json
    from export.report.terminal import at_threshold, ladder_table

    with progress_bar() as progress:
        rungs = compare_scorers(artifacts, protocol, audio, progress)
    if json_file is not None:
        write_json([], json_file, rungs)
    out.print(ladder_table(rungs))
    note(*at_threshold(rungs))
    failed(
        f"{rung.artifact}: {rung.flips} of {rung.trials} decisions differ"
        for rung in rungs
        if rung.flips
    )
    raise typer.Exit(1 if any(rung.flips for rung in rungs) else 0)
