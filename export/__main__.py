"""The command line: ``python -m export``.

Exit codes: 0 = done and all parity within tolerance, 1 = parity or a check failed, 2 = bad usage
or bad input. Errors are one line on stderr; with ``--json`` and no file, stdout is pure JSON.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

from export.errors import InputError

try:
    import typer
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    print(f"error: {error.name} is not installed: pip install 'scriptable[cli]'", file=sys.stderr)
    sys.exit(2)

app = typer.Typer(
    help="Export speech scorers to mobile runtimes and prove each file equal to the trained model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
# Tables are for reading: a pipe has no width, and rich's 80 columns would cut them.
out = Console(width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True)

Names = Optional[list[str]]


@contextmanager
def progress_bar() -> Iterator[Any]:
    """Progress on a terminal, nothing elsewhere; yields a callback (what, done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("starting", total=None)

        def update(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield update


@app.command()
def demo(
    out_dir: Annotated[Path, typer.Option("--out", help="Where the artefacts go.")] = Path(
        "build/demo"
    ),
    head: Annotated[
        str, typer.Option(help="OCSoftmax, AMSoftmax, ASoftmax or CrossEntropy.")
    ] = "OCSoftmax",
    protocol: Annotated[
        Optional[Path], typer.Option(help="ASVspoof 2019 LA protocol; needs --audio.")
    ] = None,
    audio: Annotated[
        Optional[Path], typer.Option(help="Folder with the protocol's .flac or .wav files.")
    ] = None,
    speech: Annotated[
        Optional[Path],
        typer.Option(help="Folder of genuine recordings; the spoofed half is vocoded from them."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Read at most this many files of each class.")
    ] = 400,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training part.")] = 12,
    dynamic_batch: Annotated[
        bool, typer.Option(help="Leave the batch size open where a backend can.")
    ] = False,
) -> None:
    """Train a spoof scorer, export it to every backend, and prove each file.

    Example: python -m export demo --speech my_recordings --out build/mine
    """
    from export import demo as job
    from export.tables import comparison_table, demo_summary, failures
    from export.training import Settings

    options = job.Options(
        out_dir, Settings(head=head, epochs=epochs), protocol, audio, speech, limit, dynamic_batch
    )
    with progress_bar() as progress:
        result = job.run(options, progress)
    out.print(comparison_table(result.records))
    for renderable in demo_summary(result):
        out.print(renderable)
    for line in failures(result.records):
        err.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(0 if result.passed else 1)


@app.command()
def parity(
    entry: Annotated[Names, typer.Option(help="Only these catalogue entries.")] = None,
    backend: Annotated[Names, typer.Option(help="Only these backends.")] = None,
    json_file: Annotated[Optional[Path], typer.Option("--json", help="Write records here.")] = None,
    html_file: Annotated[Optional[Path], typer.Option("--html", help="Write a page here.")] = None,
) -> None:
    """Save, reload and compare every catalogue row on every backend.

    Example: python -m export parity --entry AMSoftmax --json build/parity.json
    """
    from export import parity as suite
    from export.audio import read_waveform
    from export.backend import select
    from export.catalog import find
    from export.contract import versions
    from export.parity_json import write_json
    from export.report import Report, write_html
    from export.speech import HINT, speech_files
    from export.tables import failures, parity_table

    rows, backends = find(entry), select(backend)
    files = speech_files()
    if not files:
        err.print(f"note: {HINT}", highlight=False, soft_wrap=True)
    speech = read_waveform(files[0], 16000).waveform if files else None
    with progress_bar() as progress:
        records = suite.run(rows, backends, speech, progress)
    if json_file is not None:
        write_json(records, json_file)
    if html_file is not None:
        write_html(Report("Parity of the catalogue", records, versions()), html_file)
    out.print(parity_table(records))
    out.print(", ".join(f"{count} {status}" for status, count in suite.summary(records).items()))
    for line in failures(records):
        err.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(1 if "fail" in suite.summary(records) else 0)


@app.command()
def score(
    artifact: Annotated[Path, typer.Argument(help="A saved scorer, of any backend.")],
    wav: Annotated[list[Path], typer.Argument(help="Recordings, .wav or .flac.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Score recordings with a saved artefact through its own runtime.

    Example: python -m export score build/demo/spoof_scorer.xnnpack.pte a.wav b.wav --json
    """
    from export.scorer import load_scorer

    scorer = load_scorer(artifact)
    results = []
    for path in wav:
        result, notes = scorer.score_file(path)
        results.append(result)
        for note in notes:
            err.print(f"note: {path}: {note}", highlight=False, markup=False, soft_wrap=True)
    for note in scorer.notes:
        err.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)
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


@app.command("list")
def list_all() -> None:
    """List the catalogue's entries and the backends with their availability.

    Example: python -m export list
    """
    from export.tables import backend_table, catalogue_table

    out.print(catalogue_table())
    out.print(backend_table())


def refuse(message: str) -> NoReturn:
    """One line, and the exit code of bad input."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Run the command line; bad input ends in one line on stderr and exit code 2."""
    try:
        app()
    except InputError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))


if __name__ == "__main__":
    main()
