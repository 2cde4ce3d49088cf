"""``python -m export score``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from export.commands._app import app, failed, note, out
from export.errors import InputError, MissingPackageError
from export.text import in_json, printable

TRUST = typer.Option(help="Load the file even if it holds code that no scorer needs.")


@app.command()
def score(
    artifact: Annotated[Path, typer.Argument(help="A saved scorer, of any backend.")],
    wav: Annotated[list[Path], typer.Argument(help="Recordings, .wav or .flac.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    trace: Annotated[
        bool, typer.Option(help="A line for every chunk, of a scorer of streams.")
    ] = False,
    trust: Annotated[bool, TRUST] = False,
) -> None:
    """Score recordings with a saved artefact through its own runtime, one after the other.

    A recording that its contract allows no decision on is undecided, with the reason. One that
    cannot be read is an error in its place, and the exit code is 2 after all others were scored.

    Example: scriptable score build/demo/spoof_scorer.xnnpack.pte a.wav b.wav --json
    """
    from export.runtime.scorer import unreadable
    from export.runtime.stream import StreamScorer, Verdict, load_any_scorer

    scorer = load_any_scorer(artifact, trust)
    if trace and not isinstance(scorer, StreamScorer):
        raise InputError(f"trace: expected a scorer of streams, {artifact} scores windows")
    note(*scorer.notes)
    results = Results(as_json, ("score", "llr", "posterior"))
    for path in wav:
        traced: list[Verdict] = []
        try:
            if isinstance(scorer, StreamScorer):
                result, notes = scorer.score_file(path, traced.append)
            else:
                result, notes = scorer.score_file(path)
            note(*(f"{path}: {remark}" for remark in notes))
        except MissingPackageError:
            raise
        except (InputError, OSError) as error:
            result = unreadable(scorer.contract, str(path), str(error))
        steps = [asdict(verdict) for verdict in traced]
        results.add(result.as_entry(), steps if trace else None)
    results.finish()


class Results:
    """Prints each result when it is there, so that none is lost with a later one."""

    def __init__(self, as_json: bool, numbers: tuple[str, ...]) -> None:
        self._json = as_json
        self._numbers = numbers
        self._count = self._errors = 0
        if not as_json:
            heads = "".join(f"{name:>10}" for name in numbers)
            self._line(f"{heads}  {'decision':<10}  file")

    def add(self, entry: dict[str, Any], trace: list[dict[str, Any]] | None = None) -> None:
        """One result, after what led to it; a line on stderr for what could not be read."""
        if entry["error"] is not None:
            self._errors += 1
            failed([f"error: {entry['error']}"])
        if self._json:
            shown = {**entry, "file": in_json(entry["file"])}
            if trace is not None:
                shown["trace"] = trace
            text = json.dumps(shown, indent=1, allow_nan=False).replace("\n", "\n ")
            print(("[\n " if self._count == 0 else ",\n ") + text, end="", flush=True)
        elif entry["error"] is None:
            for step in trace or []:
                self._line(self._row({**step, "file": f"{step['samples']} samples"}))
            self._line(self._row(entry))
        self._count += 1

    def finish(self) -> None:
        """Close the list; exit code 2 where there was an error."""
        if self._json:
            print("\n]" if self._count else "[]", flush=True)
        if self._errors:
            raise typer.Exit(2)

    def _row(self, entry: dict[str, Any]) -> str:
        values = (entry[name] for name in self._numbers)
        numbers = "".join(f"{'-' if value is None else f'{value:.4f}':>10}" for value in values)
        words = [f"{entry['decision']:<10}"]
        if entry.get("spoofing") is not None:
            llr = entry["bonafide_llr"]
            words.append(entry["spoofing"] + ("" if llr is None else f" (LLR {llr:.4f})"))
        words.append(entry["file"])
        if entry["reason"]:
            words.append(f"({entry['reason']})")
        return f"{numbers}  {'  '.join(words)}"

    def _line(self, text: str) -> None:
        # Only the numbers' columns are aligned: printable() would fold their spaces.
        head, tail = text[: 10 * len(self._numbers)], text[10 * len(self._numbers) :]
        out.file.write(f"{head}  {printable(tail)}\n")
        out.file.flush()
