"""Compare what an artefact answers with what eager answers."""

import math

import torch
from torch import Tensor

from export.backends import Backend, Inputs
from export.catalog import Row
from export.parity.record import Record, Status, Trial

NOT_REPEATED = "a second run gives another result"


def compare(
    row: Row,
    backend: Backend,
    trial: Trial,
    actual: Inputs,
    again: Inputs,
    size: int,
    seconds: float,
) -> Record:
    """What an artefact answered twice, held against eager's answer."""
    reason = difference(actual, trial.expected)
    if not reason and not all(map(_identical, actual, again)):
        reason = NOT_REPEATED
    if reason:
        return empty(row, backend, trial, "fail", reason, size, seconds)
    error, tolerance, worst = 0.0, 0.0, -math.inf
    for result, expected in zip(actual, trial.expected, strict=True):
        this_error = _max_error(result, expected)
        this_tolerance = _tolerance(expected, backend.tolerance)
        if this_error - this_tolerance > worst:
            error, tolerance, worst = this_error, this_tolerance, this_error - this_tolerance
    return Record(
        row.entry,
        row.variant,
        trial.method,
        backend.name,
        trial.content,
        "pass" if error <= tolerance else "fail",
        error,
        tolerance,
        _sqnr(actual, trial.expected),
        size,
        seconds,
        "" if error <= tolerance else f"differs by {error:.3g}, tolerance {tolerance:.3g}",
    )


def difference(actual: Inputs, expected: Inputs) -> str:
    """What makes two results incomparable, or an empty string."""
    if len(actual) != len(expected):
        return f"gives {len(actual)} tensors, eager {len(expected)}"
    for result, reference in zip(actual, expected, strict=True):
        if result.shape != reference.shape:
            return f"gives shape {list(result.shape)}, eager {list(reference.shape)}"
        if not bool(torch.isfinite(reference.double()).all()):
            return "eager is not finite"
        if not bool(torch.isfinite(result.double()).all()):
            return "gives a result that is not finite"
    return ""


def _max_error(actual: Tensor, expected: Tensor) -> float:
    if expected.numel() == 0:
        return 0.0
    return float((actual.double() - expected.double()).abs().max())


def _tolerance(expected: Tensor, promise: float) -> float:
    """Whole numbers and truth values must be equal."""
    if not expected.is_floating_point() or expected.numel() == 0:
        return 0.0
    return promise * max(1.0, float(expected.abs().max()))


def _sqnr(actual: Inputs, expected: Inputs) -> float | None:
    """Signal to error ratio in dB; None when there is no error or no signal."""
    pairs = list(zip(actual, expected, strict=True))
    signal = sum(float(e.double().square().sum()) for _, e in pairs)
    noise = sum(float((a.double() - e.double()).square().sum()) for a, e in pairs)
    if not (signal > 0 and noise > 0 and math.isfinite(noise)):
        return None
    return 10 * math.log10(signal / noise)


def _identical(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first, second)


def empty(
    row: Row,
    backend: Backend,
    trial: Trial,
    status: Status,
    reason: str,
    size: int | None = None,
    seconds: float | None = None,
) -> Record:
    """A record without numbers: why there are none."""
    return Record(
        row.entry,
        row.variant,
        trial.method,
        backend.name,
        trial.content,
        status,
        bytes=size,
        seconds=seconds,
        reason=reason,
    )
