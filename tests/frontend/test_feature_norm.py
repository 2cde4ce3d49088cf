"""Normalisation by statistics of the training audio: the constants, and where they go."""

import pytest
import torch
from torch import nn

from scriptable import LFCC, FeatureNorm, LightCNN, OCSoftmax, ScorePipeline, build_frontend


def test_it_is_the_identity_until_it_is_fitted() -> None:
    x = torch.randn(2, 3, 7)
    assert torch.equal(FeatureNorm(3)(x), x)


def test_fitted_features_have_mean_zero_and_spread_one_by_a_loop() -> None:
    x = torch.randn(4, 3, 9, dtype=torch.float64) * torch.tensor([9.2, 0.27, 1.0]).view(1, 3, 1)
    x += torch.tensor([-40.0, 0.0, 3e4]).view(1, 3, 1)
    norm = FeatureNorm(3).double().fit(x)
    for f in range(3):
        row = x[:, f].flatten()
        expected = (x[:, f] - row.mean()) / row.std(correction=0)
        torch.testing.assert_close(norm(x)[:, f], expected, rtol=1e-9, atol=1e-9)
    other = torch.randn(1, 3, 5, dtype=torch.float64)
    means, spreads = x.mean((0, 2)), x.std((0, 2), correction=0)
    expected = (other - means[:, None]) / spreads[:, None]
    torch.testing.assert_close(norm(other), expected, rtol=1e-9, atol=1e-9)


def test_a_constant_feature_is_only_centred() -> None:
    x = torch.full((2, 1, 5), -11.5)
    norm = FeatureNorm(1).fit(x)
    assert not bool(norm(x).any()) and float(norm.scale) == 1.0
    assert float(norm(x + 0.25).max()) == 0.25


def test_shapes_and_values_that_cannot_be_are_refused() -> None:
    norm = FeatureNorm(3)
    for x in (torch.zeros(2, 4, 5), torch.zeros(3, 5)):
        with pytest.raises(
            ValueError, match=rf"^x: expected shape \[B, 3, T\], got .*{x.shape[-1]}"
        ):
            norm(x)
    with pytest.raises(ValueError, match=r"^features: expected shape \[B, 3, T\], got \[1, 2, 5\]"):
        norm.fit(torch.zeros(1, 2, 5))
    with pytest.raises(ValueError, match=r"^features: expected finite numbers"):
        norm.fit(torch.full((1, 3, 5), float("nan")))
    for shape in ((1, 3, 0), (0, 3, 5)):
        with pytest.raises(ValueError, match=r"^features: expected a frame or more, got \["):
            norm.fit(torch.zeros(shape))
    assert not bool(norm.mean.any()) and bool((norm.scale == 1).all()), "left as it was"
    for size in (0, 2.5):
        with pytest.raises(ValueError, match=r"^n_features: "):
            FeatureNorm(size)  # type: ignore[arg-type]


def test_a_checkpoint_holds_what_was_fitted_and_one_without_it_loads() -> None:
    frontend = build_frontend(
        [{"type": "LFCC", "n_lfcc": 20}, {"type": "FeatureNorm", "n_features": 20}]
    )
    assert isinstance(frontend, nn.Sequential) and isinstance(frontend[1], FeatureNorm)
    pipeline = ScorePipeline(frontend, LightCNN(20, 8), OCSoftmax(8), 8000).eval()
    plain = ScorePipeline(LFCC(n_lfcc=20), pipeline.encoder, pipeline.head, 8000).eval()
    waveform = torch.randn(1, 8000)
    assert torch.equal(pipeline(waveform), plain(waveform))
    frontend[1].fit(frontend[0](waveform))
    again = ScorePipeline(
        nn.Sequential(LFCC(n_lfcc=20), FeatureNorm(20)), LightCNN(20, 8), OCSoftmax(8), 8000
    ).eval()
    again.load_state_dict(pipeline.state_dict())
    assert torch.equal(again(waveform), pipeline(waveform))
    assert not torch.equal(again(waveform), plain(waveform))
