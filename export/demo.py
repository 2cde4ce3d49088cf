"""The main job: train a scorer, export it to every backend, prove each file, and report."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Generator, Tensor

from export import contract as contracts
from export import parity
from export.audio import read_waveform
from export.backend import Backend, Inputs, Source, backends, replacing
from export.catalog import Row, draw
from export.contract import Audio, Contract, Decision, Windows
from export.corpus import (
    Corpus,
    Progress,
    Split,
    Utterance,
    from_protocol,
    from_speech_folder,
    split_by_speaker,
    synthetic_corpus,
)
from export.errors import InputError
from export.ladder import Rung, compare
from export.latency import medians, use_one_thread
from export.parity import Record
from export.parity_json import write_json
from export.report import ArtefactSummary, Report, Trials, write_html
from export.scorer import decide, load_scorer
from export.speech import speech_files
from export.training import HEADS, Settings, labels_of, score, train
from scriptable import ScorePipeline, cut_windows, equal_error_rate, fit_affine_calibration

STEM = "spoof_scorer"
_HELD_OUT = 0.3
_PRIOR = 0.5
_SAME_PART = (
    "calibration and threshold were chosen on the held-out recordings that the figures are from: "
    "on new recordings expect worse"
)
_LADDER_TRIALS = 40


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    out: Path
    settings: Settings
    protocol: Path | None = None
    audio: Path | None = None
    speech: Path | None = None
    limit: int = 400
    dynamic_batch: bool = False


@dataclass(frozen=True)
class Result:
    """What the demo made."""

    records: list[Record]
    rungs: list[Rung]
    artefacts: list[ArtefactSummary]
    eager_ms: float
    equal_error_rate: float
    held_out: int
    files: list[Path]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every artefact agrees with the trained model, tensors and decisions."""
        failed = any(record.status == "fail" for record in self.records)
        return not failed and not any(rung.flips for rung in self.rungs)


def run(options: Options, progress: Progress) -> Result:
    """Train, export, prove and report."""
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: is no folder; give another --out")
    corpus = read_corpus(options, progress)
    split = split_by_speaker(corpus.utterances, _HELD_OUT, options.settings.seed)
    pipeline = train(options.settings, split.train, progress)
    labels = labels_of(split.held_out)
    scores = score(pipeline, options.settings.hop, split.held_out)
    contract = make_contract(pipeline, options.settings, scores, labels)
    trials, records = _export(options, pipeline, contract, split, progress)
    paths = artefact_paths(options.out)
    rungs = _climb(paths, contract, split.held_out, scores, progress)
    files = {name: options.out / name for name in ("parity.json", "scores.csv", "report.html")}
    write_json(records, files["parity.json"], rungs)
    _write_scores(pipeline, contract, options.settings.hop, split, files["scores.csv"])
    latencies = _latencies(paths, pipeline, trials[0].inputs)
    rate = equal_error_rate(scores, labels).rate
    result = Result(
        records=records,
        rungs=rungs,
        artefacts=[_summary(backends()[n], p, latencies.get(n)) for n, p in paths.items()],
        eager_ms=latencies["eager"],
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


def read_corpus(options: Options, progress: Progress) -> Corpus:
    """The corpus that the options name."""
    rate = options.settings.sample_rate
    if options.settings.head not in HEADS:
        raise InputError(f"head: expected one of {', '.join(HEADS)}, got {options.settings.head}")
    if (options.protocol is None) != (options.audio is None):
        raise InputError("protocol: give --protocol and --audio together")
    if options.protocol is not None and options.speech is not None:
        raise InputError("speech: give either --speech or --protocol with --audio, not both")
    if options.protocol is not None and options.audio is not None:
        return from_protocol(
            options.protocol, options.audio, rate, limit=options.limit, progress=progress
        )
    if options.speech is not None:
        return from_speech_folder(options.speech, rate, limit=options.limit, progress=progress)
    return synthetic_corpus(options.settings.seed, sample_rate=rate, progress=progress)


def make_contract(
    pipeline: ScorePipeline, settings: Settings, scores: Tensor, labels: Tensor
) -> Contract:
    """Calibrate on the held-out part and put the threshold at its equal error rate."""
    try:
        calibration = fit_affine_calibration(scores, labels, _PRIOR)
    except ValueError as error:
        raise InputError(f"held-out {error}; train on other recordings or more epochs") from error
    if calibration.scale <= 0:
        raise InputError(
            "held-out scores: bona fide does not score higher than spoof; "
            "train on more recordings or for more epochs"
        )
    operating_point = equal_error_rate(calibration.scale * scores + calibration.offset, labels)
    return Contract(
        model=f"{type(pipeline.frontend).__name__} + {type(pipeline.encoder).__name__} + "
        f"{type(pipeline.head).__name__}",
        audio=Audio(sample_rate=settings.sample_rate),
        windows=Windows(num_samples=settings.num_samples, hop=settings.hop),
        decision=Decision(
            scale=calibration.scale,
            offset=calibration.offset,
            prior=_PRIOR,
            threshold=operating_point.threshold,
            operating_point=f"equal error rate on {len(scores)} held-out recordings",
        ),
        versions=contracts.versions(),
        weights_sha256=contracts.weights_sha256(pipeline.state_dict()),
    )


def artefact_paths(out: Path) -> dict[str, Path]:
    """Where the artefact of each backend goes; backends that are not installed are left out."""
    return {
        name: out / f"{STEM}{backend.suffix}"
        for name, backend in backends().items()
        if not backend.unavailable()
    }


def _export(
    options: Options,
    pipeline: ScorePipeline,
    contract: Contract,
    split: Split,
    progress: Progress,
) -> tuple[list[parity.Trial], list[Record]]:
    """Save through every backend and compare each file with the trained model."""
    n = options.settings.num_samples
    row = Row(
        entry="ScorePipeline",
        variant=STEM,
        module=lambda: pipeline,
        methods={"forward": lambda g: _random_window(g, n)},
        speech={"forward": lambda waveform: (cut_windows(waveform, n, n)[:1],)},
        on_device=True,
    )
    trials = parity.make_trials(row, pipeline, _audio_for_parity(options, split))
    source = Source(
        pipeline,
        {"forward": row.draw("forward", 0)},
        contract.model_dump_json(indent=1),
        options.dynamic_batch,
    )
    records: list[Record] = []
    for done, (name, path) in enumerate(artefact_paths(options.out).items()):
        progress(f"exporting {name}", done, len(backends()))
        records += parity.check_backend(row, backends()[name], source, trials, path)
    for name in backends().keys() - artefact_paths(options.out).keys():
        records += parity.check_backend(row, backends()[name], source, trials, options.out)
    progress("exporting", len(backends()), len(backends()))
    return trials, records


def _random_window(generator: Generator, num_samples: int) -> Inputs:
    return (draw.waveform(generator, 1, num_samples),)


def _audio_for_parity(options: Options, split: Split) -> Tensor:
    """Real speech where it is at hand, else a held-out recording."""
    files = speech_files()
    if files:
        return read_waveform(files[0], options.settings.sample_rate).waveform
    return split.held_out[0].waveform


def _climb(
    paths: Mapping[str, Path],
    contract: Contract,
    held_out: Sequence[Utterance],
    expected: Tensor,
    progress: Progress,
) -> list[Rung]:
    """Score held-out recordings with each runnable file and compare the decisions."""
    chosen = _spread(len(held_out), _LADDER_TRIALS)
    names = [held_out[i].name for i in chosen]
    labels = labels_of([held_out[i] for i in chosen])
    rungs = []
    runnable = [name for name in paths if backends()[name].runnable and paths[name].exists()]
    for done, name in enumerate(runnable):
        progress("scoring with every file", done, len(runnable))
        scorer = load_scorer(paths[name])
        actual = [scorer.score_waveform(held_out[i].waveform) for i in chosen]
        rungs.append(
            compare(
                paths[name].name,
                name,
                backends()[name].tolerance,
                contract,
                names,
                labels,
                expected[chosen],
                torch.tensor(actual, dtype=torch.float64),
            )
        )
    progress("scoring with every file", len(runnable), len(runnable))
    return rungs


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` indices, spread evenly over ``count`` so that both classes are there."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]


def _latencies(
    paths: Mapping[str, Path], pipeline: ScorePipeline, inputs: Inputs
) -> dict[str, float]:
    """Median milliseconds per window on one thread, eager first."""
    use_one_thread()
    calls: dict[str, Callable[[], object]] = {"eager": partial(_eager, pipeline, inputs)}
    for name, path in paths.items():
        backend = backends()[name]
        if backend.runnable and not backend.unmeasured and path.exists():
            calls[name] = partial(backend.load(path).run, "forward", inputs)
    return medians(calls)


def _eager(pipeline: ScorePipeline, inputs: Inputs) -> Tensor:
    with torch.inference_mode():
        return pipeline(*inputs)


def _summary(backend: Backend, path: Path, latency_ms: float | None) -> ArtefactSummary:
    size = parity.artefact_bytes(path) if path.exists() else 0
    note = "" if latency_ms is not None else backend.not_run_reason or backend.unmeasured
    return ArtefactSummary(path.name, backend.name, size, latency_ms, note)


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
    )
    write_html(report, path)
