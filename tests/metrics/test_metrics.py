"""Detection costs, Cllr and tandem costs against brute force and against published code.

Published: scikit-learn's ROC, SciPy's isotonic regression, SpeechBrain's minDCF, and numbers that
the ``a_dcf`` package 0.0.4 printed; the t-DCFs are the formulas of the ASVspoof evaluation plans,
written out.
"""

import importlib.util
import json
import math
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import scriptable as sc
from scriptable.metrics._hull import lower_hull

FRESH = settings(deadline=None, max_examples=60, derandomize=False)
SCORES = st.one_of(
    st.integers(-6, 6).map(lambda k: k / 4), st.floats(-50, 50, width=32), st.just(-0.0)
)


@st.composite
def trials(draw, classes: int = 2, scores=SCORES) -> tuple[Tensor, Tensor]:
    values = draw(st.lists(scores, min_size=classes, max_size=30))
    size = len(values)
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=size, max_size=size))
    assume(len(set(labels)) == classes)
    return torch.tensor(values, dtype=torch.float64), torch.tensor(labels)


def rate(scores: Tensor, labels: Tensor, label: int, threshold: float) -> float:
    """Share of a class that reaches the threshold."""
    values = [s for s, c in zip(scores.tolist(), labels.tolist(), strict=True) if c == label]
    return sum(v >= threshold for v in values) / len(values)


def thresholds(scores: Tensor) -> list[float]:
    return [-math.inf, *sorted(set(scores.tolist())), math.inf]


def least(scores: Tensor, labels: Tensor, weights: tuple[float, ...]) -> float:
    """Minimum over all thresholds of Σ weight·error rate, normalised, one trial at a time."""
    costs = []
    for t in thresholds(scores):
        rates = [rate(scores, labels, c, t) for c in range(len(weights))]
        errors = [1 - r if c == 1 else r for c, r in enumerate(rates)]
        costs.append(sum(w * e for w, e in zip(weights, errors, strict=True)))
    return min(costs) / min(weights[1], sum(weights) - weights[1])


OPERATING = st.tuples(st.sampled_from([0.01, 0.5, 0.9]), st.sampled_from([1.0, 5.0, 0.1]))


@FRESH
@given(trials(), OPERATING, st.sampled_from([1.0, 10.0]))
def test_min_dcf_equals_brute_force(drawn, operating, cost_fa) -> None:
    scores, labels = drawn
    prior, cost_miss = operating
    found = sc.min_dcf(scores, labels, prior, cost_miss, cost_fa)
    weights = (cost_fa * (1 - prior), cost_miss * prior)
    assert found.cost == pytest.approx(least(scores, labels, weights), abs=1e-12)
    miss = 1 - rate(scores, labels, 1, found.threshold)
    false_alarm = rate(scores, labels, 0, found.threshold)
    reached = (weights[1] * miss + weights[0] * false_alarm) / min(weights)
    assert reached == pytest.approx(found.cost, abs=1e-12)


@FRESH
@given(trials(), OPERATING)
def test_actual_dcf_equals_brute_force_and_is_no_less_than_the_minimum(drawn, operating) -> None:
    llrs, labels = drawn
    prior, cost_miss = operating
    found = sc.actual_dcf(llrs, labels, prior, cost_miss)
    threshold = math.log((1 - prior) / (cost_miss * prior))
    assert found.threshold == pytest.approx(threshold, abs=1e-12)
    miss = 1 - rate(llrs, labels, 1, found.threshold)
    weights = (1 - prior, cost_miss * prior)
    cost = weights[1] * miss + weights[0] * rate(llrs, labels, 0, found.threshold)
    assert found.cost == pytest.approx(cost / min(weights), abs=1e-12)
    assert found.cost >= sc.min_dcf(llrs, labels, prior, cost_miss).cost - 1e-12


SPEECHBRAIN = """
import json, sys, torch
from speechbrain.utils.metric_stats import minDCF
found = []
for scores, labels in json.load(sys.stdin):
    s, t = torch.tensor(scores), torch.tensor(labels)
    found.append(float(minDCF(s[t == 1], s[t == 0], p_target=0.3)[0]))
print(json.dumps(found))
"""


def test_min_dcf_equals_speechbrain() -> None:
    if importlib.util.find_spec("speechbrain") is None:
        pytest.skip("speechbrain is not installed: make toolkits")
    drawn = []
    for size in range(4, 24):
        labels = torch.arange(size) % 2
        drawn.append(((torch.randn(size) + 2 * labels).tolist(), labels.tolist()))
    # In a process of its own: its lazy modules fail when hypothesis looks through sys.modules.
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SPEECHBRAIN],
        input=json.dumps(drawn),
        capture_output=True,
        text=True,
        check=True,
    )
    for (scores, labels), theirs in zip(drawn, json.loads(result.stdout), strict=True):
        s, t = torch.tensor(scores), torch.tensor(labels)
        # Theirs is not normalised, and has no threshold beyond the last score.
        ours = 0.3 * sc.min_dcf(s, t, prior=0.3).cost
        inner = [
            0.3 * (1 - rate(s, t, 1, threshold)) + 0.7 * rate(s, t, 0, threshold)
            for threshold in s.tolist()
        ]
        assert theirs == pytest.approx(min(inner), abs=1e-6)
        assert ours == pytest.approx(min(theirs, 0.3), abs=1e-6)


@FRESH
@given(trials())
def test_curve_equals_scikit_learn(drawn) -> None:
    scores, labels = drawn
    roc_curve = pytest.importorskip("sklearn.metrics").roc_curve
    false_alarm, hit, _ = roc_curve(labels.numpy(), scores.numpy(), drop_intermediate=False)
    curve = sc.operating_curve(scores, labels)
    np.testing.assert_allclose(curve.false_alarm.flip(0), false_alarm, atol=1e-15)
    np.testing.assert_allclose(1 - curve.miss.flip(0), hit, atol=1e-15)


def pooled(scores: Tensor, labels: Tensor) -> np.ndarray:
    """Posterior of each distinct score, ascending, by SciPy, ties pooled first; and the counts."""
    isotonic = pytest.importorskip("scipy.optimize").isotonic_regression
    values, inverse = np.unique(scores.numpy(), return_inverse=True)
    targets = np.bincount(inverse, labels.numpy(), len(values))
    sizes = np.bincount(inverse, minlength=len(values)).astype(float)
    posteriors = isotonic(targets / sizes, weights=sizes).x
    return np.stack([posteriors, targets, sizes - targets])


@FRESH
@given(trials())
def test_min_cllr_equals_isotonic_regression(drawn) -> None:
    scores, labels = drawn
    posteriors, targets, others = pooled(scores, labels)
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = posteriors / (1 - posteriors) * others.sum() / targets.sum()
        on_targets = np.where(targets > 0, targets * np.log2(1 + 1 / odds), 0).sum()
        on_others = np.where(others > 0, others * np.log2(1 + odds), 0).sum()
    expected = (on_targets / targets.sum() + on_others / others.sum()) / 2
    found = sc.min_cllr(scores, labels)
    assert found == pytest.approx(expected, abs=1e-9)
    assert 0.0 <= found <= 1.0 + 1e-12
    assert found <= sc.cllr(scores, labels) + 1e-12


@FRESH
@given(trials())
def test_cllr_equals_brute_force_and_log_loss(drawn) -> None:
    llrs, labels = drawn
    log_loss = pytest.importorskip("sklearn.metrics").log_loss
    targets = [math.log2(1 + math.exp(-s)) for s in llrs[labels == 1].tolist()]
    others = [math.log2(1 + math.exp(s)) for s in llrs[labels == 0].tolist()]
    expected = (sum(targets) / len(targets) + sum(others) / len(others)) / 2
    assert sc.cllr(llrs, labels) == pytest.approx(expected, rel=1e-9, abs=1e-14)
    clipped = llrs.clamp(-20, 20)
    weights = torch.where(labels == 1, 0.5 / len(targets), 0.5 / len(others)).numpy()
    posteriors = torch.sigmoid(clipped).numpy()
    theirs = log_loss(labels.numpy(), posteriors, sample_weight=weights) / math.log(2)
    assert sc.cllr(clipped, labels) == pytest.approx(theirs, rel=1e-6, abs=1e-7)


def test_cllr_at_the_ends() -> None:
    labels = torch.tensor([0, 1])
    assert sc.cllr(torch.zeros(2), labels) == pytest.approx(1.0)
    assert sc.cllr(torch.tensor([-math.inf, math.inf]), labels) == 0.0
    assert sc.cllr(torch.tensor([-1.0, -math.inf]), labels) == math.inf
    assert sc.cllr(torch.tensor([1e4, -1e4]), labels) == pytest.approx(1e4 / math.log(2))
    assert sc.min_cllr(torch.tensor([0.0, 1.0]), labels) == 0.0
    assert sc.min_cllr(torch.tensor([1.0, 0.0]), labels) == pytest.approx(1.0)


@FRESH
@given(trials())
def test_hull_is_below_every_point_and_convex(drawn) -> None:
    scores, labels = drawn
    hull, curve = sc.roc_convex_hull(scores, labels), sc.operating_curve(scores, labels)
    x, y = hull.false_alarm.tolist(), hull.miss.tolist()
    points = set(zip(curve.false_alarm.tolist(), curve.miss.tolist(), strict=True))
    assert set(zip(x, y, strict=True)) <= points
    assert (y[0], x[-1]) == (0.0, 0.0)
    for (x0, y0), (x1, y1) in pairwise(zip(x, y, strict=True)):
        for px, py in points:
            assert (x1 - x0) * (py - y0) - (y1 - y0) * (px - x0) <= 1e-12
    costs = np.linspace(0, 1, 2001)[:, None] * (np.array(y) - np.array(x)) + np.array(x)
    envelope = costs.min(1).max()
    equal = sc.convex_hull_equal_error_rate(scores, labels)
    assert equal.rate == pytest.approx(envelope, abs=1e-3)
    assert equal.rate >= envelope - 1e-12
    assert equal.rate <= sc.equal_error_rate(scores, labels).rate + 1e-12
    assert equal.threshold in hull.thresholds.tolist()


@pytest.mark.parametrize("case", ["random", "convex", "concave", "break", "one"])
def test_hull_equals_the_scan_on_long_staircases(case) -> None:
    generator = torch.Generator().manual_seed(3)
    steps = {
        "random": torch.randint(0, 9, (4000,), generator=generator),
        "convex": torch.arange(4000),
        "concave": torch.arange(4000, 0, -1),
        # A convex run that one long flat step undoes point by point.
        "break": torch.cat([torch.arange(1, 2000), torch.zeros(2000, dtype=torch.int64)]),
        "one": torch.tensor([1]),
    }[case]
    x = torch.arange(len(steps) + 1) * 3
    y = torch.cat([torch.zeros(1, dtype=torch.int64), steps.cumsum(0)])
    found = lower_hull(x, y).tolist()
    stack: list[int] = []
    for i in range(len(x)):
        while len(stack) > 1:
            a, b = stack[-2:]
            if int((x[b] - x[a]) * (y[i] - y[b])) > int((y[b] - y[a]) * (x[i] - x[b])):
                break
            stack.pop()
        stack.append(i)
    assert found == stack


ASV = sc.ASVErrorRates(miss=0.03, false_alarm=0.02, spoof_false_alarm=0.4)


@FRESH
@given(trials(), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.01, 1))
def test_tdcf_equals_the_formulas_of_the_evaluation_plans(drawn, miss, false, spoof) -> None:
    scores, labels = drawn
    asv = sc.ASVErrorRates(miss, false, spoof)
    c0 = 0.9405 * 1 * miss + 0.0095 * 10 * false
    c1, c2 = 0.9405 * 1 - c0, 0.05 * 10 * spoof
    old = 0.9405 * (1 - 1 * miss) - 0.0095 * 10 * false
    curve, legacy = [], []
    for t in thresholds(scores):
        cm_miss, cm_false = 1 - rate(scores, labels, 1, t), rate(scores, labels, 0, t)
        curve.append((c0 + c1 * cm_miss + c2 * cm_false) / (c0 + min(c1, c2)))
        legacy.append((old * cm_miss + c2 * cm_false) / min(old, c2))
    assert sc.min_tdcf(scores, labels, asv).cost == pytest.approx(min(curve), abs=1e-12)
    found = sc.min_tdcf(scores, labels, asv, form="2019")
    assert found.cost == pytest.approx(min(legacy), abs=1e-12)


@FRESH
@given(trials(classes=3))
def test_asv_error_rates_equal_brute_force(drawn) -> None:
    scores, labels = drawn
    found = sc.asv_error_rates(scores, labels, threshold=0.25)
    expected = [rate(scores, labels, label, 0.25) for label in (1, 0, 2)]
    assert found == pytest.approx((1 - expected[0], *expected[1:]))
    genuine = labels != 2
    threshold = sc.equal_error_rate(scores[genuine], labels[genuine]).threshold
    assert sc.asv_error_rates(scores, labels) == sc.asv_error_rates(scores, labels, threshold)


@FRESH
@given(trials(classes=3), st.sampled_from([(0.05, 0.05, 10.0, 20.0), (0.5, 0.2, 1.0, 0.5)]))
def test_a_dcf_equals_brute_force(drawn, costs) -> None:
    scores, labels = drawn
    non, spoof, cost_non, cost_spoof = costs
    found = sc.min_a_dcf(scores, labels, non, spoof, 1.0, cost_non, cost_spoof)
    weights = (cost_non * non, 1 - non - spoof, cost_spoof * spoof)
    assert found.cost == pytest.approx(least(scores, labels, weights), abs=1e-12)


def test_a_dcf_equals_its_package() -> None:
    index = torch.arange(60)
    labels = index % 3
    shifts = torch.tensor([0.0, 2.0, 0.5], dtype=torch.float64)
    scores = 2 * torch.sin(1.7 * index.double()) + shifts[labels]
    # What a_dcf.calculate_a_dcf, version 0.0.4, gives for these as its score file.
    assert sc.min_a_dcf(scores, labels).cost == pytest.approx(0.55, abs=1e-12)


@pytest.mark.parametrize("point", ["eer", "min_dcf"])
@FRESH
@given(drawn=trials())
def test_threshold_is_finite_and_has_its_rates(point, drawn) -> None:
    scores, labels = drawn
    found = sc.threshold_at(scores, labels, point, prior=0.05, cost_miss=2.0)
    assert math.isfinite(found.threshold)
    assert found.miss == pytest.approx(1 - rate(scores, labels, 1, found.threshold))
    assert found.false_alarm == pytest.approx(rate(scores, labels, 0, found.threshold))
    weights = (0.95, 0.1)
    if point == "min_dcf":
        cost = (weights[1] * found.miss + weights[0] * found.false_alarm) / weights[1]
        assert cost == pytest.approx(least(scores, labels, weights), abs=1e-12)
    else:
        gaps = [
            abs(1 - rate(scores, labels, 1, t) - rate(scores, labels, 0, t))
            for t in thresholds(scores)
        ]
        assert abs(found.miss - found.false_alarm) == pytest.approx(min(gaps), abs=1e-12)


def test_infinite_and_constant_scores_have_no_packaged_threshold_of_infinity() -> None:
    with pytest.raises(ValueError, match=r"^scores: expected finite numbers, got inf at trial 1$"):
        sc.threshold_at(torch.tensor([0.0, math.inf]), torch.tensor([0, 1]))
    found = sc.threshold_at(torch.zeros(4), torch.tensor([0, 1, 0, 1]))
    assert found.threshold in (-1.0, 1.0)


@FRESH
@given(trials(), st.permutations(range(30)), st.sampled_from([torch.float32, torch.float64]))
def test_metrics_know_no_order_and_no_monotone_change(drawn, order, dtype) -> None:
    scores, labels = drawn
    assume(all(abs(s) < 1e30 for s in scores.tolist()))
    shuffled = [i for i in order if i < len(scores)]
    for metric in (sc.min_cllr, lambda s, t: sc.min_dcf(s, t).cost):
        value = metric(scores, labels)
        assert metric(scores[shuffled].to(dtype), labels[shuffled]) == value
        assert metric(scores / 4 - 1e3, labels) >= value - 1e-12
        assert metric(scores * 2, labels.int()) == value


def test_bootstrap_covers_and_is_repeatable() -> None:
    generator = torch.Generator().manual_seed(2)
    labels = torch.arange(4000) % 2
    scores = torch.randn(4000, generator=generator) + 2 * labels
    state = torch.get_rng_state()
    first = sc.bootstrap_interval(sc.equal_error_rate, scores, labels, rounds=200)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == sc.bootstrap_interval(sc.equal_error_rate, scores, labels, rounds=200)
    truth = 0.5 * math.erfc(1 / math.sqrt(2))
    assert first.low < truth < first.high
    # The rate is a mean of 2,000 in either class, of which the crossing averages about half.
    spread = math.sqrt(truth * (1 - truth) / 4000)
    assert 2.0 * spread < first.high - first.low < 6.0 * spread
    narrow = sc.bootstrap_interval(sc.equal_error_rate, scores, labels, level=0.5, rounds=200)
    assert first.low < narrow.low < narrow.high < first.high
    three = torch.arange(300) % 3
    apart = torch.randn(300, generator=generator) + 3.0 * (three == 1)
    low, high = sc.bootstrap_interval(sc.min_a_dcf, apart, three, rounds=20)
    assert 0 < low < sc.min_a_dcf(apart, three).cost < high < 1


METRICS = [
    sc.min_dcf,
    sc.actual_dcf,
    sc.cllr,
    sc.min_cllr,
    sc.roc_convex_hull,
    sc.convex_hull_equal_error_rate,
    sc.threshold_at,
    lambda s, t: sc.min_tdcf(s, t, ASV),
    lambda s, t: sc.bootstrap_interval(sc.cllr, s, t),
]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.0, math.nan], [0, 1], "scores: expected numbers, got NaN at trial 1"),
        ([0.0, 1.0], [0, 0], "labels: expected both classes, got no target (label 1) trial"),
        ([0.0, 1.0], [1, 1], "labels: expected both classes, got no non-target (label 0) trial"),
        ([0.0, 1.0, 2.0], [0, 1, 3], "labels: expected 0 or 1, got 3 at trial 2"),
        ([0.0], [0, 1], "labels: expected shape [1], got [2]"),
    ],
)
def test_bad_trials_are_named(metric, scores, labels, message) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        metric(torch.tensor(scores), torch.tensor(labels))


@pytest.mark.parametrize("metric", [sc.min_a_dcf, sc.asv_error_rates])
def test_three_classes_are_needed_where_three_meet(metric) -> None:
    message = re.escape("labels: expected all three classes, got no spoof (label 2) trial")
    with pytest.raises(ValueError, match=f"^{message}$"):
        metric(torch.tensor([0.0, 1.0]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"^labels: expected 0, 1 or 2, got 5 at trial 3$"):
        metric(torch.arange(4.0), torch.tensor([0, 1, 2, 5]))


S, L = torch.tensor([0.0, 1.0]), torch.tensor([0, 1])
BAD_SETTINGS = [
    (lambda: sc.min_dcf(S, L, prior=1.0), "prior: expected a probability inside (0, 1), got 1.0"),
    (lambda: sc.min_dcf(S, L, cost_miss=0.0), "cost_miss: expected a value above 0, got"),
    (lambda: sc.bayes_threshold(0.5, 1.0, -1.0), "cost_false_alarm: expected a value above 0"),
    (lambda: sc.threshold_at(S, L, "best"), "point: expected one of ['eer', 'min_dcf'], got best"),
    (lambda: sc.min_tdcf(S, L, ASV, "2020"), "form: expected one of ['2021', '2019'], got 2020"),
    (lambda: sc.min_tdcf(S, L, ASV._replace(miss=1.5)), "asv.miss: expected a rate in [0, 1]"),
    (lambda: sc.min_tdcf(S, L, sc.ASVErrorRates(1.0, 1.0, 0.5)), "asv: expected rates that make"),
    (
        lambda: sc.min_tdcf(S, L, ASV, "2021", sc.TandemCosts(prior_spoof=0.5)),
        "costs: expected priors that sum to 1, got 1.45",
    ),
    (lambda: sc.bootstrap_interval(sc.cllr, S, L, level=1.0), "level: expected a probability"),
    (lambda: sc.bootstrap_interval(sc.cllr, S, L, rounds=1), "rounds: expected 2 or more, got 1"),
]


@pytest.mark.parametrize(("call", "message"), BAD_SETTINGS)
def test_bad_settings_are_named(call, message) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        call()
