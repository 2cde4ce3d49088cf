"""``python -m export demo``."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from export.commands._app import CalibrationAudio, Force, Precision, app, progress_bar, published


@app.command()
def demo(
    out_dir: Annotated[
        Optional[Path],
        typer.Option(
            "--out", help="Folder for the artefacts; default build/demo, or build/demo-TASK."
        ),
    ] = None,
    task: Annotated[
        str,
        typer.Option(help="spoofing, verification, sasv (both at once), or streaming."),
    ] = "spoofing",
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
    threshold: Annotated[
        str, typer.Option(help="The contract's threshold: eer, or min_dcf at the costs below.")
    ] = "eer",
    prior: Annotated[
        Optional[float],
        typer.Option(help="Probability of bona fide (default 0.95) or the same speaker (0.01)."),
    ] = None,
    cost_miss: Annotated[
        Optional[float], typer.Option(help="Cost of rejecting what should pass; default 1.")
    ] = None,
    cost_false_alarm: Annotated[
        Optional[float],
        typer.Option(help="Cost of accepting what should not pass; default 10 for spoofs, else 1."),
    ] = None,
    false_alarms: Annotated[
        float,
        typer.Option(
            "--false-alarms-per-hour",
            min=0,
            help="Of streaming: how often real speech may be called a spoof, at the threshold.",
        ),
    ] = 12.0,
    dynamic_batch: Annotated[
        bool, typer.Option(help="Keep the batch size dynamic where a backend can.")
    ] = False,
    precision: Precision = None,
    calibration_audio: CalibrationAudio = None,
    force: Force = False,
) -> None:
    """Train a scorer, export it to every backend, and prove each file.

    Example: scriptable demo --speech my_recordings --out build/mine
    """
    from export.demo import spoofing as job
    from export.demo.training import Settings
    from export.jobs.precisions import Precisions
    from export.jobs.threshold import ThresholdChoice

    default = Path("build/demo" if task == "spoofing" else f"build/demo-{task}")
    options = job.Options(
        out_dir or default,
        Settings(head=head, epochs=epochs),
        protocol,
        audio,
        speech,
        limit,
        dynamic_batch,
        task,
        ThresholdChoice(threshold, prior, cost_miss, cost_false_alarm),
        Precisions(tuple(precision or ["float32"]), calibration_audio, force),
        false_alarms,
    )
    with progress_bar() as progress:
        result = job.run(options, progress)
    published(result)
