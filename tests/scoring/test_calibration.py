"""Calibration against scikit-learn, a general minimiser, and what Bayes' rule says."""

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from scriptable import (
    AffineCalibration,
    Calibration,
    actual_dcf,
    fit_affine_calibration,
    fit_fusion,
    posterior,
)

optimize = pytest.importorskip("scipy.optimize")
# Drawn scores may well be inverted.
INVERTED = pytest.mark.filterwarnings("ignore:scores. expected higher ones for label 1")


@st.composite
def trials(draw, least=4) -> tuple[Tensor, Tensor]:
    # A few values on a coarse grid, so that ties within and across the classes are the rule.
    scores = draw(st.lists(st.integers(-6, 6), min_size=least, max_size=25))
    labels = draw(st.lists(st.integers(0, 1), min_size=len(scores), max_size=len(scores)))
    assume(0 < sum(labels) < len(labels) and len(set(scores)) > 1)
    return torch.tensor(scores) / 4, torch.tensor(labels)


def separated(scores: Tensor, labels: Tensor) -> bool:
    """Whether a threshold has all of one class on one side, ties on it included."""
    target, other = scores[labels == 1], scores[labels == 0]
    return bool(target.min() >= other.max()) or bool(target.max() <= other.min())


def objective(parameters, scores: np.ndarray, labels: np.ndarray, prior: float) -> float:
    """The documented objective, written again: logistic loss, classes weighted to the prior."""
    scale, offset = parameters
    z = scale * scores + offset + math.log(prior / (1 - prior))
    on_targets = np.logaddexp(0, -z[labels == 1]).mean()
    return float(prior * on_targets + (1 - prior) * np.logaddexp(0, z[labels == 0]).mean())


def separated_objective(parameters, scores: np.ndarray, labels: np.ndarray, prior: float) -> float:
    """The same with a pseudo-trial in each class, spread over the scores of the other."""
    scale, offset = parameters
    z = scale * scores + offset + math.log(prior / (1 - prior))
    total = 0.0
    for label, share, sign in ((1, prior, -1), (0, 1 - prior, 1)):
        own, strange = (
            np.logaddexp(0, sign * z[labels == label]),
            np.logaddexp(0, sign * z[labels != label]),
        )
        total += share * (own.sum() + strange.mean()) / (len(own) + 1)
    return float(total)


@INVERTED
@settings(deadline=None, max_examples=30, derandomize=False)
@given(trials(), st.sampled_from([0.5, 0.05, 0.9, 0.01]))
def test_calibration_minimises_its_objective(drawn, prior) -> None:
    scores, labels = drawn
    fitted = fit_affine_calibration(scores, labels, prior)
    value = separated_objective if separated(scores, labels) else objective
    data = scores.double().numpy(), labels.numpy(), prior
    options = {"xatol": 1e-9, "fatol": 1e-15, "maxiter": 5000, "maxfev": 5000, "adaptive": True}
    minimum = optimize.minimize(value, [0.0, 0.0], data, method="Nelder-Mead", options=options)
    reached = value(fitted, *data)
    assert reached <= minimum.fun + 1e-12
    step = 1e-4
    for direction in ((step, 0), (-step, 0), (0, step), (0, -step)):
        moved = (fitted[0] + direction[0], fitted[1] + direction[1])
        assert value(moved, *data) >= reached - 1e-15
    # The objective is flat to second order at its minimum: 1e-15 in it is about 1e-6 in these.
    if minimum.success and abs(minimum.fun - reached) < 1e-13:
        np.testing.assert_allclose(fitted, minimum.x, atol=2e-3, rtol=2e-3)


def unbalanced(seed: int, targets: int, others: int) -> tuple[Tensor, Tensor]:
    """Targets from N(3, 1), non-targets from N(−1, 2)."""
    drawn = np.random.default_rng(seed)
    scores = np.concatenate([drawn.normal(3, 1, targets), drawn.normal(-1, 2, others)])
    return torch.tensor(scores), (torch.arange(targets + others) < targets).long()


def by_scikit_learn(scores: Tensor, labels: Tensor, prior: float) -> Calibration:
    """The optimum of logistic regression whose trials are weighted to the prior."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    weight = np.where(labels == 1, prior / int(labels.sum()), (1 - prior) / int((1 - labels).sum()))
    fitted = linear_model.LogisticRegression(
        C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=1000
    ).fit(scores[:, None].numpy(), labels.numpy(), sample_weight=1000 * weight)
    offset = float(fitted.intercept_[0]) - math.log(prior / (1 - prior))
    return Calibration(float(fitted.coef_[0, 0]), offset)


@pytest.mark.parametrize("prior", [0.95, 0.5, 0.05])
@pytest.mark.parametrize("seed", [0, 1])
def test_calibration_equals_scikit_learn(prior: float, seed: int) -> None:
    scores, labels = unbalanced(seed, 30, 200)
    found = fit_affine_calibration(scores, labels, prior)
    assert found == pytest.approx(by_scikit_learn(scores, labels, prior), rel=1e-6)


def test_calibration_is_unbiased_away_from_one_half() -> None:
    """Smoothed targets under prior weights had a cross-entropy of 0.0860, an actDCF of 0.3109."""
    scores, labels = unbalanced(0, 30, 200)
    fitted = fit_affine_calibration(scores, labels, 0.95)
    assert objective(fitted, scores.numpy(), labels.numpy(), 0.95) == pytest.approx(0.0607691968)
    unseen, keys = unbalanced(100, 3000, 20000)
    llrs = fitted.scale * unseen + fitted.offset
    assert actual_dcf(llrs, keys, 0.95).cost == pytest.approx(0.2969166667)


def test_infinite_scores_are_named() -> None:
    for value in (math.inf, -math.inf):
        scores = torch.tensor([0.0, 1.0, value, 2.0])
        message = f"^scores: expected finite numbers, got {value} at trial 2$"
        with pytest.raises(ValueError, match=message):
            fit_affine_calibration(scores, torch.tensor([0, 1, 0, 1]))
        with pytest.raises(ValueError, match=f"got {value} at trial 2, system 0$"):
            fit_fusion(scores[:, None], torch.tensor([0, 1, 0, 1]))


def test_inverted_scores_are_said_with_trials() -> None:
    scores = torch.tensor([3.0, 1.5, 2.5, 0.5, 2.0, -1.0])
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    message = r"got a scale of -.*: inverted\? Trial 0 of label 0 scores 3, trial 5 of label 1 -1$"
    with pytest.warns(UserWarning, match=message):
        assert fit_affine_calibration(scores, labels).scale < 0


@INVERTED
@settings(deadline=None, max_examples=30, derandomize=False)
@given(trials(), st.sampled_from([0.01, 1.0, 250.0]), st.floats(-100, 100))
def test_calibration_takes_any_affine_change_back(drawn, factor, shift) -> None:
    scores, labels = drawn
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
    # Two trials a class bound what they can claim: log 3 = 1.1 on their mean.
    assert float(llr.abs().max()) < 3.0
    few, many = (torch.linspace(-gap, gap, n).double() for n in (4, 2000))
    bounds = [fit_affine_calibration(x, (x > 0).long()).scale * gap for x in (few, many)]
    assert all(math.isfinite(scale) for scale in bounds)
    assert bounds[1] > 4 * bounds[0], "more trials may claim more"


@pytest.mark.parametrize("prior", [0.95, 0.5, 0.01])
@pytest.mark.parametrize("count", [20, 300])
def test_separated_scores_claim_what_their_number_allows_at_every_prior(prior, count) -> None:
    labels = torch.arange(2 * count) // count
    scale, offset = fit_affine_calibration(labels.double(), labels, prior)
    assert scale + offset == pytest.approx(math.log(count), rel=1e-7)
    assert offset == pytest.approx(-math.log(count), rel=1e-7)


def test_calibration_sees_the_polarity_and_the_truth() -> None:
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(40000) % 2
    # Equal-variance normals, means ±1: the true LLR is 2·s.
    scores = torch.randn(len(labels), generator=generator, dtype=torch.float64) + 2.0 * labels - 1
    for prior in (0.5, 0.1):
        scale, offset = fit_affine_calibration(scores, labels, prior)
        assert scale == pytest.approx(2.0, abs=0.1)
        assert offset == pytest.approx(0.0, abs=0.1)
    with pytest.warns(UserWarning, match="inverted"):
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
