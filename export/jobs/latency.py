"""Latency of artefacts beside eager, one thread, interleaved so that both see the same machine."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def medians(
    calls: Mapping[str, Callable[[], object]], rounds: int = 15, budget: float = 4.0
) -> dict[str, float]:
    """Median milliseconds of each call over interleaved rounds after one warm-up.

    A call that has used up ``budget`` seconds is left out of the further rounds.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            if sum(times[name]) < budget:
                start = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def use_one_thread() -> None:
    """One thread for torch and for ExecuTorch's delegates, from here on."""
    torch.set_num_threads(1)
    from export.backends import native_notices_hidden, quiet_executorch

    try:
        with quiet_executorch():
            from executorch.extension.pybindings import portable_lib
    except ImportError:
        return
    with native_notices_hidden():
        portable_lib._unsafe_reset_threadpool(1)
