"""Verification scores and PLDA: against brute force, SciPy's normal and SpeechBrain."""

import json
import math
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import scriptable as sc
from scriptable.scoring.plda import diagonalise

stats = pytest.importorskip("scipy.stats")
FRESH = settings(deadline=None, max_examples=25, derandomize=False)
SEEDS = st.integers(0, 2**31)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Cosine


@FRESH
@given(SEEDS, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_cosine_equals_brute_force(seed, speakers, batch, several) -> None:
    enrolled, test = normal(seed, speakers, several, 5), normal(seed + 1, batch, 5)
    found = sc.CosineScore()(enrolled, test)
    for n in range(speakers):
        centre = sum(e / np.linalg.norm(e) for e in enrolled[n].numpy())
        for b in range(batch):
            t = test[b].numpy()
            expected = centre @ t / np.linalg.norm(centre) / np.linalg.norm(t)
            assert float(found[b, n]) == pytest.approx(expected, abs=1e-12)
    torch.testing.assert_close(sc.cosine_score(sc.speaker_centroid(enrolled), test), found)
    if several == 1:
        torch.testing.assert_close(sc.cosine_score(enrolled[:, 0], test), found)
    single = sc.cosine_score(enrolled.float(), test.float())
    torch.testing.assert_close(single.double(), found, atol=1e-5, rtol=0)


def test_zero_vectors_score_zero_in_the_graph_and_are_named_on_the_host() -> None:
    enrolled = torch.zeros(1, 3).requires_grad_()
    test = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).requires_grad_()
    scores = sc.cosine_score(enrolled, test)
    assert scores.tolist() == [[0.0], [0.0]]
    scores.sum().backward()
    assert torch.isfinite(enrolled.grad).all()
    assert torch.isfinite(test.grad).all()
    opposite = torch.tensor([[[1.0, 0.0], [-1.0, 0.0]]])
    assert sc.cosine_score(opposite, torch.ones(1, 2)).tolist() == [[0.0]]
    with pytest.raises(ValueError, match=r"^test: expected a direction, got a zero .* at \[1\]$"):
        sc.check_embeddings(test, "test")
    with pytest.raises(ValueError, match=r"^e: expected finite numbers, got NaN or inf at \[0, 1"):
        sc.check_embeddings(torch.tensor([[[1.0], [math.nan]]]), "e")
    sc.check_embeddings(torch.ones(2, 3, 4))


# Score normalisation


def by_hand(scores: Tensor, enrolled: Tensor, test: Tensor, form: str, top: int) -> np.ndarray:
    best = top if form == "as" else enrolled.shape[1]
    result = np.zeros(scores.shape)
    for b in range(scores.shape[0]):
        for n in range(scores.shape[1]):
            e, t = (np.sort(x.numpy())[::-1][:best] for x in (enrolled[n], test[b]))
            # A spread below 1e-4 counts as 1e-4: equal cohort scores must not divide by nothing.
            z, u = ((float(scores[b, n]) - x.mean()) / max(x.std(), 1e-4) for x in (e, t))
            result[b, n] = {"z": z, "t": u}.get(form, (z + u) / 2)
    return result


@FRESH
@given(SEEDS, st.sampled_from(["z", "t", "s", "as"]), st.integers(2, 7))
def test_score_norm_equals_brute_force(seed, form, top) -> None:
    scores, enrolled, test = normal(seed, 3, 2), normal(seed + 1, 2, 7), normal(seed + 2, 3, 7)
    found = sc.score_norm(scores, enrolled, test, form, top)
    np.testing.assert_allclose(found, by_hand(scores, enrolled, test, form, top), atol=1e-10)
    cohort, speakers, heard = normal(seed, 7, 5), normal(seed + 1, 2, 2, 5), normal(seed + 2, 3, 5)
    module = sc.ScoreNorm(cohort, form, top).double()
    expected = by_hand(
        sc.cosine_score(speakers, heard),
        sc.cosine_score(cohort, sc.speaker_centroid(speakers)),
        sc.cosine_score(cohort, heard),
        form,
        top,
    )
    np.testing.assert_allclose(module(speakers, heard), expected, atol=1e-9)


def test_score_norm_at_the_edges() -> None:
    scores = torch.tensor([[0.5]], requires_grad=True)
    same = torch.full((1, 4), 0.25, requires_grad=True)
    for form in ("z", "t", "s", "as"):
        result = sc.score_norm(scores, same, same, form, 3)
        assert torch.isfinite(result).all()
        assert all(torch.isfinite(g).all() for g in torch.autograd.grad(result, [scores, same]))
    scorer = sc.ScoreNorm(normal(0, 6, 3).float(), "as", 4)
    assert torch.isfinite(scorer(torch.zeros(2, 3), torch.zeros(1, 3))).all()
    half = scorer.half()(normal(1, 2, 3).half(), normal(2, 1, 3).half())
    assert half.dtype == torch.float32


COHORT = torch.eye(3)
BAD_NORMS = [
    (lambda: sc.ScoreNorm(COHORT), "top: expected at most the 3 of the cohort, got 300"),
    (lambda: sc.ScoreNorm(COHORT, "as", 1), "top: expected 2 or more, got 1"),
    (lambda: sc.ScoreNorm(COHORT, "as1"), "form: expected one of ['z', 't', 's', 'as'], got as1"),
    (lambda: sc.ScoreNorm(COHORT[:1], "z"), "cohort: expected shape [C, D] with C of 2 or more"),
    (
        lambda: sc.ScoreNorm(torch.zeros(3, 3), "z"),
        "cohort: expected a direction, got a zero vector at [0]",
    ),
    (
        lambda: sc.ScoreNorm(torch.tensor([[3.0, 4.0]]).repeat(20, 1), "as", 5),
        "cohort: expected embeddings that differ, got 20 of one direction, such as [0] and [1]; "
        "the 5 highest scores of an utterance may all be theirs, with no spread",
    ),
    (
        lambda: sc.ScoreNorm(torch.cat([COHORT, COHORT[1:2] * 5, COHORT[1:2]]), "as", 3),
        "cohort: expected embeddings that differ, got 3 of one direction, such as [1] and [3]",
    ),
    (
        lambda: sc.check_cohort(torch.tensor([[0.1, 0.4, 0.4], [0.9, 0.4, 0.4]]), 2, "test_cohort"),
        "test_cohort: expected scores that differ, got 2 of 0.4 for trial 0",
    ),
    (
        lambda: sc.score_norm(torch.ones(2, 3), torch.ones(3, 5), torch.ones(3, 5), "s"),
        "test_cohort: expected shape [2, C] with C of 2 or more, got [3, 5]",
    ),
    (
        lambda: sc.score_norm(torch.ones(1, 1), torch.ones(1, 5), torch.ones(1, 4), "as", 5),
        "top: expected at most the 4 of the cohort, got 5",
    ),
    (lambda: sc.cosine_score(torch.ones(2), torch.ones(1, 2)), "enrolled: expected shape [N, 2]"),
    (lambda: sc.cosine_score(torch.ones(1, 2), torch.ones(2)), "test: expected shape [B, D]"),
]


@pytest.mark.parametrize(("call", "message"), BAD_NORMS)
def test_bad_scorers_are_named(call, message) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        call()


# PLDA


def covariance(seed: int, size: int, rank: int | None = None) -> Tensor:
    x = normal(seed, size, rank or 2 * size)
    return x @ x.T / x.shape[1]


@FRESH
@given(SEEDS, st.integers(1, 3), st.integers(1, 4))
def test_plda_equals_the_joint_normal(seed, several, size) -> None:
    mean, within = normal(seed, size), covariance(seed + 1, size) + 0.1 * torch.eye(size)
    between = covariance(seed + 2, size, rank=max(1, size - 1))
    plda = sc.PLDA(mean.double(), within, between, length_norm=False).double()
    enrolled, test = normal(seed + 3, 2, several, size), normal(seed + 4, 3, size)
    # The buffers were rounded to float32: put the exact ones back.
    plda.mean.copy_(mean)
    plda.transform, plda.between = diagonalise(within, between)
    found = plda(enrolled, test)
    total = (between + within).numpy()
    blocks = np.ones((several + 1, several + 1))
    same = np.kron(blocks, between.numpy()) + np.kron(np.eye(several + 1), within.numpy())
    known = same[: several * size, : several * size]
    for n in range(2):
        for b in range(3):
            e, t = (enrolled[n] - mean).flatten().numpy(), (test[b] - mean).numpy()
            expected = (
                stats.multivariate_normal.logpdf(np.concatenate([e, t]), cov=same)
                - stats.multivariate_normal.logpdf(e, cov=known)
                - stats.multivariate_normal.logpdf(t, cov=total)
            )
            assert float(found[b, n]) == pytest.approx(expected, abs=1e-8, rel=1e-8)
    if several == 1:
        turned = plda(test, enrolled[:, 0])
        torch.testing.assert_close(turned.T, found, atol=1e-9, rtol=1e-9)


PLDA_PEER = """
import json, sys
import numpy as np
from speechbrain.processing.PLDA_LDA import Ndx, StatObject_SB, fast_PLDA_scoring
mean, factor, within, enrolled, test = (np.array(x) for x in json.load(sys.stdin))
def statistics(x, name):
    names = np.array([f"{name}{i}" for i in range(len(x))], dtype="|O")
    none = np.array([None] * len(x))
    return StatObject_SB(names, names, none, none, np.ones((len(x), 1)), x)
e, t = statistics(enrolled, "e"), statistics(test, "t")
ndx = Ndx(models=np.repeat(e.modelset, len(test)), testsegs=np.tile(t.segset, len(enrolled)))
found = fast_PLDA_scoring(e, t, ndx, mean, factor, within)
order = [list(found.modelset).index(m) for m in e.modelset]
print(json.dumps(found.scoremat[order].tolist()))
"""


def test_plda_equals_speechbrain() -> None:
    if find_spec("speechbrain") is None:
        pytest.skip("speechbrain is not installed: make toolkits")
    mean, factor, within = normal(1, 4), normal(2, 4, 3), covariance(3, 4) + 0.5 * torch.eye(4)
    enrolled, test = normal(4, 3, 4), normal(5, 2, 4)
    parts = [x.tolist() for x in (mean, factor, within, enrolled, test)]
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLDA_PEER],
        input=json.dumps(parts),
        capture_output=True,
        text=True,
        check=True,
    )
    plda = sc.PLDA(mean, within, factor @ factor.T, length_norm=False)
    found = plda(enrolled.float(), test.float()).T
    torch.testing.assert_close(found, torch.tensor(json.loads(result.stdout)), atol=1e-4, rtol=1e-4)


def likelihood(x: Tensor, speakers: Tensor, model: sc.TwoCovariance) -> float:
    total = 0.0
    for speaker in speakers.unique():
        own = (x[speakers == speaker] - model.mean).numpy()
        n = len(own)
        joint = np.kron(np.ones((n, n)), model.between) + np.kron(np.eye(n), model.within)
        total += stats.multivariate_normal.logpdf(own.flatten(), cov=joint)
    return float(total)


@settings(deadline=None, max_examples=10, derandomize=False)
@given(SEEDS)
def test_em_raises_the_likelihood_at_every_step(seed) -> None:
    generator = torch.Generator().manual_seed(seed)
    speakers = torch.cat([torch.arange(8), torch.randint(8, (22,), generator=generator)])
    x = normal(seed, 8, 3)[speakers] @ normal(seed + 1, 3, 3) + normal(seed + 2, 30, 3)
    values = [
        likelihood(x, speakers, sc.fit_two_covariance(x, speakers, steps)) for steps in range(7)
    ]
    assert all(after >= before - 1e-9 for before, after in pairwise(values))


def test_em_reaches_the_closed_form_of_balanced_data() -> None:
    speakers = torch.arange(120) // 4
    x = 2.0 * normal(1, 30, 2)[speakers] + normal(2, 120, 2) + 5.0
    model = sc.fit_two_covariance(x, speakers, 2000)
    means = x.reshape(30, 4, 2).mean(1)
    within = (x - means[speakers]).T @ (x - means[speakers]) / (120 - 30)
    between = (means - x.mean(0)).T @ (means - x.mean(0)) / 30 - within / 4
    torch.testing.assert_close(model.mean, x.mean(0), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(model.within, within, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(model.between, between, atol=1e-6, rtol=1e-6)


def test_lda_equals_scipy() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    speakers = torch.arange(60) % 6
    x = 2 * normal(3, 6, 4)[speakers] + normal(4, 60, 4)
    lda = sc.fit_lda(x, speakers, 3)
    means = torch.stack([x[speakers == s].mean(0) for s in range(6)])
    within = (x - means[speakers]).T @ (x - means[speakers]) / 54
    between = (means - x.mean(0)).T @ (means - x.mean(0))
    _, vectors = linalg.eigh(between.numpy(), within.numpy())
    theirs = torch.tensor(vectors[:, ::-1][:, :3].copy())
    torch.testing.assert_close((lda * (theirs * lda).sum(0).sign()).abs(), theirs.abs())
    torch.testing.assert_close(lda.T @ within @ lda, torch.eye(3).double())


def test_fitted_plda_tells_speakers_apart_and_survives_a_state_dict() -> None:
    speakers = torch.arange(400) // 5
    x = (normal(5, 80, 10)[speakers] + 0.3 * normal(6, 400, 10) + 3.0).float()
    plda = sc.fit_plda(x[:300], speakers[:300], lda_dim=6)
    enrolled, test = x[300:].reshape(20, 5, 10)[:, :3], x[300:].reshape(20, 5, 10)[:, 4]
    scores = plda(enrolled, test)
    labels = torch.eye(20, dtype=torch.int64)
    assert sc.equal_error_rate(scores.flatten(), labels.flatten()).rate < 0.05
    assert float(scores[labels == 1].mean()) > 0 > float(scores[labels == 0].mean())
    other = sc.PLDA(torch.zeros(6), torch.eye(6), torch.eye(6), lda=torch.zeros(10, 6))
    other.load_state_dict(plda.state_dict())
    torch.testing.assert_close(other(enrolled, test), scores, atol=0, rtol=0)


X, WHO = normal(7, 12, 2), torch.arange(12) // 3
BAD_FITS = [
    (lambda: sc.fit_plda(X, torch.zeros(12)), "speakers: expected two or more, got 1"),
    (lambda: sc.fit_plda(X, torch.arange(12)), "speakers: expected one with two or more embed"),
    (lambda: sc.fit_plda(X, WHO[:5]), "speakers: expected shape [12], got [5]"),
    (lambda: sc.fit_plda(X[:, :1] * torch.ones(2), WHO), "embeddings: expected within-speaker"),
    (lambda: sc.fit_plda(X * torch.tensor([1.0, math.nan]), WHO), "embeddings: expected finite"),
    (lambda: sc.fit_plda(X * (WHO > 0)[:, None], WHO), "embeddings: expected a direction, got a"),
    (lambda: sc.fit_lda(X, WHO, 3), "dim: expected 1 to 2, got 3"),
    (lambda: sc.fit_plda(X, WHO, -1), "lda_dim: expected 0 or more, got -1"),
    (lambda: sc.PLDA(torch.zeros(2), torch.zeros(2, 2), torch.eye(2)), "within: expected a posit"),
    (lambda: sc.PLDA(torch.zeros(2), torch.eye(2), -torch.eye(2)), "between: expected a positive"),
    (lambda: sc.PLDA(torch.zeros(2), torch.eye(3), torch.eye(2)), "within: expected shape [2, 2]"),
]


@pytest.mark.parametrize(("call", "message"), BAD_FITS)
def test_bad_fits_are_named(call, message) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(message)):
        call()


# Posteriors


@given(st.floats(-80, 80), st.floats(0.001, 0.999))
def test_posterior_module_equals_the_function(llr, prior) -> None:
    found = float(sc.Posterior(prior)(torch.tensor(llr, dtype=torch.float64)))
    assert found == pytest.approx(sc.posterior(llr, prior), abs=1e-12)


# Pipelines


def test_pipelines_equal_their_parts_and_check_their_samples() -> None:
    frontend = sc.LogMel(n_mels=24)
    scorer = sc.ScoreNorm(normal(12, 9, 8).float(), "as", 5)
    speaker = sc.EmbeddingPipeline(frontend, sc.LightCNN(24, 8), 4000, scorer)
    spoof = sc.ScorePipeline(frontend, sc.LightCNN(24, 8), sc.OCSoftmax(8), 4000)
    both = sc.SASVPipeline(speaker, spoof, sc.SASVScore(2.0, -1.0, 5.0, 0.0, 0.2)).eval()
    waveform = 0.1 * normal(13, 3, 4000).float()
    embeddings, live = both(waveform)
    torch.testing.assert_close(embeddings, speaker(waveform))
    torch.testing.assert_close(live, spoof(waveform))
    asv = speaker.verify(embeddings[:2], embeddings)
    torch.testing.assert_close(asv, scorer(embeddings[:2], embeddings))
    llr = both.verify(embeddings[:2], embeddings, live)
    torch.testing.assert_close(llr, sc.sasv_score(2 * asv - 1, 5 * live[:, None], 0.2))
    with pytest.raises(ValueError, match=r"^waveform: expected shape \[B, 4000\]"):
        speaker(waveform[:, :10])
    shorter = sc.ScorePipeline(frontend, sc.LightCNN(24, 8), sc.OCSoftmax(8), 3000)
    with pytest.raises(ValueError, match=r"^countermeasure: expected num_samples 4000, got 3000$"):
        sc.SASVPipeline(speaker, shorter, sc.SASVScore())
