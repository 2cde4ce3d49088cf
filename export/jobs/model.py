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
from export.jobs.calibration import fit, write_decisions
from export.jobs.checkpoint import load_checkpoint
from export.jobs.config_file import Scorer, read_config
from export.jobs.publish import Product, publish
from export.jobs.speaker_trials import lines_of, raw_scores, run_trials, trial_list
from export.jobs.steps import (
    labels_of,
    score,
    scorer_row,
    scorer_trials,
    writers,
)
from export.jobs.threshold import ThresholdChoice
from export.jobs.verification import (
    TRIALS,
    by_enrolment,
    read_trials,
    verifier_row,
    with_cohort,
)
from export.metrics.score_files import write_scores
from export.progress import Progress
from export.report.result import Result
from export.runtime.audio import read_waveform
from export.runtime.contract import Contract, VerificationContract
from export.runtime.eager import EagerArtefact
from export.runtime.verifier import Verifier
from export.speech import HINT, speech_files
from scriptable import EmbeddingPipeline, ScorePipeline

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
    pipeline = with_plain_weights(pipeline)
    if isinstance(pipeline, EmbeddingPipeline):
        if scorer.scoring.cohort is not None:
            cohort = options.config.parent / scorer.scoring.cohort
            pipeline = with_cohort(
                pipeline, cohort, scorer.scoring.top_n, scorer.sample_rate, progress
            )
        product = _verifier(options, replace(scorer, pipeline=pipeline), pipeline, progress)
    else:
        product = _spoofing(options, replace(scorer, pipeline=pipeline), pipeline, progress)
    product = replace(product, notes=(*notes, *product.notes))
    return publish(product, options.out, progress, use, options.dynamic_batch, budget)


def _spoofing(
    options: Options, scorer: Scorer, pipeline: ScorePipeline, progress: Progress
) -> Product:
    """A countermeasure, on recordings of bona fide and spoofed speech."""
    contract = scorer.contract()
    assert isinstance(contract, Contract)
    trials, remarks = _recordings(options, scorer.sample_rate, progress)
    start = time.monotonic()
    scores = score(pipeline, scorer.hop, trials, progress)
    seconds = (time.monotonic() - start) / max(1, len(trials))
    _check_finite(options, scores, [utterance.name for utterance in trials])
    notes, fitted = list(remarks), None
    if options.calibrate is not None:
        fitted = fit(trials, scores, options.calibrate)
        contract = contract.model_copy(update={"decision": fitted.decision})
        notes += fitted.notes
    elif _upside_down(scores, labels_of(trials)):
        notes.append("bona fide scores lower than spoof: is the other column, or sign, the right?")
    parts = ["test"] * len(trials) if fitted is None else fitted.parts
    rows = list(zip(parts, trials, scores.tolist(), strict=True))
    return Product(
        title=f"{contract.model}: parity with the trained model",
        module=pipeline,
        contract=contract,
        row=scorer_row(pipeline, STEM),
        speech=trials[0].waveform if trials else None,
        trials=scorer_trials(trials, scores) if trials else None,
        shown=None if fitted is None else fitted.shown,
        write_scores=partial(write_decisions, rows, contract) if options.protocol else None,
        notes=tuple(notes),
        seconds_a_trial=seconds,
    )


def _verifier(
    options: Options, scorer: Scorer, pipeline: EmbeddingPipeline, progress: Progress
) -> Product:
    """A speaker verifier, on pairs of recordings."""
    contract = scorer.contract()
    assert isinstance(contract, VerificationContract)
    product = Product(
        title=f"{contract.model}: parity with the trained model",
        module=pipeline,
        contract=contract,
        row=verifier_row(pipeline, "verifier"),
        unit="trials",
    )
    if options.protocol is None or options.audio is None:
        files = speech_files()[:1]
        heard = [read_waveform(path, scorer.sample_rate).waveform for path in files]
        note = "decisions were not compared: give --protocol and --audio"
        return replace(product, speech=heard[0] if heard else None, notes=(note,))
    trials = read_trials(options.protocol, options.audio, scorer.sample_rate, progress)
    start = time.monotonic()
    verifier = Verifier(EagerArtefact(pipeline), contract, name="the trained model")
    scores = raw_scores(run_trials(verifier, trials))
    # A file embeds every recording once, whatever number of trials it is in.
    seconds = (time.monotonic() - start) / max(1, len(trials.trials))
    fitted, notes = None, list[str]()
    if options.calibrate is not None:
        fitted = fit(by_enrolment(trials), scores, options.calibrate, what=TRIALS)
        contract = contract.model_copy(update={"decision": fitted.decision})
        notes += fitted.notes
    elif _upside_down(scores, trials.labels):
        notes.append("the same speaker scores lower than another: are the keys right?")
    verifier.contract = contract
    scored = run_trials(verifier, trials)
    parts = ["test"] * len(scored) if fitted is None else fitted.parts
    lines = lines_of(trials, scored, parts)
    return replace(
        product,
        contract=contract,
        speech=trials.utterances[0].waveform,
        trials=trial_list(trials, scored),
        shown=None if fitted is None else fitted.shown,
        write_scores=lambda path: write_scores(lines, path, "csv"),
        notes=tuple(notes),
        seconds_a_trial=seconds,
    )


def _check_finite(options: Options, scores: Tensor, names: Sequence[str]) -> None:
    for name, value in zip(names, scores.tolist(), strict=True):
        if not math.isfinite(value):
            raise InputError(f"{options.config}: the model's score of {name} is {value}")


def _upside_down(scores: Tensor, labels: Tensor) -> bool:
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


def _recordings(
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
