"""A configuration and a checkpoint → proven files: the job behind ``python -m export model``."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor

from export.backends import Backend, with_plain_weights
from export.budget import GENEROUS, Budget
from export.corpus import BONA_FIDE, Utterance, from_protocol
from export.errors import InputError
from export.extras import require
from export.jobs.calibration import Fitted, fit, write_decisions
from export.jobs.checkpoint import load_checkpoint
from export.jobs.config_file import read_config
from export.jobs.publish import Product, publish
from export.jobs.steps import (
    labels_of,
    score,
    scorer_row,
    scorer_trials,
    writers,
)
from export.jobs.threshold import ThresholdChoice
from export.progress import Progress
from export.report.result import Result
from export.runtime.audio import read_waveform
from export.runtime.contract import Contract
from export.speech import HINT, speech_files

STEM = "scorer"
_MOST_FILES = 40


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    config: Path
    out: Path
    checkpoint: Path | None = None
    backends: Sequence[Backend] | None = None
    protocol: Path | None = None
    audio: Path | None = None
    dynamic_batch: bool = False
    budget: float = GENEROUS
    calibrate: ThresholdChoice | None = None
    """Fit calibration and threshold on the trial list; None: as the configuration gives them."""


def run(options: Options, progress: Progress) -> Result:
    """Build, load, export, prove and report.

    Raises:
        InputError: on anything that cannot be used; nothing is written then.
    """
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: is not a folder; give another --out")
    if (options.protocol is None) != (options.audio is None):
        raise InputError("protocol: give --protocol and --audio together")
    if options.calibrate is not None and options.protocol is None:
        raise InputError("calibrate: give --protocol and --audio, too: it is fitted on them")
    require("jinja2")
    budget = Budget(options.budget)
    use = _usable(options.backends) if options.backends else writers()
    scorer = read_config(options.config)
    pipeline, notes = scorer.pipeline, []
    if options.checkpoint is None:
        notes.append("no --checkpoint: the weights are random")
    else:
        load_checkpoint(pipeline, options.checkpoint, rename=scorer.rename)
    notes += scorer.check()
    if options.calibrate is None and not scorer.calibrated:
        notes.append(f"{options.config}: no calibration, so the LLR is the raw score")
    # Scripting would drop a weight norm by itself, and the file's weights with it.
    scorer = replace(scorer, pipeline=with_plain_weights(pipeline))
    pipeline, contract = scorer.pipeline, scorer.contract()
    trials, remarks = _trials(options, scorer.sample_rate, progress)
    start = time.monotonic()
    scores = score(pipeline, scorer.hop, trials, progress)
    seconds = (time.monotonic() - start) / max(1, len(trials))
    for utterance, value in zip(trials, scores.tolist(), strict=True):
        if not math.isfinite(value):
            raise InputError(f"{options.config}: the model's score of {utterance.name} is {value}")
    fitted = None
    if options.calibrate is not None:
        fitted = fit(trials, scores, options.calibrate)
        contract = contract.model_copy(update={"decision": fitted.decision})
        notes += fitted.notes
    elif _upside_down(scores, trials):
        notes.append("bona fide scores lower than spoof: is the other column, or sign, the right?")
    product = Product(
        title=f"{contract.model}: parity with the trained model",
        module=pipeline,
        contract=contract,
        row=scorer_row(pipeline, STEM),
        speech=trials[0].waveform if trials else None,
        trials=scorer_trials(trials, scores) if trials else None,
        shown=None if fitted is None else fitted.shown,
        write_scores=partial(_write_scores, trials, scores, contract, fitted)
        if options.protocol is not None
        else None,
        notes=(*notes, *remarks),
        seconds_a_trial=seconds,
    )
    return publish(product, options.out, progress, use, options.dynamic_batch, budget)


def _write_scores(
    trials: Sequence[Utterance],
    scores: Tensor,
    contract: Contract,
    fitted: Fitted | None,
    path: Path,
) -> None:
    parts = ["test"] * len(trials) if fitted is None else fitted.parts
    write_decisions(list(zip(parts, trials, scores.tolist(), strict=True)), contract, path)


def _upside_down(scores: Tensor, trials: Sequence[Utterance]) -> bool:
    labels = labels_of(trials)
    if len(labels.unique()) < 2:
        return False
    return bool(scores[labels == 1].mean() < scores[labels == 0].mean())


def _usable(chosen: Sequence[Backend]) -> list[Backend]:
    """The backends that were asked for by name: each must be able to write its file."""
    for backend in chosen:
        if backend.emulated:
            raise InputError(f"backend: {backend.name} runs another backend's file, it writes none")
        if reason := backend.unavailable():
            raise InputError(f"backend: {backend.name}: {reason}")
    return list(chosen)


def _trials(
    options: Options, sample_rate: int, progress: Progress
) -> tuple[list[Utterance], tuple[str, ...]]:
    """Recordings to compare decisions on: the trial list, else real speech that is at hand."""
    if options.protocol is not None and options.audio is not None:
        corpus = from_protocol(options.protocol, options.audio, sample_rate, progress=progress)
        return list(corpus.utterances), corpus.notes
    files = speech_files()[:_MOST_FILES]
    if not files:
        return [], (f"decisions were not compared: {HINT}, or give --protocol and --audio",)
    return [
        Utterance(path.name, "", "-", BONA_FIDE, read_waveform(path, sample_rate).waveform)
        for path in files
    ], ()
