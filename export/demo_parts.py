"""What the demos of all tasks share: options, result, corpus, export with proof, and timing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from export import parity
from export.audio import read_waveform
from export.backend import Backend, Inputs, Source, backends
from export.catalog import Row
from export.contract import AnyContract
from export.corpus import (
    Corpus,
    Progress,
    Utterance,
    from_protocol,
    from_speech_folder,
    synthetic_corpus,
)
from export.errors import InputError
from export.ladder import Rung
from export.latency import medians, use_one_thread
from export.parity import Record
from export.report import ArtefactSummary
from export.speech import speech_files
from export.threshold import ThresholdChoice
from export.training import HEADS, Settings

HELD_OUT = 0.3
TASKS = ("spoofing", "verification", "sasv")


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
    task: str = "spoofing"
    threshold: ThresholdChoice = field(default_factory=ThresholdChoice)


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
    unit: str = "recordings"
    """What is counted by ``held_out``."""

    @property
    def passed(self) -> bool:
        """Whether every artefact agrees with the trained model, tensors and decisions."""
        failed = any(record.status == "fail" for record in self.records)
        return not failed and not any(rung.flips for rung in self.rungs)


def check(options: Options) -> None:
    """Refuse what cannot be done before anything is read."""
    if options.task not in TASKS:
        raise InputError(f"task: expected one of {', '.join(TASKS)}, got {options.task}")
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: is no folder; give another --out")


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


def artefact_paths(out: Path, stem: str) -> dict[str, Path]:
    """Where the artefact of each backend goes; backends that are not installed are left out."""
    return {
        name: out / f"{stem}{backend.suffix}"
        for name, backend in _writers().items()
        if not backend.unavailable()
    }


def _writers() -> dict[str, Backend]:
    """The backends that write a file of their own."""
    return {name: backend for name, backend in backends().items() if not backend.emulated}


def export_all(
    options: Options,
    row: Row,
    module: nn.Module,
    contract: AnyContract,
    stem: str,
    speech: Tensor,
    progress: Progress,
) -> tuple[list[parity.Trial], list[Record]]:
    """Save through every backend and compare each file with the trained model."""
    trials = parity.make_trials(row, module, speech)
    methods = {method: row.draw(method, 0) for method in row.methods}
    # Only a scorer of one method leaves the batch open: the others compare one with one.
    dynamic = options.dynamic_batch and len(methods) == 1
    source = Source(module, methods, contract.model_dump_json(indent=1), dynamic)
    records: list[Record] = []
    paths = artefact_paths(options.out, stem)
    for done, (name, path) in enumerate(paths.items()):
        progress(f"exporting {name}", done, len(paths))
        records += parity.check_backend(row, backends()[name], source, trials, path)
    for name in _writers().keys() - paths.keys():
        records += parity.check_backend(row, backends()[name], source, trials, options.out)
    progress("exporting", len(paths), len(paths))
    return trials, records


def audio_for_parity(options: Options, held_out: Sequence[Utterance]) -> Tensor:
    """Real speech where it is at hand, else a held-out recording."""
    files = speech_files()
    if files:
        return read_waveform(files[0], options.settings.sample_rate).waveform
    return held_out[0].waveform


def runnable(paths: Mapping[str, Path]) -> list[str]:
    """Names of the backends whose file is there and runs on this host."""
    return [name for name in paths if backends()[name].runnable and paths[name].exists()]


def latencies(paths: Mapping[str, Path], module: nn.Module, inputs: Inputs) -> dict[str, float]:
    """Median milliseconds per window on one thread, eager first."""
    use_one_thread()
    calls: dict[str, Callable[[], object]] = {"eager": partial(_eager, module, inputs)}
    for name in runnable(paths):
        backend = backends()[name]
        if not backend.unmeasured:
            calls[name] = partial(backend.load(paths[name]).run, "forward", inputs)
    return medians(calls)


def _eager(module: nn.Module, inputs: Inputs) -> Tensor:
    with torch.inference_mode():
        result: Tensor = module(*inputs)
    return result


def summaries(paths: Mapping[str, Path], times: Mapping[str, float]) -> list[ArtefactSummary]:
    """One line for each file."""
    return [_summary(backends()[name], path, times.get(name)) for name, path in paths.items()]


def _summary(backend: Backend, path: Path, latency_ms: float | None) -> ArtefactSummary:
    size = parity.artefact_bytes(path) if path.exists() else 0
    note = "" if latency_ms is not None else backend.not_run_reason or backend.unmeasured
    return ArtefactSummary(path.name, backend.name, size, latency_ms, note)
