"""Error rates against brute force, calibration against a general minimiser."""

import io
import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from scriptable import (
    AffineCalibration,
    check_trials,
    equal_error_rate,
    fit_affine_calibration,
    operating_curve,
    posterior,
)

optimize = pytest.importorskip("scipy.optimize")
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


# Calibration


def objective(parameters, scores: np.ndarray, labels: np.ndarray, prior: float) -> float:
    """The documented objective, written again: Platt's targets, classes weighted to the prior."""
    scale, offset = parameters
    z = scale * scores + offset + math.log(prior / (1 - prior))
    positive, negative = int(labels.sum()), int((1 - labels).sum())
    target = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    weight = np.where(labels == 1, prior / positive, (1 - prior) / negative)
    return float(
        (weight * (target * np.logaddexp(0, -z) + (1 - target) * np.logaddexp(0, z))).sum()
    )


@settings(deadline=None, max_examples=30, derandomize=False)
@given(trials(least=4), st.sampled_from([0.5, 0.05, 0.9, 0.01]))
def test_calibration_minimises_its_objective(drawn, prior) -> None:
    scores, labels = drawn
    assume(len(set(scores.tolist())) > 1)
    fitted = fit_affine_calibration(scores, labels, prior)
    data = scores.double().numpy(), labels.numpy(), prior
    minimum = optimize.minimize(
        objective,
        [0.0, 0.0],
        data,
        method="Nelder-Mead",
        options={
            "xatol": 1e-9,
            "fatol": 1e-15,
            "maxiter": 5000,
            "maxfev": 5000,
            "adaptive": True,
        },
    )
    reached = objective(fitted, *data)
    assert reached <= minimum.fun + 1e-12
    step = 1e-4
    for direction in ((step, 0), (-step, 0), (0, step), (0, -step)):
        moved = (fitted[0] + direction[0], fitted[1] + direction[1])
        assert objective(moved, *data) >= reached - 1e-15
    # The objective is flat to second order at its minimum: 1e-15 in it is about 1e-6 in these.
    if minimum.success and abs(minimum.fun - reached) < 1e-13:
        np.testing.assert_allclose(fitted, minimum.x, atol=2e-3, rtol=2e-3)


@settings(deadline=None, max_examples=30, derandomize=False)
@given(trials(least=4), st.sampled_from([0.01, 1.0, 250.0]), st.floats(-100, 100))
def test_calibration_takes_any_affine_change_back(drawn, factor, shift) -> None:
    scores, labels = drawn
    assume(len(set(scores.tolist())) > 1)
    scores = scores.double()
    scale, offset = fit_affine_calibration(scores, labels)
    changed = factor * scores + shift
    other = fit_affine_calibration(changed, labels)
    torch.testing.assert_close(
        other.scale * changed + other.offset, scale * scores + offset, atol=1e-6, rtol=1e-6
    )


@pytest.mark.parametrize("gap", [1e-3, 1.0, 1e6])
def test_separated_scores_give_a_finite_scale(gap) -> None:
    scores = torch.tensor([0.0, 0.1, 0.2, 0.3]).double() * gap
    scale, offset = fit_affine_calibration(scores, torch.tensor([0, 0, 1, 1]))
    llr = scale * scores + offset
    assert (llr[:2] < 0).all()
    assert (llr[2:] > 0).all()
    # Platt's targets bound what two trials a class can claim: logit(3/4) = 1.1 at the mean.
    assert float(llr.abs().max()) < 3.0
    few, many = (torch.linspace(-gap, gap, n).double() for n in (4, 2000))
    bounds = [fit_affine_calibration(x, (x > 0).long()).scale * gap for x in (few, many)]
    assert all(math.isfinite(scale) for scale in bounds)
    assert bounds[1] > 4 * bounds[0], "more trials may claim more"


def test_calibration_sees_the_polarity_and_the_truth() -> None:
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(40000) % 2
    # Equal-variance normals, means ±1: the true LLR is 2·s.
    scores = torch.randn(len(labels), generator=generator, dtype=torch.float64) + 2.0 * labels - 1
    for prior in (0.5, 0.1):
        scale, offset = fit_affine_calibration(scores, labels, prior)
        assert scale == pytest.approx(2.0, abs=0.1)
        assert offset == pytest.approx(0.0, abs=0.1)
    assert fit_affine_calibration(-scores, labels).scale == pytest.approx(-2.0, abs=0.1)


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_bad_priors(prior) -> None:
    message = f"^prior: expected a probability inside \\(0, 1\\), got {prior}$"
    with pytest.raises(ValueError, match=message):
        fit_affine_calibration(torch.tensor([0.0, 1.0]), torch.tensor([0, 1]), prior)
    with pytest.raises(ValueError, match=message):
        posterior(0.0, prior)


def test_constant_scores_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match=r"^scores: expected at least two different values"):
        fit_affine_calibration(torch.ones(4), torch.tensor([0, 1, 0, 1]))


# Posteriors and the module


@given(st.floats(-700, 700), st.floats(0.001, 0.999))
def test_posterior_is_bayes_rule(llr, prior) -> None:
    found = posterior(llr, prior)
    odds = math.log(prior / (1 - prior)) + llr
    assert 0.0 <= found <= 1.0
    assert found == pytest.approx(
        float(torch.sigmoid(torch.tensor(odds, dtype=torch.float64))), abs=1e-12
    )
    assert found + posterior(-llr, 1 - prior) == pytest.approx(1.0)


def test_posterior_at_the_extremes() -> None:
    assert posterior(1e6, 0.5) == 1.0
    assert posterior(-1e6, 0.5) == 0.0
    assert posterior(math.inf, 0.01) == 1.0
    assert posterior(-math.inf, 0.99) == 0.0
    assert posterior(0.0, 0.05) == pytest.approx(0.05)


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_affine_calibration_ships(shape) -> None:
    module = AffineCalibration(scale=-2.5, offset=0.75)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    buffer.seek(0)
    scores = torch.randn(shape)
    program = torch.export.export(module, (scores,)).module()
    for shipped in (module, torch.jit.load(buffer), program):
        torch.testing.assert_close(shipped(scores), -2.5 * scores + 0.75)
    assert {key: float(value) for key, value in module.state_dict().items()} == {
        "scale": -2.5,
        "offset": 0.75,
    }
