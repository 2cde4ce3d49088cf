"""Fusion of systems, and of speaker and spoof evidence: against brute force and Bayes' rule."""

import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import scriptable as sc

FRESH = settings(deadline=None, max_examples=25, derandomize=False)
SEEDS = st.integers(0, 2**31)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_fusion_of_one_system_is_its_calibration_and_twins_share() -> None:
    labels = torch.arange(200) % 2
    scores = normal(8, 200) + 1.5 * labels
    alone = sc.fit_affine_calibration(scores, labels, 0.1)
    one = sc.fit_fusion(scores[:, None], labels, 0.1)
    assert (one.weights[0], one.offset) == pytest.approx(alone)
    two = sc.fit_fusion(torch.stack([scores, scores], 1), labels, 0.1)
    assert two.weights == pytest.approx((alone.scale / 2, alone.scale / 2))
    other = normal(9, 200) + 1.5 * labels
    both = torch.stack([scores, other], 1)
    fused = sc.Fusion(*sc.fit_fusion(both, labels))(both.float())
    assert sc.cllr(fused, labels) < min(
        sc.cllr(sc.AffineCalibration(*sc.fit_affine_calibration(s, labels))(s), labels)
        for s in (scores, other)
    )


def separable(scores: Tensor, labels: Tensor) -> bool:
    """Whether a plane separates the classes, by linear programming."""
    optimize = pytest.importorskip("scipy.optimize")
    sign = 2.0 * labels[:, None] - 1.0
    margins = -(sign * torch.cat([scores, torch.ones(len(scores), 1)], 1)).numpy()
    found = optimize.linprog(
        [0.0] * margins.shape[1], margins, [-1.0] * len(scores), bounds=(None, None)
    )
    return found.status == 0


@FRESH
@given(SEEDS, st.sampled_from([0.5, 0.05]))
def test_fusion_minimises_its_objective(seed, prior) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.tensor([0, 1]), torch.randint(2, (18,), generator=generator)])
    scores = normal(seed, 20, 3) + labels[:, None]
    weights, offset = sc.fit_fusion(scores, labels, prior)
    point = torch.tensor([*weights, offset], dtype=torch.float64, requires_grad=True)
    positive = int(labels.sum())
    weight = torch.where(labels == 1, prior / positive, (1 - prior) / (20 - positive))
    target = labels.double()
    if separable(scores, labels):
        # One trial more in each class, spread over the scores of the other.
        ours = torch.where(labels == 1, prior / (positive + 1), (1 - prior) / (21 - positive))
        theirs = torch.where(
            labels == 1,
            (1 - prior) / (21 - positive) / positive,
            prior / (positive + 1) / (20 - positive),
        )
        weight = ours + theirs
        target = torch.where(labels == 1, ours, theirs).double() / weight
    logits = scores @ point[:3] + point[3] + math.log(prior / (1 - prior))
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    (gradient,) = torch.autograd.grad(
        (weight * loss(logits, target, reduction="none")).sum(), point
    )
    assert float(gradient.abs().max()) < 1e-7


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([[0.0, 1.0], [1.0, math.nan]], "scores: expected numbers, got NaN at trial 1, system 1"),
        ([[0.0, 1.0], [1.0, math.inf]], "scores: expected finite numbers, got inf at trial 1"),
        ([[0.0, 1.0], [1.0, 1.0]], "scores: expected at least two different values, got constant"),
        ([0.0, 1.0], "scores: expected shape [T, K], got [2]"),
    ],
)
def test_bad_fusions_are_named(scores, message) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        sc.fit_fusion(torch.tensor(scores), torch.tensor([0, 1]))


@FRESH
@given(st.floats(-30, 30), st.floats(-30, 30), st.floats(0.01, 0.99))
def test_sasv_equals_bayes_rule(asv, cm, rho) -> None:
    found = float(
        sc.sasv_score(torch.tensor(asv).double(), torch.tensor(cm, dtype=torch.float64), rho)
    )
    asv = float(torch.tensor(asv).double())
    expected = -math.log((1 - rho) * math.exp(-asv) + rho * math.exp(-cm))
    assert found == pytest.approx(expected, abs=1e-9)
    # From the posteriors of three classes with explicit likelihoods.
    target, non, spoof = 1.0, math.exp(-asv), math.exp(-cm)
    prior = 0.3
    posterior = prior * target / (prior * target + (1 - prior) * ((1 - rho) * non + rho * spoof))
    assert sc.posterior(found, prior) == pytest.approx(posterior, rel=1e-9)
    assert found <= min(asv - math.log(1 - rho), cm - math.log(rho)) + 1e-9


def test_sasv_is_safe_far_out_and_smooth_where_the_two_are_equal() -> None:
    asv = torch.tensor([1e4, -1e4, 1e4, 3.0], requires_grad=True)
    cm = torch.tensor([1e4, 1e4, -1e4, 3.0], requires_grad=True)
    scores = sc.sasv_score(asv, cm, 0.5)
    assert scores.tolist() == pytest.approx([1e4, -1e4, -1e4, 3.0], abs=1.0)
    gradients = torch.autograd.grad(scores.sum(), [asv, cm])
    assert gradients[0].tolist() == pytest.approx([0.5, 1.0, 0.0, 0.5])
    assert gradients[1].tolist() == pytest.approx([0.5, 0.0, 1.0, 0.5])
    for prior in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match=r"^spoof_prior: expected a probability inside"):
            sc.SASVScore(spoof_prior=prior)


def test_sasv_beats_the_sum_where_one_evidence_is_overwhelming() -> None:
    labels = torch.arange(9000) % 3
    # LLRs of unit-variance normals, calibrated as they are drawn: 2·m·s with means ±m.
    asv = 8.0 * (normal(10, 9000) + torch.tensor([-4.0, 4.0, 4.0]).double()[labels])
    cm = 2.0 * (normal(11, 9000) + torch.tensor([1.0, 1.0, -1.0]).double()[labels])
    fused = sc.min_a_dcf(sc.SASVScore()(asv, cm), labels).cost
    assert fused < sc.min_a_dcf(asv + cm, labels).cost
