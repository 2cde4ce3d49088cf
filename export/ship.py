"""From a trained scorer in a script of your own to proven files: calibrate, export, compare."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from export import parity
from export.backend import Source, select
from export.catalog import Row, draw
from export.demo import make_contract
from export.errors import InputError
from export.parity import Record
from export.parity_json import write_json
from export.threshold import ThresholdChoice
from export.training import Settings
from scriptable import ScorePipeline


def ship(
    pipeline: ScorePipeline,
    windows: Tensor,
    labels: Tensor,
    out: Path,
    backends: Sequence[str] = (),
    sample_rate: int = 16000,
    threshold: ThresholdChoice | None = None,
    stem: str = "scorer",
) -> list[Record]:
    """Write a trained scorer for every backend, load each file afresh and compare it with eager.

    The calibration and the threshold of the contract come from the held-out windows, the first of
    which is also what the files are run on as real audio. Writes ``stem`` with each backend's
    suffix, and ``parity.json``.

    Args:
        pipeline: the trained scorer, N = ``pipeline.num_samples``; left as it was.
        windows: held-out audio, which training has not seen, ``[T, N]``.
        labels: 1 for bona fide, 0 for spoof, ``[T]``.
        out: folder for the files.
        backends: names as in ``python -m export list``; all of them when there are none.
        sample_rate: of the windows, Hz.
        threshold: where the contract's threshold is put; by default at the equal error rate.
        stem: of the files' names.

    Returns:
        One record for each comparison; a ``status`` of ``fail`` is a file not to be shipped.

    Raises:
        InputError: if a shape is wrong, or the held-out scores cannot be calibrated.
    """
    n = pipeline.num_samples
    if windows.dim() != 2 or windows.shape[1] != n:
        raise InputError(f"windows: expected shape [T, {n}], got {list(windows.shape)}")
    if labels.shape != windows.shape[:1]:
        raise InputError(f"labels: expected shape [{len(windows)}], got {list(labels.shape)}")
    pipeline.eval()
    with torch.no_grad():
        scores = torch.cat([pipeline(window.unsqueeze(0)) for window in windows]).double()
    settings = Settings(sample_rate=sample_rate, num_samples=n, hop=max(1, n // 2))
    contract = make_contract(pipeline, settings, scores, labels, threshold)
    row = Row(
        entry="ScorePipeline",
        variant=stem,
        module=lambda: pipeline,
        methods={"forward": lambda g: (draw.waveform(g, 1, n),)},
        speech={"forward": lambda waveform: (waveform.reshape(1, n),)},
        on_device=True,
    )
    trials = parity.make_trials(row, pipeline, windows[0])
    example = {"forward": row.draw("forward", 0)}
    source = Source(pipeline, example, contract.model_dump_json(indent=1))
    records: list[Record] = []
    for backend in select(list(backends)):
        path = out / f"{stem}{backend.suffix}"
        records += parity.check_backend(row, backend, source, trials, path)
    write_json(records, out / "parity.json")
    return records
