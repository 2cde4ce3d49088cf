"""A tiny untrained scorer, its contract, and the command line run in this process."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor

from export import backends
from export.backends import Backend, Source
from export.runtime.contract import Audio, Contract, Decision, Windows, weights_sha256
from export.runtime.guards import Guards
from export.runtime.scorer import Scorer, load_scorer
from scriptable import LFCC, LightCNN, OCSoftmax, ScorePipeline

RATE = 16000
WINDOW = 4000
HOP = 1500
SCALE, OFFSET, THRESHOLD, PRIOR = 7.5, -1.25, 0.5, 0.2

_ALL = backends.all_backends()
RUNNABLE = tuple(name for name, b in _ALL.items() if b.runnable and not b.emulated)
LOWERED = tuple(name for name, b in _ALL.items() if not b.runnable)
EMULATED = tuple(name for name, b in _ALL.items() if b.emulated)
VERIFIED = tuple(name for name in RUNNABLE if _ALL[name].keeps_weights)


def tiny_pipeline() -> ScorePipeline:
    """An untrained scorer, small enough to be saved seven times in a few seconds."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        frontend = LFCC(
            RATE, n_fft=256, win_length=256, hop_length=128, n_filter=8, n_lfcc=8, log_lf=True
        )
        return ScorePipeline(frontend, LightCNN(8, 8), OCSoftmax(8), WINDOW).eval()


def contract_of(pipeline: ScorePipeline, **decision: Any) -> Contract:
    """A contract with nothing at its default that matters: offset, threshold and prior too."""
    values = {"scale": SCALE, "offset": OFFSET, "threshold": THRESHOLD, "prior": PRIOR}
    return Contract(
        model="tiny",
        audio=Audio(sample_rate=RATE),
        windows=Windows(num_samples=WINDOW, hop=HOP),
        decision=Decision(**{**values, **decision}, operating_point="chosen by the test"),
        versions={"torch": torch.__version__},
        weights_sha256=weights_sha256(pipeline.state_dict()),
        # The windows here are shorter than what a decision usually needs.
        guards=Guards(min_seconds=0.05),
    )


def usable(name: str) -> Backend:
    """The backend, or a skip that says what to install."""
    backend = backends.all_backends()[name]
    if backend.unavailable():
        pytest.skip(backend.unavailable())
    return backend


def save_as(
    name: str, pipeline: ScorePipeline, contract: str, path: Path, window: int = WINDOW
) -> Path:
    """Save through one backend."""
    source = Source(pipeline, {"forward": (torch.zeros(1, window),)}, contract)
    backends.save(usable(name), source, path)
    return path


@dataclass
class Artefacts:
    """The tiny scorer in every format, each saved and loaded when first asked for."""

    folder: Path
    pipeline: ScorePipeline = field(default_factory=tiny_pipeline)
    scorers: dict[str, Scorer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.contract = contract_of(self.pipeline)
        self.text = self.contract.model_dump_json(indent=1)

    def path(self, name: str) -> Path:
        """The file of one backend."""
        path = self.folder / f"tiny{usable(name).suffix}"
        if not path.exists():
            save_as(name, self.pipeline, self.text, path)
        return path

    def scorer(self, name: str) -> Scorer:
        """The file of one backend, loaded by its runtime."""
        if name not in self.scorers:
            self.scorers[name] = load_scorer(self.path(name))
        return self.scorers[name]


def eager_score(pipeline: ScorePipeline, waveform: Tensor, starts: list[int]) -> float:
    """The mean of eager's scores of the windows that begin at ``starts``."""
    windows = [waveform[start : start + WINDOW] for start in starts]
    with torch.no_grad():
        scores = [float(pipeline(window.unsqueeze(0))) for window in windows]
    return math.fsum(scores) / len(scores)


def voice(samples: int, pitch: float = 140.0, seed: int = 0, rate: int = RATE) -> Tensor:
    """A buzz with drifting pitch and formant-like emphasis, and some noise; ``[N]``."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(samples, dtype=torch.float64) / rate
    phase = 2 * torch.pi * (pitch * time + 3.0 * torch.sin(2 * torch.pi * 1.3 * time + seed))
    wave = torch.zeros(samples, dtype=torch.float64)
    for harmonic in range(1, int(3800 / pitch)):
        gain = sum(
            math.exp(-(((harmonic * pitch - f) / 250) ** 2)) for f in (550 + 40 * seed, 1500, 2600)
        )
        wave = wave + (gain + 0.02) * torch.sin(harmonic * phase)
    wave = wave * (0.6 + 0.4 * torch.sin(2 * torch.pi * 3.1 * time + seed))
    wave = 0.3 * wave / wave.abs().max()
    return (wave + 0.003 * torch.randn(samples, generator=generator, dtype=torch.float64)).float()


def write_wav(path: Path, waveform: Tensor, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    """Write ``[N]`` or ``[N, channels]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform.numpy(), rate, subtype=subtype)
    return path


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


def run_main(arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> Ran:
    """``python -m export`` in this process; whatever is not an exit is a traceback there."""
    from export.__main__ import main

    capfd.readouterr()
    argv, sys.argv = sys.argv, ["export", *arguments]
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = argv
    captured = capfd.readouterr()
    return Ran(code, captured.out, captured.err)


def without_progress(text: str) -> str:
    """What a command wrote to stderr, but for what it says on the way where it takes its time."""
    return "".join(line for line in text.splitlines(True) if not line.startswith("progress: "))


def assert_refused(ran: Ran, *said: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that says ``said``."""
    assert ran.code == 2, ran
    assert ran.out == ""
    lines = without_progress(ran.err).splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in lines[0]
    for part in said:
        assert part in lines[0], lines[0]


def spoof_trials(folder: Path, count: int, shortest: int) -> tuple[str, ...]:
    """Recordings, half of them spoofed, and the options that name them."""
    lines = []
    for i in range(count):
        wave = voice(shortest + 700 * i, 100 + 20.0 * i, i)
        write_wav(folder / "audio" / f"f{i}.wav", wave)
        lines.append(f"s{i} f{i} - {'A01 spoof' if i % 2 else '- bonafide'}\n")
    (folder / "protocol.txt").write_text("".join(lines))
    return "--protocol", str(folder / "protocol.txt"), "--audio", str(folder / "audio")
