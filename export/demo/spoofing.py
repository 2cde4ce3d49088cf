"""The main job: train a scorer, export it to every backend, prove each file, and report."""

import csv
from pathlib import Path

from torch import Tensor

from export.corpus import Progress, Split, split_by_speaker
from export.demo.options import HELD_OUT, Options, audio_for_parity, check, read_corpus
from export.demo.training import train
from export.files import replacing
from export.jobs.spoofing_contract import make_contract
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
)
from export.parity.document import write_json
from export.report.page import Report, Trials, write_html
from export.report.result import Result
from export.runtime import contract as contracts
from export.runtime.contract import Contract
from export.runtime.scorer import decide
from scriptable import ScorePipeline, equal_error_rate

__all__ = ["Options", "Result", "make_contract", "read_corpus", "run"]

STEM = "spoof_scorer"
_SAME_PART = (
    "calibration and threshold were chosen on the held-out recordings that the figures are from: "
    "on new recordings expect worse"
)


def run(options: Options, progress: Progress) -> Result:
    """Train, export, prove and report."""
    check(options)
    if options.task != "spoofing":
        from export.demo import speaker as speaker_demo

        return speaker_demo.run(options, progress)
    corpus = read_corpus(options, progress)
    split = split_by_speaker(corpus.utterances, HELD_OUT, options.settings.seed)
    pipeline = train(options.settings, split.train, progress)
    labels = labels_of(split.held_out)
    scores = score(pipeline, options.settings.hop, split.held_out)
    contract = make_contract(pipeline, options.settings, scores, labels, options.threshold)
    speech = audio_for_parity(options, split.held_out)
    row = scorer_row(pipeline, STEM)
    trials, records = export_all(
        options.out, row, pipeline, contract, speech, progress, dynamic_batch=options.dynamic_batch
    )
    paths = artefact_paths(options.out, STEM)
    held_out = Recordings(
        [utterance.name for utterance in split.held_out],
        [utterance.waveform for utterance in split.held_out],
        labels,
    )
    rungs = climb(paths, contract, held_out, scores, progress)
    files = {name: options.out / name for name in ("parity.json", "scores.csv", "report.html")}
    write_json(records, files["parity.json"], rungs)
    _write_scores(pipeline, contract, options.settings.hop, split, files["scores.csv"])
    times = latencies(paths, pipeline, trials[0].inputs)
    rate = equal_error_rate(scores, labels).rate
    result = Result(
        records=records,
        rungs=rungs,
        artefacts=summaries(paths, times),
        eager_ms=times["eager"],
        equal_error_rate=rate,
        held_out=len(split.held_out),
        files=[*paths.values(), *files.values()],
        notes=(*corpus.notes, *split.notes, _SAME_PART, *_warnings(rate)),
    )
    _write_report(result, contract, scores, labels, files["report.html"])
    return result


def _warnings(rate: float) -> list[str]:
    if rate < 0.4:
        return []
    return [f"an equal error rate of {rate:.0%} is near chance: this scorer has learned nothing"]


def _write_scores(
    pipeline: ScorePipeline, contract: Contract, hop: int, split: Split, path: Path
) -> None:
    """``scores.csv``: every recording with its part, its key, its score and what it means."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for part, utterances in (("train", split.train), ("held_out", split.held_out)):
            for utterance, raw in zip(utterances, score(pipeline, hop, utterances), strict=True):
                line = {
                    "part": part,
                    "speaker": utterance.speaker,
                    "attack": utterance.attack,
                    "key": "bonafide" if utterance.label == 1 else "spoof",
                    **decide(contract, utterance.name, float(raw)).as_dict(),
                }
                if writer is None:
                    writer = csv.DictWriter(file, line)
                    writer.writeheader()
                writer.writerow(line)


def _write_report(
    result: Result, contract: Contract, held_out: Tensor, labels: Tensor, path: Path
) -> None:
    llrs = contract.decision.scale * held_out + contract.decision.offset
    report = Report(
        title="Spoof scorer: parity with the trained model",
        records=result.records,
        versions=contracts.versions(),
        artefacts=result.artefacts,
        eager_ms=result.eager_ms,
        contract=contract,
        trials=Trials(held_out, llrs, labels),
        notes=result.notes,
        ladder=result.rungs,
    )
    write_html(report, path)
