"""A stream heard by a scorer of windows: frames computed once, or each window whole."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from artefact_helpers import RATE, RUNNABLE, Command, usable
from live_helpers import CHUNK, WINDOW, cached, windows_at
from pipe_helpers import listened
from speech_helpers import needs_speech
from torch import Tensor

from export import backends
from export.backends import Source
from export.runtime.audio import read_waveform
from export.runtime.contract import Audio, Contract, Decision, Windows, weights_sha256
from export.runtime.guards import Guards
from export.runtime.live import load_live_scorer
from export.runtime.scorer import load_scorer
from export.speech import speech_files
from scriptable import CachedScorePipeline, ScorePipeline

ROUNDING = {"executorch_xnnpack": 0.0}
"""XNNPACK computes a frame alike whatever frames are computed with it; others may round."""


def contract_of(pipeline: ScorePipeline) -> Contract:
    return Contract(
        model="tiny live",
        audio=Audio(sample_rate=RATE),
        windows=Windows(num_samples=WINDOW, hop=1500),
        decision=Decision(
            scale=7.5, offset=-1.25, prior=0.2, threshold=0.5, operating_point="the test's"
        ),
        versions={"torch": torch.__version__},
        weights_sha256=weights_sha256(pipeline.state_dict()),
        guards=Guards(min_seconds=0.05),
    )


def save(name: str, path: Path, pipeline: CachedScorePipeline) -> Path:
    live = (torch.zeros(1, CHUNK), pipeline.initial_state())
    methods = {"forward": (torch.zeros(1, WINDOW),), "live": live}
    source = Source(pipeline, methods, contract_of(pipeline).model_dump_json())
    backends.save(usable(name), source, path)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder, files = tmp_path_factory.mktemp("live"), {}

    def path(name: str) -> Path:
        if name not in files:
            suffix = usable(name).suffix
            files[name] = save(name, folder / f"live{suffix}", cached())
        return files[name]

    return path


def speech(samples: int) -> Tensor:
    return read_waveform(speech_files()[0], RATE).waveform[:samples]


@needs_speech
@pytest.mark.parametrize("name", RUNNABLE)
def test_cached_frames_score_as_the_window(name: str, made: Any) -> None:
    """From the saved file, on real speech, window by window."""
    pipeline, stream = cached(), speech(12 * WINDOW // 4)
    _, artefact = backends.load(made(name))
    windows, past, compared = windows_at(stream, pipeline), pipeline.initial_state(), 0
    scores = set()
    for count, chunk in enumerate(stream[: len(stream) // CHUNK * CHUNK].split(CHUNK), 1):
        score, past = artefact.run("live", (chunk.unsqueeze(0).contiguous(), past))
        if count in windows:
            (whole,) = artefact.run("forward", (windows[count],))
            assert abs(float(score) - float(whole)) <= ROUNDING.get(name, 3e-7), count
            compared += 1
            scores.add(float(score))
    assert compared > 10 and len(scores) > 5


def test_a_file_says_its_sizes_by_its_methods(made: Any, tmp_path: Path) -> None:
    pipeline = cached()
    for name in ("torchscript", "torch_export", "onnx"):
        _, artefact = backends.load(made(name))
        sizes = [artefact.input_shape("live", place) for place in (0, 1)]
        assert [size and size[1] for size in sizes] == [CHUNK, pipeline.state_size], name
        assert artefact.input_shape("live", 2) is None or name == "torchscript"
    plain = ScorePipeline(pipeline.frontend, pipeline.encoder, pipeline.head, WINDOW).eval()
    source = Source(plain, {"forward": (torch.zeros(1, WINDOW),)})
    for name in ("torchscript", "torch_export"):
        path = tmp_path / f"plain{usable(name).suffix}"
        backends.save(usable(name), source, path)
        assert backends.load(path)[1].input_shape("live") is None


def test_the_file_still_scores_windows(made: Any) -> None:
    scorer = load_scorer(made("torchscript"))
    window = torch.linspace(-0.5, 0.5, WINDOW).unsqueeze(0)
    with torch.no_grad():
        assert torch.equal(scorer.score_windows(window), cached()(window))


@needs_speech
@pytest.mark.parametrize("name", ["torchscript", "executorch_xnnpack"])
def test_listen_scores_every_chunk(
    name: str, made: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = speech(3 * WINDOW)
    pcm = (stream.double() * 32768).round().clamp(-32768, 32767).short()
    ran = listened(command, monkeypatch, pcm.numpy().tobytes(), made(name), "--json")
    assert ran.code == 0 and "a score every 0.04 s, of the last 0.40 s: frames computed" in ran.err
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert len(lines) == len(stream) // CHUNK
    early = -(-WINDOW // CHUNK) - 1
    said = [line["score"] is not None for line in lines]
    assert said == [False] * early + [True] * (len(lines) - early)
    assert "too early" in lines[early - 1]["reason"]
    _, artefact = backends.load(made(name))
    for count, window in windows_at(pcm.float() / 32768, cached()).items():
        if count <= early:
            continue
        (score,) = artefact.run("forward", (window,))
        line = lines[count - 1]
        assert line["score"] == pytest.approx(float(score), abs=ROUNDING.get(name, 3e-7))
        assert line["llr"] == pytest.approx(7.5 * line["score"] - 1.25, abs=1e-12)


def test_listen_falls_back_to_windows(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = cached()
    plain = ScorePipeline(pipeline.frontend, pipeline.encoder, pipeline.head, WINDOW).eval()
    source = Source(
        plain, {"forward": (torch.zeros(1, WINDOW),)}, contract_of(plain).model_dump_json()
    )
    backends.save(usable("torchscript"), source, tmp_path / "windows.pt")
    generator = torch.Generator().manual_seed(2)
    pcm = (3000 * torch.randn(2 * WINDOW, generator=generator)).short()
    ran = listened(command, monkeypatch, pcm.numpy().tobytes(), tmp_path / "windows.pt", "--json")
    assert ran.code == 0 and "a score every 0.09 s" in ran.err and "each window whole" in ran.err
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert len(lines) == 2 * WINDOW // 1500
    for count, line in enumerate(lines, 1):
        end = 1500 * count
        if end < WINDOW:
            assert "too early" in line["reason"] and line["score"] is None
            continue
        with torch.no_grad():
            whole = plain((pcm.float() / 32768)[end - WINDOW : end].unsqueeze(0))
        assert line["score"] == float(whole)


def test_a_chunk_that_is_refused_leaves_the_past(made: Any) -> None:
    stream = 0.1 * torch.randn(3 * WINDOW, generator=torch.Generator().manual_seed(3))
    broken = torch.cat(
        [stream[: 12 * CHUNK], torch.full((CHUNK,), torch.nan), stream[12 * CHUNK :]]
    )
    scorer = load_live_scorer(made("torchscript"))
    clean, heard = list(scorer.verdicts([stream])), list(scorer.verdicts([broken]))
    assert "refused" in str(heard[12].reason)
    assert heard[:12] + heard[13:] == clean and clean[-1].score is not None
