"""From a trained module to proven files: save through every backend, compare, time, summarise.

What the demos, ``python -m export model`` and :func:`export.ship.ship` share.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

from export.backends import Backend, Inputs, Source, all_backends, backend_of
from export.budget import Budget
from export.catalog import Row, draw
from export.corpus import Utterance
from export.jobs.latency import medians, use_one_thread
from export.jobs.live import live_draws
from export.parity import check as parity
from export.parity.record import Record
from export.progress import Progress, silent, tracked
from export.report.result import ArtefactSummary
from export.runtime.contract import AnyContract
from export.runtime.scorer import load_scorer
from scriptable import CachedScorePipeline, ScorePipeline, average_windows, cut_windows

MOST_COMPARED = 40

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class TrialList:
    """Trials as the trained module scores them, and how a saved file does."""

    names: Sequence[str]
    labels: Tensor
    """``[T]``, 1 for bona fide, or for the same speaker; all alike where nothing is known."""
    scores: Tensor
    """Raw scores ``[T]`` by the trained module."""
    run: Callable[[Path, Sequence[int]], Tensor]
    """Raw scores by a saved file, of the trials of these indices."""
    compared: Sequence[int]
    """Indices of the trials that every file scores."""


def scorer_trials(utterances: Sequence[Utterance], scores: Tensor) -> TrialList:
    """Recordings with the trained scorer's raw scores ``[U]``; files score at most 40 of them."""

    def run(path: Path, chosen: Sequence[int]) -> Tensor:
        scorer = load_scorer(path)
        found = [scorer.score_waveform(utterances[i].waveform) for i in chosen]
        return torch.tensor(found, dtype=torch.float64)

    names = [utterance.name for utterance in utterances]
    spread = evenly(range(len(utterances)), MOST_COMPARED)
    return TrialList(names, labels_of(utterances), scores, run, spread)


def evenly(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most so many of them, evenly over the list, so that both classes are there."""
    last = len(items) - 1
    if last < most:
        return list(items)
    return [items[round(i * last / (most - 1))] for i in range(most)]


def writers() -> list[Backend]:
    """The backends that write a file of their own."""
    return [backend for backend in all_backends().values() if not backend.emulated]


def artefact_paths(out: Path, stem: str, use: Sequence[Backend] | None = None) -> dict[str, Path]:
    """Where the artefact of each backend goes; backends that are not installed are left out."""
    return {
        backend.name: out / f"{stem}{backend.suffix}"
        for backend in (writers() if use is None else use)
        if not backend.unavailable()
    }


def scorer_row(pipeline: ScorePipeline, stem: str) -> Row:
    """How a scorer is drawn for parity: one window, made up or of real speech."""
    n = pipeline.num_samples

    def window(generator: Generator) -> Inputs:
        return (draw.waveform(generator, 1, n),)

    live, spoken = live_draws(pipeline) if isinstance(pipeline, CachedScorePipeline) else ({}, {})
    return Row(
        entry="ScorePipeline",
        variant=stem,
        module=lambda: pipeline,
        methods={"forward": window, **live},
        speech={"forward": lambda waveform: (cut_windows(waveform, n, n)[:1],), **spoken},
        on_device=True,
    )


def source_of(
    row: Row, module: nn.Module, contract: AnyContract, dynamic_batch: bool = False
) -> Source:
    """The module as the backends save it."""
    methods = {method: row.draw(method, 0) for method in row.methods}
    # Only a scorer of one method leaves the batch open: the others compare one with one.
    dynamic = dynamic_batch and len(methods) == 1
    return Source(module, methods, contract.model_dump_json(indent=1), dynamic)


def export_each(
    out: Path,
    row: Row,
    source: Source,
    trials: list[parity.Trial],
    use: Sequence[Backend],
    progress: Progress,
    budget: Budget,
) -> Iterator[list[Record]]:
    """Save through each backend in turn and compare its file with the trained model."""
    for backend in tracked(use, lambda backend: f"exporting {backend.name}", progress):
        path = out / f"{row.variant}{backend.suffix}"
        yield parity.check_backend(row, backend, source, trials, path, budget)


def runnable(paths: Mapping[str, Path]) -> list[str]:
    """Kinds of file, by backend and precision, that are there and run on this host."""
    return [kind for kind, path in paths.items() if backend_of(path).runnable and path.exists()]


def latencies(
    paths: Mapping[str, Path], names: Sequence[str], module: nn.Module, inputs: Inputs
) -> dict[str, float]:
    """Median milliseconds per window on one thread: eager first, then files of these kinds."""
    use_one_thread()
    calls: dict[str, Callable[[], object]] = {"eager": partial(_eager, module, inputs)}
    for name in names:
        backend = backend_of(paths[name])
        if not backend.unmeasured:
            calls[name] = partial(backend.load(paths[name]).run, "forward", inputs)
    return medians(calls)


def _eager(module: nn.Module, inputs: Inputs) -> Tensor:
    with torch.inference_mode():
        result: Tensor = module(*inputs)
    return result


def summaries(
    paths: Mapping[str, Path], times: Mapping[str, float], records: Sequence[Record]
) -> list[ArtefactSummary]:
    """One line for each file that was written or tried."""
    tried = {record.file_kind for record in records}
    return [
        _summary(kind, path, times.get(kind), records)
        for kind, path in paths.items()
        if kind in tried
    ]


def _summary(
    kind: str, path: Path, latency_ms: float | None, records: Sequence[Record]
) -> ArtefactSummary:
    backend = backend_of(path)
    if not path.exists():
        return ArtefactSummary(path.name, kind, 0, None, "not written")
    size = parity.artefact_bytes(path)
    slow = max((r.slow_pass or 0.0 for r in records if r.file_kind == kind), default=0.0)
    once = f"one pass took {slow:.0f} s" if slow else ""
    note = "" if latency_ms is not None else backend.not_run_reason or backend.unmeasured or once
    return ArtefactSummary(path.name, kind, size, latency_ms, note)


def score(
    pipeline: ScorePipeline,
    hop: int,
    utterances: Sequence[Utterance],
    progress: Progress = silent,
) -> Tensor:
    """Raw score of each utterance by the eager pipeline, ``[U]`` in float64; window by window."""
    scores = []
    with torch.no_grad():
        for utterance in tracked(utterances, "scoring with the trained model", progress):
            windows = cut_windows(utterance.waveform, pipeline.num_samples, hop)
            found = [pipeline(window.unsqueeze(0)) for window in windows]
            scores.append(average_windows(torch.cat(found)))
    return torch.tensor(scores, dtype=torch.float64)


def labels_of(utterances: Sequence[Utterance]) -> Tensor:
    """Labels ``[U]``, 1 for bona fide."""
    return torch.tensor([utterance.label for utterance in utterances])
