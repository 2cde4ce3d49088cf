"""Interleaved timing, peak tensor memory, and whether two implementations agree."""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Step = Callable[[], tuple[Tensor, ...]]
"""One forward and backward; gives the value and the gradients."""


@dataclass(frozen=True)
class Comparison:
    """Two implementations of the same work, measured in the same rounds."""

    ours_ms: float
    peer_ms: float
    ratio: float
    ratio_ci: tuple[float, float]
    ours_mb: float
    peer_mb: float


def compare(ours: Step, peer: Step, rounds: int) -> Comparison:
    """Median times, and the median of the per-round ratios with its 95 % bootstrap interval."""
    for step in (ours, peer):
        for _ in range(2):
            step()
    times: list[tuple[float, float]] = []
    for number in range(rounds):
        # Whoever runs second finds a warmer cache: take turns.
        if number % 2:
            peer_s, ours_s = _seconds(peer), _seconds(ours)
        else:
            ours_s, peer_s = _seconds(ours), _seconds(peer)
        times.append((ours_s, peer_s))
    ratios = [a / b for a, b in times]
    return Comparison(
        1e3 * statistics.median(a for a, _ in times),
        1e3 * statistics.median(b for _, b in times),
        statistics.median(ratios),
        bootstrap(ratios),
        peak_mb(ours),
        peak_mb(peer),
    )


def bootstrap(ratios: list[float], draws: int = 1000) -> tuple[float, float]:
    """95 % interval of the median."""
    source = random.Random(0)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(draws))
    return medians[int(0.025 * draws)], medians[int(0.975 * draws)]


def peak_mb(step: Step) -> float:
    """Highest sum of tensor allocations during one step, in MB, inputs not counted."""
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        step()
    results = profile.kineto_results
    assert results is not None
    held = peak = 0
    events = [event for event in results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 1e6


def disagreement(ours: Step, peer: Step) -> float:
    """Largest difference of values and gradients, relative to max(1, |peer|)."""
    worst = 0.0
    for a, b in zip(ours(), peer(), strict=True):
        scale = max(1.0, float(b.detach().abs().max()))
        worst = max(worst, float((a - b).detach().abs().max()) / scale)
    return worst


def _seconds(step: Step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start
