"""A configuration and a checkpoint → proven files: the job behind ``python -m export model``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from export.backends import Backend
from export.corpus import BONA_FIDE, Progress, Utterance, from_protocol
from export.errors import InputError
from export.extras import require
from export.jobs.checkpoint import load_checkpoint
from export.jobs.config_file import read_config
from export.jobs.steps import (
    Recordings,
    artefact_paths,
    climb,
    export_all,
    labels_of,
    latencies,
    score,
    scorer_row,
    summaries,
    writers,
)
from export.parity.decisions import Rung
from export.parity.document import write_json
from export.report.page import Report, Trials, write_html
from export.report.result import Result
from export.runtime import contract as contracts
from export.runtime.audio import read_waveform
from export.speech import HINT, speech_files
from scriptable import equal_error_rate

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


def run(options: Options, progress: Progress) -> Result:
    """Build, load, export, prove and report.

    Raises:
        InputError: on anything that cannot be used; nothing is written then.
    """
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: is no folder; give another --out")
    if (options.protocol is None) != (options.audio is None):
        raise InputError("protocol: give --protocol and --audio together")
    require("jinja2")
    use = _usable(options.backends) if options.backends else writers()
    scorer = read_config(options.config)
    pipeline, notes = scorer.pipeline, []
    if options.checkpoint is None:
        notes.append("no --checkpoint: the weights are random")
    else:
        load_checkpoint(pipeline, options.checkpoint)
    if not scorer.calibrated:
        notes.append(f"{options.config}: no calibration, so the LLR is the raw score")
    contract = scorer.contract()
    trials, remarks = _trials(options, scorer.sample_rate, progress)
    labels, scores = labels_of(trials), score(pipeline, scorer.hop, trials)
    for utterance, value in zip(trials, scores.tolist(), strict=True):
        if not math.isfinite(value):
            raise InputError(f"{options.config}: the model's score of {utterance.name} is {value}")
    speech = trials[0].waveform if trials else None
    row = scorer_row(pipeline, STEM)
    made, records = export_all(
        options.out, row, pipeline, contract, speech, progress, use, options.dynamic_batch
    )
    paths = artefact_paths(options.out, STEM, use)
    rungs: list[Rung] = []
    if trials:
        names, waveforms = [u.name for u in trials], [u.waveform for u in trials]
        recordings = Recordings(names, waveforms, labels)
        rungs = climb(paths, contract, recordings, scores, progress)
    times = latencies(paths, pipeline, made[0].inputs)
    both = len(labels.unique()) == 2
    files = {name: options.out / name for name in ("parity.json", "report.html")}
    result = Result(
        records=records,
        rungs=rungs,
        artefacts=summaries(paths, times),
        eager_ms=times["eager"],
        equal_error_rate=equal_error_rate(scores, labels).rate if both else None,
        held_out=len(trials),
        files=[*(path for path in paths.values() if path.exists()), *files.values()],
        notes=(*notes, *remarks),
    )
    write_json(records, files["parity.json"], rungs)
    report = Report(
        title=f"{contract.model}: parity with the trained model",
        records=records,
        versions=contracts.versions(),
        artefacts=result.artefacts,
        eager_ms=result.eager_ms,
        contract=contract,
        trials=_shown(contract, scores, labels) if both else None,
        notes=result.notes,
        ladder=rungs,
    )
    write_html(report, files["report.html"])
    return result


def _usable(chosen: Sequence[Backend]) -> list[Backend]:
    """The backends that were asked for by name: each must be able to write its file."""
    for backend in chosen:
        if backend.emulated:
            raise InputError(f"backend: {backend.name} runs another backend's file, it writes none")
        if reason := backend.unavailable():
            raise InputError(f"backend: {backend.name}: {reason}")
    return list(chosen)


def _shown(contract: contracts.Contract, scores: Tensor, labels: Tensor) -> Trials:
    return Trials(scores, contract.decision.scale * scores + contract.decision.offset, labels)


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
