"""A stream in chunks equals the whole recording, in eager and from every saved file."""

import math
from pathlib import Path

import pytest
import torch
from artefact_helpers import RUNNABLE, usable
from stream_helpers import CHUNK, RATE, save_stream, tiny_stream
from torch import Tensor, nn

from export.catalog import draw
from export.speech import HINT, speech_files
from scriptable import (
    LFCC,
    MFCC,
    CausalLightCNN,
    CosineScore,
    KaldiFbank,
    LightCNN,
    LogMel,
    OCSoftmax,
    StreamingEmbeddingPipeline,
    StreamingScorePipeline,
)


def noise(seed: int, samples: int, batch: int = 1) -> Tensor:
    return draw.waveform(torch.Generator().manual_seed(seed), batch, samples)


def heard(
    pipeline: nn.Module, stream: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Score after each whole chunk ``[K, B]``, and the last state."""
    scores = []
    state = pipeline.initial_state(len(stream)) if state is None else state
    with torch.no_grad():
        for start in range(0, stream.shape[1] - pipeline.chunk_samples + 1, pipeline.chunk_samples):
            chunk = stream[:, start : start + pipeline.chunk_samples]
            score, state = pipeline(chunk, state)
            scores.append(score)
    return torch.stack(scores), state


def whole_score(pipeline: StreamingScorePipeline, stream: Tensor) -> Tensor:
    """As the front end, the encoder and the head say of a recording as a whole."""
    with torch.no_grad():
        features = pipeline.frontend(stream)
        features = features[:, :, : features.shape[2] - pipeline.delay]
        return pipeline.head.score(pipeline.encoder(features))


@pytest.mark.parametrize("half_life", [0.0, 40.0])
@pytest.mark.parametrize(
    ("stride", "hops"),
    [(1, 1), (1, 3), (1, 16), (2, 2), (4, 12), (8, 8), (8, 16), (8, 48), (8, 104)],
)
def test_chunks_give_the_score_of_the_whole(stride: int, hops: int, half_life: float) -> None:
    """In any chunks that are a multiple of the pipeline's hop."""
    chunk = 160 * hops
    pipeline = tiny_stream(half_life, chunk, stride)
    assert pipeline.hop == 160 * stride
    stream = noise(1, 48000, 2)
    scores, _ = heard(pipeline, stream)
    for index in (len(scores) // 2, len(scores) - 1):
        expected = whole_score(pipeline, stream[:, : (index + 1) * chunk])
        torch.testing.assert_close(scores[index], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "frontend",
    [
        lambda: LFCC(n_filter=20, n_lfcc=20, log_lf=True, center=False, deltas=2),
        lambda: LFCC(n_filter=20, n_lfcc=20, log_lf=True, center=False, deltas=1),
        lambda: LogMel(n_mels=24, n_fft=512, win_length=320, hop_length=160, center=False),
        lambda: LFCC(
            n_filter=20,
            n_lfcc=20,
            log_lf="log10",
            n_fft=512,
            hop_length=80,
            center=False,
            deltas=2,
            deltas_form="difference",
        ),
        lambda: MFCC(n_mfcc=13, n_mels=24, log_mels=True, hop_length=300, center=False, deltas=2),
    ],
    ids=["two slopes", "one slope", "no slope", "differences", "a hop that divides no window"],
)
@pytest.mark.parametrize("hops", [1, 2, 16])
def test_features_are_those_of_the_whole_recording(frontend: object, hops: int) -> None:
    front = frontend()  # type: ignore[operator]
    hop = front.spectrogram.hop_length
    pipeline = StreamingScorePipeline(
        front, CausalLightCNN(front.n_features, 8, stride=1), OCSoftmax(8), hops * hop
    ).eval()
    stream = noise(2, 64 * hop, 2)
    found = []

    def keep(features: Tensor, known: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        assert torch.equal(known[0], known[1])
        found.append(features[:, :, known[0] > 0.5])
        return torch.zeros(len(features), 8), state

    pipeline.encoder.step = keep  # type: ignore[assignment]
    heard(pipeline, stream)
    features = torch.cat(found, dim=2)
    expected = front(stream)
    assert features.shape[2] == expected.shape[2] - pipeline.delay
    torch.testing.assert_close(features, expected[:, :, : features.shape[2]], rtol=0, atol=2e-5)
    first = -(-pipeline.warmup_samples // pipeline.chunk_samples)
    assert [part.shape[2] > 0 for part in found] == [i + 1 >= first for i in range(len(found))]


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("half_life", [0.0, 40.0], ids=["all", "forgets"])
def test_a_saved_file_keeps_its_own_state_for_many_steps(
    name: str, half_life: float, tmp_path: Path
) -> None:
    backend = usable(name)
    pipeline = tiny_stream(half_life)
    path = save_stream(name, tmp_path / f"stream{backend.suffix}", pipeline)
    artefact = backend.load(path)
    stream = torch.cat([noise(3, 6 * CHUNK), torch.zeros(1, 2 * CHUNK), noise(4, 4 * CHUNK)], 1)
    state, own = pipeline.initial_state(), torch.zeros(1, pipeline.state_size)
    for chunk in stream.split(CHUNK, dim=1):
        with torch.no_grad():
            expected, state = pipeline(chunk, state)
        score, own = artefact.run("forward", (chunk, own))
        torch.testing.assert_close(score, expected, rtol=0, atol=5e-6)
        # Sums of hundreds and logarithms stand in one tensor: each by its own size.
        torch.testing.assert_close(own, state, rtol=2e-5, atol=1e-4)


def test_a_stream_begins_again_with_the_initial_state() -> None:
    pipeline = tiny_stream()
    stream = noise(5, 8 * CHUNK)
    first, state = heard(pipeline, stream)
    other, _ = heard(pipeline, stream, state)
    again, _ = heard(pipeline, stream, pipeline.initial_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(pipeline.initial_state(3), torch.zeros(3, pipeline.state_size))


def test_silence_of_any_length_is_heard_like_any_sound() -> None:
    pipeline = tiny_stream()
    silence = torch.zeros(1, 10 * CHUNK)
    stream = torch.cat([silence, noise(6, 5 * CHUNK), silence, noise(7, 5 * CHUNK)], 1)
    scores, state = heard(pipeline, stream)
    assert bool(torch.isfinite(scores).all()) and bool(torch.isfinite(state).all())
    torch.testing.assert_close(scores[-1], whole_score(pipeline, stream), rtol=0, atol=1e-6)


def test_streams_of_a_batch_do_not_meet() -> None:
    """Not even where one begins while the others are under way."""
    pipeline = tiny_stream()
    one, two = noise(8, 6 * CHUNK), noise(9, 3 * CHUNK)
    _, state = heard(pipeline, one[:, : 3 * CHUNK])
    both = torch.cat([one[:, 3 * CHUNK :], two])
    scores, _ = heard(pipeline, both, torch.cat([state, pipeline.initial_state()]))
    alone = torch.stack([heard(pipeline, one)[0][3:, 0], heard(pipeline, two)[0][:, 0]], dim=1)
    torch.testing.assert_close(scores, alone, rtol=0, atol=1e-6)


def test_a_stream_that_forgets_hears_a_change_after_any_time() -> None:
    quiet, loud = 0.02 * noise(10, 120 * CHUNK), noise(11, 30 * CHUNK)
    both = torch.cat([quiet, loud], 1)
    fresh = heard(tiny_stream(25.0), loud)[0][-1]
    forgetful = heard(tiny_stream(25.0), both)[0][-1]
    faithful = heard(tiny_stream(0.0), both)[0][-1]
    alone = heard(tiny_stream(0.0), loud)[0][-1]
    assert abs(float(forgetful - fresh)) < 0.1 * abs(float(faithful - alone))


def test_a_minute_does_not_drift() -> None:
    """The hour is `make stream-hour`; rounding grows with the root of the chunks at the most."""
    pipeline = tiny_stream()
    stream = noise(12, 60 * RATE // CHUNK * CHUNK)
    scores, _ = heard(pipeline, stream)
    exact = whole_score(tiny_stream().double(), stream.double())
    assert abs(float(scores[-1]) - float(exact)) < 1e-6


def test_the_running_embedding_is_that_of_the_whole() -> None:
    frontend = LogMel(n_mels=24, hop_length=160, center=False)
    pipeline = StreamingEmbeddingPipeline(frontend, CausalLightCNN(24, 8), 3840).eval()
    assert isinstance(pipeline.scorer, CosineScore)
    stream = noise(13, 4 * 3840, 2)
    embeddings, _ = heard(pipeline, stream)
    expected = pipeline.encoder(frontend(stream))
    torch.testing.assert_close(embeddings[-1], expected, rtol=0, atol=2e-6)
    score = pipeline.verify(embeddings[-1][:1], embeddings[-1])
    assert math.isclose(float(score[0, 0]), 1.0, abs_tol=1e-6)


def test_real_speech_in_chunks() -> None:
    files = speech_files()
    if not files:
        pytest.skip(HINT)
    from export.runtime.audio import read_waveform

    pipeline = tiny_stream()
    stream = read_waveform(files[0], RATE).waveform.unsqueeze(0)
    stream = stream[:, : stream.shape[1] // CHUNK * CHUNK]
    scores, _ = heard(pipeline, stream)
    torch.testing.assert_close(scores[-1], whole_score(pipeline, stream), rtol=0, atol=1e-6)


def test_the_state_is_small() -> None:
    frontend = LFCC(
        n_fft=512, win_length=320, hop_length=160, n_filter=20, n_lfcc=20, log_lf=True,
        center=False, deltas=2,
    )  # fmt: skip
    pipeline = StreamingScorePipeline(frontend, CausalLightCNN(60, 64), OCSoftmax(64))
    assert 4 * pipeline.state_size <= 16 * 1024


GOOD = {"n_filter": 10, "n_lfcc": 10, "n_fft": 400, "hop_length": 160}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: (LFCC(**GOOD, log_lf=True), CausalLightCNN(10, 8), OCSoftmax(8), 2560),
            "frontend: expected center=False, got center=True, whose frames look ahead",
        ),
        (
            lambda: (LFCC(**GOOD, center=False), CausalLightCNN(10, 8), OCSoftmax(8), 2560),
            "frontend: expected a logarithm, got decibels below the loudest value",
        ),
        (
            lambda: (
                LFCC(**GOOD, log_lf=True, center=False, pre_emphasis=0.97),
                CausalLightCNN(10, 8),
                OCSoftmax(8),
                2560,
            ),
            "frontend: expected pre_emphasis=0 in a stream",
        ),
        (
            lambda: (KaldiFbank(num_mel_bins=10), CausalLightCNN(10, 8), OCSoftmax(8), 2560),
            "frontend: expected LogMel, MFCC or LFCC, got KaldiFbank",
        ),
        (
            lambda: (
                LFCC(**{**GOOD, "hop_length": 400}, log_lf=True, center=False),
                CausalLightCNN(10, 8),
                OCSoftmax(8),
                2560,
            ),
            "frontend: expected a hop below n_fft = 400, got 400",
        ),
        (
            lambda: (
                LFCC(**GOOD, log_lf=True, center=False),
                CausalLightCNN(10, 8),
                OCSoftmax(8),
                1600,
            ),
            "chunk_samples: expected a multiple of 1280, 8 hops of 160, got 1600",
        ),
        (
            lambda: (
                LFCC(**GOOD, log_lf=True, center=False),
                LightCNN(10, 8),
                OCSoftmax(8),
                2560,
            ),
            "encoder: expected a causal one with step and state_size",
        ),
        (
            lambda: (
                LFCC(**GOOD, log_lf=True, center=False),
                CausalLightCNN(10, 8),
                nn.Linear(8, 1),
                2560,
            ),
            "head: expected a module with forward and score, got Linear without score",
        ),
    ],
)  # fmt: skip
def test_what_cannot_stream_is_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        StreamingScorePipeline(*make())  # type: ignore[operator]
    assert message in str(caught.value)


def test_another_shape_is_refused() -> None:
    pipeline = tiny_stream()
    chunk, state = torch.zeros(1, CHUNK), pipeline.initial_state()
    with pytest.raises(ValueError, match=r"chunk: expected shape \[B, 2560\], got \[1, 2559\]"):
        pipeline(chunk[:, 1:], state)
    with pytest.raises(ValueError, match=rf"state: expected shape \[1, {pipeline.state_size}\]"):
        pipeline(chunk, state[:, 1:])
    expected = rf"state: expected shape \[2, {pipeline.state_size}\], got \[1, "
    with pytest.raises(ValueError, match=expected):
        pipeline(chunk.repeat(2, 1), state)


def test_a_half_life_is_named_as_it_was_given() -> None:
    with pytest.raises(ValueError, match=r"^half_life: expected a value of 0 or above, got -1"):
        CausalLightCNN(16, 8, half_life=-1.0)
