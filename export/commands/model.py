"""``python -m export model``."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from export.commands._app import (
    CalibrationAudio,
    Force,
    Names,
    Precision,
    app,
    backend_names,
    progress_bar,
    published,
)


@app.command()
def model(
    config: Annotated[
        Path, typer.Argument(help="YAML: task, frontend, encoder, loss, window, ...")
    ],
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the files.")],
    checkpoint: Annotated[
        Optional[Path],
        typer.Option(help="Weights: .safetensors, or .pt, .pth, .ckpt read with weights_only."),
    ] = None,
    backend: Annotated[
        Names, typer.Option(help="Only these backends.", autocompletion=backend_names)
    ] = None,
    module: Annotated[
        Optional[str],
        typer.Option(
            metavar="FILE.py", help="Import this file, or dotted module, first: its heads and nets."
        ),
    ] = None,
    protocol: Annotated[
        Optional[Path],
        typer.Option(help="A trial list to compare decisions on; needs --audio."),
    ] = None,
    audio: Annotated[
        Optional[Path], typer.Option(help="Folder with the trial list's .flac or .wav files.")
    ] = None,
    dynamic_batch: Annotated[
        bool, typer.Option(help="Leave the batch size open where a backend can.")
    ] = False,
    budget: Annotated[
        float,
        typer.Option(min=1, help="Seconds in all; what does not fit in is left out, and said."),
    ] = 3600.0,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Fit calibration and threshold on the trial list."),
    ] = False,
    enrolment: Annotated[
        Optional[Path],
        typer.Option(help="MODEL FILE [FILE ...]: the trial list names these models."),
    ] = None,
    countermeasure: Annotated[
        Optional[Path],
        typer.Option(help="Of task: sasv, weights of the countermeasure in a file of their own."),
    ] = None,
    prior: Annotated[
        Optional[float],
        typer.Option(help="With --calibrate: probability of bona fide, default 0.95."),
    ] = None,
    operating_point: Annotated[
        Optional[str],
        typer.Option(help="With --calibrate: eer, or min_dcf at the prior and the usual costs."),
    ] = None,
    precision: Precision = None,
    calibration_audio: CalibrationAudio = None,
    force: Force = False,
    live: Annotated[
        Optional[str],
        typer.Option(help="Of task: spoofing: cached, a method that hears a stream by chunks."),
    ] = None,
) -> None:
    """Export a model of your own: configuration and weights in, proven files and a report out.

    The encoder is any torch.nn.Module that can be imported, by its dotted path.

    Example: scriptable model scorer.yaml --checkpoint weights.safetensors --out build/mine
    """
    from export.backends import select
    from export.errors import InputError
    from export.jobs import model as job
    from export.jobs.options import Options
    from export.jobs.precisions import Precisions
    from export.jobs.threshold import ThresholdChoice
    from export.modules import load_module

    if module is not None:
        load_module(module)
    chosen = select(backend) if backend else None
    if not calibrate and (prior is not None or operating_point is not None):
        raise InputError("calibrate: --prior and --operating-point go with --calibrate")
    point = ThresholdChoice(operating_point or "eer", prior)
    options = Options(
        config,
        out_dir,
        checkpoint,
        chosen,
        protocol,
        audio,
        dynamic_batch,
        budget,
        point if calibrate else None,
        enrolment,
        countermeasure,
        Precisions(tuple(precision or ["float32"]), calibration_audio, force),
        live,
    )
    with progress_bar() as progress:
        result = job.run(options, progress)
    published(result)
