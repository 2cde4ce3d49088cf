"""Cutting audio into windows, the reference encoder, and the pipeline as one module."""

import copy
import io
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from scriptable import (
    LFCC,
    AMSoftmax,
    AttentiveStatisticsPooling,
    LightCNN,
    LogMel,
    MaxFeatureMap,
    OCSoftmax,
    ScorePipeline,
    average_windows,
    cut_windows,
    window_starts,
)

FRESH = settings(deadline=None, derandomize=False)
sizes = st.tuples(st.integers(1, 400), st.integers(1, 90), st.integers(1, 120))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(2)


# Windows


@FRESH
@given(sizes)
def test_starts(drawn) -> None:
    length, size, hop = drawn
    starts = window_starts(length, size, hop)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    if length <= size:
        assert starts == [0]
        return
    assert starts[-1] + size <= length
    regular = [start for start in range(0, length, hop) if start + size <= length]
    assert starts[: len(regular)] == regular
    assert starts[len(regular) :] in ([], [length - size])
    # The last window always ends with the audio, in step or not.
    assert starts[-1] == length - size
    if hop <= size:
        covered = np.zeros(length, dtype=bool)
        for start in starts:
            covered[start : start + size] = True
        assert covered.all()


@FRESH
@given(sizes)
def test_windows_are_the_samples_from_their_starts(drawn) -> None:
    length, size, hop = drawn
    waveform = torch.arange(float(length))
    windows = cut_windows(waveform, size, hop)
    starts = window_starts(length, size, hop)
    expected = [[(start + i) % length for i in range(size)] for start in starts]
    assert windows.tolist() == expected
    assert torch.equal(waveform, torch.arange(float(length)))


@pytest.mark.parametrize(
    ("length", "size", "hop", "starts"),
    [
        (64600, 64600, 64600, [0]),
        (64601, 64600, 64600, [0, 1]),
        (129200, 64600, 64600, [0, 64600]),
        (129201, 64600, 64600, [0, 64600, 64601]),
        (1, 64600, 1, [0]),
        (10, 2, 5, [0, 5, 8]),
    ],
)
def test_known_starts(length, size, hop, starts) -> None:
    assert window_starts(length, size, hop) == starts


def test_bad_windows() -> None:
    for arguments, message in [
        ((0, 4, 4), "length: expected 1 or more samples, got 0"),
        ((4, 0, 4), "num_samples: expected 1 or more samples, got 0"),
        ((4, 4, -1), "hop: expected 1 or more samples, got -1"),
    ]:
        with pytest.raises(ValueError, match=f"^{message}$"):
            window_starts(*arguments)
    with pytest.raises(ValueError, match=re.escape("waveform: expected shape [L], got [1, 4]")):
        cut_windows(torch.zeros(1, 4), 2, 2)
    with pytest.raises(ValueError, match="length: expected 1 or more samples, got 0"):
        cut_windows(torch.zeros(0), 2, 2)
    with pytest.raises(ValueError, match=re.escape("scores: expected shape [W], got [2, 1]")):
        average_windows(torch.zeros(2, 1))


def test_the_average_is_taken_in_float64() -> None:
    scores = torch.tensor([1.0, 2.0**-30, -1.0, 2.0**-30])
    assert average_windows(scores) == 2.0**-31
    # In float32 the small terms would drown in the ones.
    assert float(torch.stack([scores[:2].sum(), scores[2:].sum()]).sum() / 4) == 0.0
    assert average_windows(torch.full((7,), 0.1)) == pytest.approx(float(torch.tensor(0.1)), 1e-15)


# Encoder


def test_max_feature_map_takes_the_larger_half() -> None:
    for shape in ((2, 6), (2, 6, 5), (2, 6, 5, 4)):
        x = torch.randn(shape)
        expected = np.maximum(x.numpy()[:, :3], x.numpy()[:, 3:])
        assert np.array_equal(MaxFeatureMap()(x).numpy(), expected)


def test_pooling_equals_a_loop() -> None:
    pooling = AttentiveStatisticsPooling(4, bottleneck=3).double()
    x = torch.randn(2, 4, 7, dtype=torch.float64)
    parameters = {key: value.detach().numpy() for key, value in pooling.named_parameters()}
    expected = np.zeros((2, 8))
    for item in range(2):
        energy = np.zeros((4, 7))
        for t in range(7):
            frame = x[item, :, t].numpy()
            hidden = np.tanh(
                parameters["hidden.weight"][:, :, 0] @ frame + parameters["hidden.bias"]
            )
            energy[:, t] = parameters["attention.weight"][:, :, 0] @ hidden
            energy[:, t] += parameters["attention.bias"]
        for c in range(4):
            weights = np.exp(energy[c]) / np.exp(energy[c]).sum()
            mean = sum(weights[t] * float(x[item, c, t]) for t in range(7))
            variance = sum(weights[t] * (float(x[item, c, t]) - mean) ** 2 for t in range(7))
            expected[item, c], expected[item, 4 + c] = mean, np.sqrt(variance)
    np.testing.assert_allclose(pooling(x).detach().numpy(), expected, rtol=1e-12)
    assert np.ptp(weights) > 1e-3


@pytest.mark.parametrize("frames", [1, 9])
def test_pooling_of_constant_features_is_finite(frames) -> None:
    x = torch.full((1, 4, frames), 3.0, requires_grad=True)
    pooled = AttentiveStatisticsPooling(4)(x)
    torch.testing.assert_close(pooled[0, :4], torch.full((4,), 3.0))
    torch.testing.assert_close(pooled[0, 4:], torch.full((4,), 1e-5).sqrt())
    (gradient,) = torch.autograd.grad(pooled.sum(), x)
    assert gradient.isfinite().all()
    with pytest.raises(ValueError, match=re.escape("x: expected shape [B, C, T], got [4, 9]")):
        AttentiveStatisticsPooling(4)(torch.zeros(4, 9))


def test_light_cnn_is_small_and_checks_its_input() -> None:
    encoder = LightCNN(n_features=60, embedding_dim=64)
    parameters = sum(p.numel() for p in encoder.parameters())
    assert 10_000 < parameters <= 120_000
    for frames in (8, 100, 405):
        assert encoder(torch.randn(2, 60, frames)).shape == (2, 64)
    for shape in ((2, 59, 10), (60, 10), (2, 1, 60, 10)):
        message = f"features: expected shape [B, 60, T], got {list(shape)}"
        with pytest.raises(ValueError, match=re.escape(message)):
            encoder(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"^n_features: expected 8 or more, got 7$"):
        LightCNN(7)


def test_every_parameter_of_the_encoder_learns() -> None:
    encoder = LightCNN(20, 16)
    encoder(torch.randn(3, 20, 40)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        # The softmax over time takes no notice of a constant per channel.
        assert parameter.grad is not None
        assert bool(parameter.grad.any()) or name == "pooling.attention.bias"


# Pipeline

SAMPLES = 4000


def make_pipeline(head: nn.Module | None = None) -> ScorePipeline:
    frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True)
    return ScorePipeline(frontend, LightCNN(20, 16), head or OCSoftmax(16), SAMPLES)


def speech_like(batch: int = 3) -> Tensor:
    return 0.1 * torch.randn(batch, SAMPLES)


def test_the_pipeline_is_its_parts() -> None:
    pipeline = make_pipeline().eval()
    waveform = speech_like()
    embeddings = pipeline.encoder(pipeline.frontend(waveform))
    assert torch.equal(pipeline(waveform), pipeline.head.score(embeddings))
    labels = torch.tensor([1, 0, 1])
    assert torch.equal(pipeline.loss(waveform, labels), pipeline.head(embeddings, labels))
    assert pipeline(waveform).shape == (3,)
    # Each item by itself: nothing leaks across the batch.
    single = torch.cat([pipeline(waveform[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(single, pipeline(waveform), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(SAMPLES,), (2, SAMPLES - 1), (1, 2, SAMPLES)])
def test_pipeline_checks_its_waveform(shape) -> None:
    pipeline = make_pipeline().eval()
    message = f"waveform: expected shape [B, {SAMPLES}], got {list(shape)}"
    for call in (pipeline, lambda x: pipeline.loss(x, torch.tensor([0]))):
        with pytest.raises(ValueError, match=re.escape(message)):
            call(torch.zeros(shape))
    with pytest.raises(torch.jit.Error, match=re.escape(f"ValueError: {message}")):
        torch.jit.script(pipeline)(torch.zeros(shape))


def test_pipeline_checks_its_parts() -> None:
    parts = LFCC(), LightCNN(40)
    message = "head: expected a module with forward and score, got Linear without score"
    with pytest.raises(ValueError, match=f"^{message}$"):
        ScorePipeline(*parts, nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"^num_samples: expected 1 or more, got 0$"):
        ScorePipeline(*parts, OCSoftmax(64), num_samples=0)
    assert ScorePipeline(*parts, OCSoftmax(64)).num_samples == 64600


@pytest.mark.parametrize("head", [OCSoftmax, AMSoftmax])
def test_the_pipeline_learns(head) -> None:
    pipeline = make_pipeline(head(16))
    labels = torch.tensor([0, 1] * 4)
    time = torch.arange(SAMPLES) / 16000
    tones = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (500.0, 3000.0)])
    waveform = 0.1 * tones[labels] + 0.01 * torch.randn(8, SAMPLES)
    optimiser = torch.optim.Adam(pipeline.parameters(), lr=0.01)
    before = copy.deepcopy(pipeline.state_dict())
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        loss = pipeline.loss(waveform, labels)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    moved = {k for k, v in pipeline.state_dict().items() if not torch.equal(v, before[k])}
    assert moved >= {"head.mapper.weight", "encoder.embedding.weight", "encoder.blocks.0.0.weight"}
    assert not any(key.startswith("frontend") for key in moved)
    score = pipeline(waveform).detach()
    assert score[labels == 1].min() > score[labels == 0].max()


def test_silence_and_full_scale_are_scored() -> None:
    pipeline = make_pipeline().eval()
    square = torch.ones(1, SAMPLES)
    square[:, ::2] = -1.0
    score = pipeline(torch.cat([torch.zeros(1, SAMPLES), square, -square]))
    assert score.isfinite().all()
    assert score.abs().max() <= 1.0


@pytest.mark.parametrize("frontend", ["lfcc", "logmel"])
def test_script_and_export_equal_eager(frontend) -> None:
    pipeline = make_pipeline().eval()
    if frontend == "logmel":
        pipeline = ScorePipeline(LogMel(n_mels=24), LightCNN(24, 16), OCSoftmax(16), SAMPLES).eval()
    state = {key: value.clone() for key, value in pipeline.state_dict().items()}
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(pipeline), buffer)
    buffer.seek(0)
    compiled = torch.jit.load(buffer)
    program = torch.export.export(pipeline, (speech_like(),)).module()
    for waveform in (speech_like(), 0.5 * speech_like(), torch.zeros(3, SAMPLES)):
        expected = pipeline(waveform)
        for shipped in (compiled, program):
            for _ in range(2):
                torch.testing.assert_close(shipped(waveform), expected, atol=1e-6, rtol=0)
    assert all(torch.equal(value, state[key]) for key, value in pipeline.state_dict().items())
