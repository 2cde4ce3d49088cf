"""From a row to its records: agreement first, then time and memory."""

from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.case import Case, PeerMissing, Sides, Target, Work
from benchmarks.measure import Effort, disagreement, interleaved, peak_mb, ratio

_TRACEABLE = 0.5


@dataclass
class Found:
    """What measuring one row has given, as the JSON has it."""

    records: list[dict[str, Any]] = field(default_factory=list)
    forward: list[dict[str, Any]] = field(default_factory=list)
    memory: list[dict[str, Any]] = field(default_factory=list)
    missing: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


def measure_or_report(case: Case, device: str, effort: Effort) -> Found:
    """:func:`measure`; whatever a row raises is its error, and the next row's turn comes."""
    try:
        return measure(case, device, effort)
    except Exception as error:
        line = (str(error).strip().splitlines() or [""])[0]
        where = {"name": case.name, "shape": case.shape, "device": device}
        return Found(error={**where, "reason": f"raises {type(error).__name__}: {line}"})


def measure(case: Case, device: str, effort: Effort) -> Found:
    """Time and memory of a row; an error, and no time, where the implementations disagree."""
    found = Found()
    where = {"name": case.name, "shape": case.shape, "device": device}
    sides = case.make(torch.device(device))
    works = {"ours": sides.ours}
    try:
        if sides.peer is not None:
            works["peer"] = sides.peer()
    except PeerMissing as missing:
        found.missing = {**where, "reason": str(missing)}
    if sides.limit is not None:
        works["limit"] = sides.limit
    apart = _disagreements(case, sides, works)
    if apart:
        found.error = {**where, "reason": apart}
        return found
    both = {name: work.both for name, work in works.items()}
    times = interleaved(both, effort, device)
    # The profiler keeps every allocation; of a step of seconds, made of small ones, for minutes.
    quick_enough = {name: step for name, step in both.items() if min(times[name]) < _TRACEABLE}
    memory = {name: peak_mb(step, device) for name, step in quick_enough.items()}
    limit = case.limit_target.time if case.limit_target else None
    found.records = _records(case, where, times, memory, (case.target.time, limit))
    found.memory = _memory(case, where, memory)
    if sides.ours.leaves:
        forward = {name: work.forward for name, work in works.items()}
        times = interleaved(forward, effort, device)
        found.forward = _records(case, where, times, {}, (case.forward_target, None))
    return found


def _disagreements(case: Case, sides: Sides, works: dict[str, Work]) -> str:
    held = ["peer"] if "peer" in works else []
    if sides.limit_agrees:
        held.append("limit")
    for name in held:
        ours, reference = works["ours"].both(), works[name].both()
        if len(ours) != len(reference):
            return f"has {len(ours)} values and gradients, the {name} {len(reference)}"
        apart = disagreement(ours, reference)
        if not apart <= case.tolerance:
            label = case.peer if name == "peer" else case.limit
            return f"differs from {label} by {apart:.2g}, more than {case.tolerance:.0e}"
    return ""


def _records(
    case: Case,
    where: dict[str, Any],
    times: dict[str, list[float]],
    memory: dict[str, float],
    targets: tuple[float | None, float | None],
) -> list[dict[str, Any]]:
    """Against the peer, and against the limit where that has a target or there is no peer."""
    target, limit = targets
    found = []
    if "peer" in times:
        found.append(_record(case, where, times, memory, "peer", target))
    if "limit" in times and ("peer" not in times or limit is not None):
        found.append(_record(case, where, times, memory, "limit", limit))
    if not found:
        found.append(_record(case, where, times, memory, "", None))
    return found


def _record(
    case: Case,
    where: dict[str, Any],
    times: dict[str, list[float]],
    memory: dict[str, float],
    reference: str,
    target: float | None,
) -> dict[str, Any]:
    """One record; ``ratio`` is to the peer, or to the limit where the record names no peer."""
    milliseconds = {name: 1e3 * sorted(values)[len(values) // 2] for name, values in times.items()}
    found = ratio(times["ours"], times[reference]) if reference else None
    to_peer = reference == "peer"
    return {
        **where,
        "ours_ms": milliseconds["ours"],
        "peer": case.peer if to_peer else None,
        "peer_ms": milliseconds["peer"] if to_peer else None,
        "ratio": found.median if found else None,
        "ratio_ci": [found.low, found.high] if found else None,
        "ours_mb": memory.get("ours"),
        "peer_mb": memory.get("peer") if to_peer else None,
        "limit": case.limit if "limit" in times else None,
        "limit_ms": milliseconds.get("limit"),
        "target": target,
        "met": found.low <= target if found and target is not None else None,
    }


def _memory(case: Case, where: dict[str, Any], memory: dict[str, float]) -> list[dict[str, Any]]:
    found = []
    for name, target in (("peer", case.target), ("limit", case.limit_target)):
        if target is None or name not in memory:
            continue
        label = case.peer if name == "peer" else case.limit
        found += _memory_target(where, memory["ours"], memory[name], label, target)
    return found


def _memory_target(
    where: dict[str, Any], ours: float, reference: float, label: str, target: Target
) -> list[dict[str, Any]]:
    common = {**where, "ours_mb": ours, "reference": label, "reference_mb": reference}
    if target.memory is not None:
        # To a hundredth: beside the large tensors lie scalars and lengths of a few bytes.
        share = round(ours / max(reference, 1e-9), 2)
        return [{**common, "ratio": share, "target": target.memory, "met": share <= target.memory}]
    if target.memory_mb is not None:
        return [
            {
                **common,
                "ratio": ours / max(reference, 1e-9),
                "target_mb": target.memory_mb,
                "met": ours <= target.memory_mb,
            }
        ]
    return []
