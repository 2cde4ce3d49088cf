"""Error rates against brute force."""

import math
import re
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from scriptable import (
    check_trials,
    equal_error_rate,
    fit_affine_calibration,
    operating_curve,
)

FRESH = settings(deadline=None, max_examples=60, derandomize=False)


@st.composite
def trials(draw, least=2, ties=True) -> tuple[Tensor, Tensor]:
    # A few values on a coarse grid, so that ties within and across the classes are the rule.
    grid = st.integers(-6, 6).map(lambda k: k / 4) if ties else st.floats(-50, 50, width=32)
    scores = draw(st.lists(grid, min_size=least, max_size=25))
    labels = draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    assume(0 < sum(labels) < len(labels))
    return torch.tensor(scores), torch.tensor(labels)


def rates(scores: Tensor, labels: Tensor, threshold: float) -> tuple[float, float]:
    values, wanted = scores.double().tolist(), labels.tolist()
    miss = [v < threshold for v, label in zip(values, wanted, strict=True) if label == 1]
    false = [v >= threshold for v, label in zip(values, wanted, strict=True) if label == 0]
    return sum(miss) / len(miss), sum(false) / len(false)


@FRESH
@given(st.booleans().flatmap(lambda ties: trials(ties=ties)))
def test_curve_equals_brute_force(drawn) -> None:
    scores, labels = drawn
    curve = operating_curve(scores, labels)
    distinct = sorted(set(scores.double().tolist()))
    thresholds = curve.thresholds.tolist()
    assert len(thresholds) == len(distinct) + 1
    assert thresholds[0] == -math.inf
    assert thresholds[-1] == math.inf
    for low, threshold, high in zip(distinct[:-1], thresholds[1:-1], distinct[1:], strict=True):
        assert low < threshold <= high
        assert threshold == pytest.approx((low + high) / 2)
    found = zip(curve.miss.tolist(), curve.false_alarm.tolist(), strict=True)
    for threshold, (miss, false_alarm) in zip(thresholds, found, strict=True):
        expected = rates(scores, labels, threshold)
        assert miss == pytest.approx(expected[0], abs=1e-15)
        assert false_alarm == pytest.approx(expected[1], abs=1e-15)


@FRESH
@given(st.booleans().flatmap(lambda ties: trials(ties=ties)))
def test_equal_error_rate_equals_brute_force(drawn) -> None:
    scores, labels = drawn
    result = equal_error_rate(scores, labels)
    distinct = sorted(set(scores.double().tolist()))
    middles = [(a + b) / 2 for a, b in pairwise(distinct)]
    points = [rates(scores, labels, t) for t in (-math.inf, *middles, math.inf)]
    crossings = []
    for (miss, false), (next_miss, next_false) in pairwise(points):
        before, after = miss - false, next_miss - next_false
        if before <= 0 <= after:
            crossings.append(miss + -before / (after - before) * (next_miss - miss))
    # The gap grows at every step, so that there is one crossing, seen from one side or from both.
    assert crossings
    assert result.rate == pytest.approx(crossings[0], abs=1e-12)
    assert result.rate == pytest.approx(crossings[-1], abs=1e-12)
    gaps = [abs(miss - false) for miss, false in points]
    miss, false = rates(scores, labels, result.threshold)
    assert abs(miss - false) == pytest.approx(min(gaps), abs=1e-12)


@FRESH
@given(trials(), st.permutations(range(25)))
def test_equal_error_rate_knows_no_order_and_no_monotone_change(drawn, order) -> None:
    scores, labels = drawn
    rate = equal_error_rate(scores, labels).rate
    shuffled = [i for i in order if i < len(scores)]
    assert equal_error_rate(scores[shuffled], labels[shuffled]).rate == rate
    assert equal_error_rate(torch.exp(scores.double()), labels).rate == rate
    assert equal_error_rate(-scores, 1 - labels).rate == pytest.approx(rate, abs=1e-12)


def test_equal_error_rate_at_the_ends() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    scores = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert equal_error_rate(scores, labels) == (0.0, 1.5)
    assert equal_error_rate(scores, 1 - labels).rate == 1.0
    assert equal_error_rate(torch.zeros(4), labels).rate == 0.5
    infinite = torch.tensor([-math.inf, 0.0, 1.0, math.inf])
    assert equal_error_rate(infinite, labels).rate == 0.0
    # One bona fide trial below one of three spoofed ones: the line joins (0, 1/3) and (1/2, 1/3).
    scores, labels = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0]), torch.tensor([0, 0, 1, 0, 1])
    assert equal_error_rate(scores, labels).rate == pytest.approx(1 / 3)


def test_curve_without_numpy_and_in_other_types(monkeypatch) -> None:
    scores, labels = torch.tensor([3, -1, 3, 0, 7]), torch.tensor([1, 0, 0, 1, 1])
    expected = operating_curve(scores.double(), labels)
    for dtype in (torch.int64, torch.float16, torch.bfloat16, torch.float32):
        for wanted in (labels, labels.bool(), labels.float()):
            found = operating_curve(scores.to(dtype), wanted)
            assert all(map(torch.equal, found, expected))

    def absent(self: Tensor) -> None:
        raise RuntimeError("Numpy is not available")

    monkeypatch.setattr(Tensor, "numpy", absent)
    assert all(map(torch.equal, operating_curve(scores, labels), expected))


BAD_TRIALS = [
    (torch.zeros(2, 1), torch.zeros(2, 1), "scores: expected shape [T], got [2, 1]"),
    (torch.zeros(3), torch.tensor([0, 1]), "labels: expected shape [3], got [2]"),
    (
        torch.tensor([0.0, 1.0, math.nan, math.nan]),
        torch.tensor([0, 1, 1, 0]),
        "scores: expected numbers, got NaN at trial 2",
    ),
    (torch.zeros(3), torch.tensor([0, 1, 2]), "labels: expected 0 or 1, got 2 at trial 2"),
    (torch.zeros(2), torch.tensor([-1, 1]), "labels: expected 0 or 1, got -1 at trial 0"),
    (torch.zeros(2), torch.tensor([0, 0]), "labels: expected both classes, got no target"),
    (torch.zeros(2), torch.tensor([1, 1]), "labels: expected both classes, got no non-target"),
    (torch.zeros(0), torch.zeros(0), "labels: expected both classes, got no target"),
]


@pytest.mark.parametrize(("scores", "labels", "message"), BAD_TRIALS)
def test_bad_trials(scores, labels, message) -> None:
    for function in (check_trials, operating_curve, equal_error_rate, fit_affine_calibration):
        with pytest.raises(ValueError, match="^" + re.escape(message)):
            function(scores, labels)
