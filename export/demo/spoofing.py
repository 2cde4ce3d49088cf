"""The main job: train a scorer, export it to every backend, prove each file, and report."""

import csv
from pathlib import Path

from export.corpus import Split, split_by_speaker
from export.demo import speaker
from export.demo.options import HELD_OUT, Options, audio_for_parity, check, read_corpus
from export.demo.training import train
from export.files import replacing
from export.jobs.publish import Product, publish
from export.jobs.spoofing_contract import make_contract
from export.jobs.steps import (
    labels_of,
    score,
    scorer_row,
    scorer_trials,
)
from export.progress import Progress
from export.report.result import Result
from export.runtime.contract import Contract
from export.runtime.guards import observed
from export.runtime.scorer import decide
from scriptable import ScorePipeline, equal_error_rate

STEM = "spoof_scorer"
_SAME_PART = (
    "calibration and threshold were chosen on the held-out recordings that the figures are from: "
    "on new recordings expect worse"
)


def run(options: Options, progress: Progress) -> Result:
    """Train, export, prove and report."""
    check(options)
    if options.task != "spoofing":
        return speaker.run(options, progress)
    corpus = read_corpus(options, progress)
    split = split_by_speaker(corpus.utterances, HELD_OUT, options.settings.seed)
    pipeline = train(options.settings, split.train, progress)
    labels = labels_of(split.held_out)
    scores = score(pipeline, options.settings.hop, split.held_out)
    settings = options.settings
    contract = make_contract(
        pipeline,
        settings.sample_rate,
        settings.hop,
        scores,
        labels,
        options.threshold,
        observed((utterance.waveform for utterance in split.train), settings.sample_rate),
    )
    product = Product(
        title="Spoof scorer: parity with the trained model",
        module=pipeline,
        contract=contract,
        row=scorer_row(pipeline, STEM),
        speech=audio_for_parity(options, split.held_out),
        trials=scorer_trials(split.held_out, scores),
        write_scores=lambda path: _write_scores(pipeline, contract, settings.hop, split, path),
        notes=(
            *corpus.notes,
            *split.notes,
            _SAME_PART,
            *_warnings(equal_error_rate(scores, labels).rate),
        ),
    )
    return publish(product, options.out, progress, dynamic_batch=options.dynamic_batch)


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
