"""Interleaved timing, peak tensor memory, and whether two implementations agree."""

import gc
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from export.backends import native_notices_hidden

Step = Callable[[], object]

_SHORTEST = 1e-3
_SLOW = 0.1


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds, and the seconds that one row's rounds may take."""

    rounds: int
    seconds: float
    fewest: int = 5


FULL = Effort(rounds=60, seconds=1.5)
QUICK = Effort(rounds=15, seconds=0.3, fewest=3)


def interleaved(
    steps: Mapping[str, Step], effort: Effort, device: str = "cpu"
) -> dict[str, list[float]]:
    """Seconds of each step in each round; steps shorter than a millisecond are repeated within."""
    repeats = {name: _repeats(step, device) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for number in range(effort.rounds):
            if number >= effort.fewest and time.perf_counter() - start > effort.seconds:
                break
            # Whoever runs second finds a warmer cache: take turns.
            order.append(order.pop(0))
            for name in order:
                times[name].append(_seconds(steps[name], repeats[name], device))
    finally:
        gc.enable()
    return times


def _repeats(step: Step, device: str) -> int:
    once = _seconds(step, 1, device)
    if once < _SLOW:
        once = min(_seconds(step, 1, device) for _ in range(2))
    return max(1, min(200, int(_SHORTEST / max(once, 1e-7))))


def _seconds(step: Step, repeats: int, device: str) -> float:
    # One thread works on the processor: its own time leaves out what other programs take.
    clock = time.perf_counter if device == "cuda" else time.process_time
    start = clock()
    for _ in range(repeats):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    return (clock() - start) / repeats


@dataclass(frozen=True)
class Ratio:
    """Median of per-round ratios with its 95 % interval."""

    median: float
    low: float
    high: float


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Ours over theirs, round by round."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Ratio(statistics.median(ratios), *bootstrap(ratios))


def bootstrap(ratios: Sequence[float], draws: int = 1000) -> tuple[float, float]:
    """95 % interval of the median."""
    source = random.Random(0)
    medians = sorted(statistics.median(source.choices(ratios, k=len(ratios))) for _ in range(draws))
    return medians[int(0.025 * draws)], medians[int(0.975 * draws)]


def peak_mb(step: Step, device: str = "cpu") -> float:
    """Highest sum of tensor allocations during one step, in MB, inputs not counted."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    with (
        native_notices_hidden(),
        torch.autograd.profiler.profile(profile_memory=True) as profile,
    ):
        step()
    results = profile.kineto_results
    assert results is not None
    held = peak = 0
    events = [event for event in results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 1e6


def disagreement(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Largest difference of values and gradients, relative to the reference's largest, or to 1.

    The value is a mean or a sum and is held to max(1, |reference|); a gradient is held to its own
    largest element, since means have small gradients (and to a hundredth of the largest of all
    gradients, for those that are zero but for rounding). Anything that is not finite disagrees.
    """
    worst = 0.0
    largest = [float(b.detach().abs().max()) for b in theirs]
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if a.shape != b.shape:
            return float("inf")
        scale = max(largest[number], 1.0 if number == 0 else 1e-2 * max(largest[1:]))
        apart = (a.detach().double() - b.detach().double()).abs().max() / max(scale, 1e-30)
        worst = max(worst, float(torch.nan_to_num(apart, nan=torch.inf)))
    return worst
