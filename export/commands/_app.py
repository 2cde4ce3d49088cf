"""The application that the commands register with, and its two consoles."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn, Optional

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from typer.core import TyperCommand

from export.text import printable

_HELP = """Export speech scorers to mobile runtimes and prove each file equal to the trained model.

Example: scriptable demo
"""

app = typer.Typer(
    help=_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
# Tables are for reading: a pipe has no width, and rich's 80 columns would cut them.
out = Console(width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True)

Names = Optional[list[str]]
Precision = Annotated[
    Names,
    typer.Option(
        help="float32, mixed16 or int8, a file each; repeatable. Fewer bits: judged by decisions."
    ),
]
CalibrationAudio = Annotated[
    Optional[Path],
    typer.Option(
        metavar="DIR", help="Recordings of the deployment, which int8 chooses its ranges on."
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Write a file of fewer bits whose decisions differ, too."),
]
# Seconds: a job that ends sooner says nothing on the way.
_QUIET = 10.0


def backend_names(incomplete: str) -> list[str]:
    """Backends for the shell's completion; a backend's file has its name."""
    folder = Path(__file__).parent.parent / "backends"
    return [p.stem for p in sorted(folder.glob("[!_]*.py")) if p.stem.startswith(incomplete)]


class ManyFiles(TyperCommand):
    """A command whose list options each take all the words up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before every word: ``--test a b`` becomes ``--test a --test b``."""
        lists = {
            name
            for parameter in self.params
            if getattr(parameter, "multiple", False)
            for name in parameter.opts
        }
        spelled: list[str] = []
        current = ""
        for word in args:
            if word.startswith("-"):
                current = word if word in lists else ""
            elif current and spelled[-1] != current:
                spelled.append(current)
            spelled.append(word)
        return super().parse_args(ctx, spelled)


@contextmanager
def progress_bar() -> Iterator[Any]:
    """Progress on a terminal, a line at times elsewhere; yields a callback (what, done, total)."""
    if not err.is_terminal:
        yield _progress_lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def update(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield update


def _progress_lines() -> Callable[[str, int, int], None]:
    """For logs: nothing at first, then a line for each new step, and one a while within a step."""
    start = time.monotonic()
    last, said = start, ""

    def update(what: str, done: int, total: int) -> None:
        nonlocal last, said
        now = time.monotonic()
        if now - start < _QUIET or done == total or (what == said and now - last < _QUIET):
            return
        last, said = now, what
        note_line = f"progress: {now - start:.0f} s: {what} ({done + 1} of {total})"
        err.print(note_line, highlight=False, markup=False, soft_wrap=True)

    return update


def failed(lines: Iterable[str]) -> None:
    """Reasons of failures, on stderr, one line each."""
    for line in lines:
        err.print(printable(line), style="red", highlight=False, markup=False, soft_wrap=True)


def note(*lines: str) -> None:
    """Remarks for people, on stderr, one line each."""
    for line in lines:
        err.print(f"note: {printable(line)}", highlight=False, markup=False, soft_wrap=True)


def published(result: Any) -> NoReturn:
    """Tell what was made and what failed, and end with the exit code that says so."""
    from export.report.terminal import failures, remarks, summary

    for table in summary(result):
        out.print(table)
    for line in remarks(result):
        out.print(printable(line), highlight=False, markup=False, soft_wrap=True)
    failed(failures(result.records))
    raise typer.Exit(0 if result.passed else 1)
