"""``python -m export verify``."""

from pathlib import Path
from typing import Annotated

import typer

from export.commands._app import ManyFiles, app, note
from export.commands.score import TRUST, Results
from export.errors import InputError, MissingPackageError


@app.command(cls=ManyFiles)
def verify(
    artifact: Annotated[Path, typer.Argument(help="A saved verifier, of any backend.")],
    enrol: Annotated[
        list[Path], typer.Option("--enrol", help="Recordings of the enrolled speaker.")
    ],
    test: Annotated[list[Path], typer.Option("--test", help="Recordings to compare with it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    trust: Annotated[bool, TRUST] = False,
) -> None:
    """Say whether recordings are of the enrolled speaker, with a saved artefact.

    Both options take one file or several: --enrol a.wav b.wav --test c.wav d.wav.

    Example: scriptable verify build/demo-verification/speaker_verifier.ptl
    --enrol a.wav b.wav --test c.wav
    """
    from export.runtime.verifier import load_verifier

    verifier = load_verifier(artifact, trust)
    note(*verifier.notes)
    heard = []
    for path in enrol:
        recording, remarks = verifier.hear_file(path)
        heard.append(recording)
        note(*remarks)
    enrolment = verifier.enrol(heard)
    results = Results(as_json, ("score", "llr", "posterior"))
    for path in test:
        try:
            recording, remarks = verifier.hear_file(path)
            note(*remarks)
            result = verifier.compare(enrolment, recording)
        except MissingPackageError:
            raise
        except (InputError, OSError) as error:
            result = verifier.unreadable(enrolment, str(path), str(error))
        results.add(result.as_dict())
    results.finish()
