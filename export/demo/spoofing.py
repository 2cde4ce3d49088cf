"""The main job: train a scorer, export it to every backend, prove each file, and report."""

from functools import partial

from export.corpus import three_parts
from export.demo import speaker, streaming
from export.demo.options import HELD_OUT, Options, audio_for_parity, check, read_corpus, reduction
from export.demo.training import train
from export.jobs.calibration import write_decisions
from export.jobs.publish import Product, publish
from export.jobs.spoofing_contract import make_contract
from export.jobs.steps import labels_of, score, scorer_row, scorer_trials
from export.progress import Progress
from export.report.result import Result
from export.runtime.guards import observed
from scriptable import equal_error_rate

STEM = "spoof_scorer"


def run(options: Options, progress: Progress) -> Result:
    """Train, export, prove and report."""
    check(options)
    if options.task == "streaming":
        return streaming.run(options, progress)
    if options.task != "spoofing":
        return speaker.run(options, progress)
    corpus = read_corpus(options, progress)
    settings = options.settings
    parts = three_parts(corpus.utterances, HELD_OUT, settings.seed)
    # Before the training: its audio may be unreadable.
    reduced = reduction(options, parts.train)
    pipeline = train(settings, parts.train, progress)
    named = {"train": parts.train, "calibrate": parts.calibrate, "held_out": parts.test}
    if parts.calibrate is parts.test:
        del named["calibrate"]
    raw = {name: score(pipeline, settings.hop, part) for name, part in named.items()}
    contract = make_contract(
        pipeline,
        settings.sample_rate,
        settings.hop,
        raw.get("calibrate", raw["held_out"]),
        labels_of(parts.calibrate),
        options.threshold,
        observed((utterance.waveform for utterance in parts.train), settings.sample_rate),
    )
    scored = [
        (name, utterance, float(value))
        for name, part in named.items()
        for utterance, value in zip(part, raw[name], strict=True)
    ]
    rate = equal_error_rate(raw["held_out"], labels_of(parts.test)).rate
    product = Product(
        title="Spoof scorer: parity with the trained model",
        module=pipeline,
        contract=contract,
        row=scorer_row(pipeline, STEM),
        speech=audio_for_parity(options, parts.test),
        reduction=reduced,
        trials=scorer_trials(parts.test, raw["held_out"]),
        write_scores=partial(write_decisions, scored, contract),
        notes=(*corpus.notes, *parts.notes, *_warnings(rate)),
    )
    return publish(product, options.out, progress, dynamic_batch=options.dynamic_batch)


def _warnings(rate: float) -> list[str]:
    if rate < 0.4:
        return []
    return [f"an equal error rate of {rate:.0%} is near chance: this scorer has learned nothing"]
