"""``task: spoofing``: a countermeasure, on recordings of bona fide and spoofed speech."""

import math
import time
from collections.abc import Sequence
from functools import partial

from torch import Tensor

from export.corpus import BONA_FIDE, Utterance, from_protocol
from export.errors import InputError
from export.jobs.calibration import fit, upside_down, write_decisions
from export.jobs.config_file import Scorer
from export.jobs.options import Options
from export.jobs.publish import Product
from export.jobs.spoofing_contract import contract_of
from export.jobs.steps import labels_of, score, scorer_row, scorer_trials
from export.progress import Progress
from export.runtime.audio import read_waveform
from export.speech import HINT, speech_files
from scriptable import ScorePipeline

STEM = "scorer"
_MOST_FILES = 40


def make_product(
    options: Options, scorer: Scorer, pipeline: ScorePipeline, progress: Progress
) -> Product:
    """The countermeasure with its contract, and the decisions on the recordings at hand."""
    about = scorer.about
    contract = contract_of(
        pipeline,
        about.sample_rate,
        about.hop,
        scorer.spoofing_decision,
        guards=about.guards,
        name=about.name,
    )
    trials, remarks = _recordings(options, scorer.sample_rate, progress)
    start = time.monotonic()
    scores = score(pipeline, about.hop, trials, progress)
    seconds = (time.monotonic() - start) / max(1, len(trials))
    _check_finite(options, scores, [utterance.name for utterance in trials])
    notes, fitted = list(remarks), None
    if options.calibrate is not None:
        fitted = fit(trials, scores, options.calibrate)
        contract = contract.model_copy(update={"decision": fitted.decision})
        notes += fitted.notes
    elif upside_down(scores, labels_of(trials)):
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
        recordings=trials if options.protocol else (),
    )


def _check_finite(options: Options, scores: Tensor, names: Sequence[str]) -> None:
    for name, value in zip(names, scores.tolist(), strict=True):
        if not math.isfinite(value):
            raise InputError(f"{options.config}: the model's score of {name} is {value}")


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
