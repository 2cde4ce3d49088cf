"""The demo's scorer of streams: train on parts from anywhere, prove, and report over time."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from export.corpus import three_parts
from export.demo.options import HELD_OUT, Options, audio_for_parity, read_corpus
from export.demo.training import train_stream
from export.jobs.calibration import write_decisions
from export.jobs.publish import Product, publish
from export.jobs.steps import labels_of
from export.jobs.streaming import (
    ELAPSED,
    after,
    alarms,
    elapsed_chunks,
    llrs_over_time,
    make_stream_contract,
    poisson_upper,
    scores_over_time,
    stream_row,
    stream_trials,
)
from export.progress import Progress
from export.report.result import Result
from export.report.stream_plots import RateAt, llr_over_time, on_a_grid, rate_at, rate_over_time
from export.report.trials import Trials
from export.runtime.contract import StreamingContract
from export.runtime.guards import observed
from scriptable import SPOOFING_COSTS, equal_error_rate

STEM = "stream_scorer"


def run(options: Options, progress: Progress) -> Result:
    """Train, export, prove and report."""
    corpus = read_corpus(options, progress)
    settings = options.settings
    parts = three_parts(corpus.utterances, HELD_OUT, settings.seed)
    pipeline = train_stream(settings, parts.train, progress)
    named = {"train": parts.train, "calibrate": parts.calibrate, "held_out": parts.test}
    if parts.calibrate is parts.test:
        del named["calibrate"]
    over_time = {name: scores_over_time(pipeline, part, progress) for name, part in named.items()}
    contract, remarks = make_stream_contract(
        pipeline,
        settings.sample_rate,
        over_time.get("calibrate", over_time["held_out"]),
        labels_of(parts.calibrate),
        options.threshold.costs(SPOOFING_COSTS).prior,
        options.false_alarms_per_hour,
        observed((utterance.waveform for utterance in parts.train), settings.sample_rate),
    )
    times = elapsed_chunks(pipeline, settings.sample_rate)
    most = times[ELAPSED[-1]]
    final = {name: after(scores, most) for name, scores in over_time.items()}
    scored = [
        (name, utterance, float(value))
        for name, part in named.items()
        for utterance, value in zip(part, final[name], strict=True)
    ]
    product = Product(
        title="Scorer of streams: parity with the trained model",
        module=pipeline,
        contract=contract,
        row=stream_row(pipeline, STEM),
        speech=audio_for_parity(options, parts.test),
        trials=stream_trials(parts.test, final["held_out"], most),
        shown=shown(contract, over_time["held_out"], labels_of(parts.test), times),
        write_scores=partial(write_decisions, scored, contract),
        notes=(*corpus.notes, *parts.notes, *remarks),
    )
    return publish(product, options.out, progress)


def shown(
    contract: StreamingContract,
    scores: Sequence[Tensor],
    labels: Tensor,
    times: dict[float, int],
) -> Trials:
    """What the report shows of held-out streams: after the longest time, and over time."""
    chunk_seconds = contract.stream.chunk_samples / contract.audio.sample_rate
    most = max(times.values())
    first = contract.decision.calibration[0].samples // contract.stream.chunk_samples
    llrs = [llrs_over_time(contract, score[:most]) for score in scores]
    decided = torch.tensor([len(llr) > 0 for llr in llrs])
    kept = [llr for llr in llrs if len(llr)]
    marked = [rate_at(k * chunk_seconds, after(scores, k), labels) for k in times.values()]
    curve = {
        k * chunk_seconds: equal_error_rate(after(scores, k), labels).rate
        for k in range(min(times.values()), most + 1)
    }
    seconds = [k * chunk_seconds for k in range(first, most + 1)]
    grid = on_a_grid(kept, len(seconds))
    return Trials(
        after([score for score, is_in in zip(scores, decided, strict=True) if is_in], most),
        grid[:, -1],
        labels[decided],
        figures=(
            llr_over_time(seconds, grid, labels[decided], contract.decision.threshold),
            rate_over_time(curve, marked),
        ),
        lines=(*_rate_lines(marked), _alarm_line(contract, scores, labels)),
    )


def _rate_lines(marked: Sequence[RateAt]) -> list[tuple[str, str]]:
    return [
        (
            f"Equal error rate after {at.seconds:.2f} s",
            f"{at.rate:.2%} (95 % interval {at.low:.2%} to {at.high:.2%})",
        )
        for at in marked
    ]


def _alarm_line(
    contract: StreamingContract, scores: Sequence[Tensor], labels: Tensor
) -> tuple[str, str]:
    """False alarms on held-out streams, over their whole length."""
    real = [score for score, label in zip(scores, labels.tolist(), strict=True) if label == 1]
    seconds = sum(map(len, real)) * contract.stream.chunk_samples / contract.audio.sample_rate
    count = alarms([llrs_over_time(contract, s) for s in real], contract.decision.threshold)
    hours = seconds / 3600
    return (
        "False alarms on bona fide streams",
        f"{count} in {hours:.3g} h: {count / hours:.3g} per hour "
        f"(95 % confidence: below {poisson_upper(count) / hours:.3g})",
    )
