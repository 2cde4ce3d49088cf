"""A small network of one's own, its configuration and its weights, as files."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from export.jobs.config_file import read_config
from scriptable import ScorePipeline

NET = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, n_features: int, embedding_dim: int = 6, width: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv1d(n_features, width, 3)
        self.out = nn.Linear(width, embedding_dim)

    @classmethod
    def small(cls, n_features: int) -> "Tiny":
        return cls(n_features, width=4)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.conv(features)).mean(2))


class Wave(nn.Module):
    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return waveform.reshape(waveform.shape[0], 6, -1).square().mean(2)


class Eager(Tiny):
    def forward(self, features: torch.Tensor, *more, **options) -> torch.Tensor:
        return super().forward(features)


def number(value: int = 3) -> int:
    return value


def annotated(n_features: int) -> nn.Module:
    return Tiny(n_features)


def found(n_features):
    net = Tiny(n_features)
    return net


def sometimes(n_features):
    return Tiny(n_features) if n_features else print("it ran")
"""
CONFIG = """\
name: tiny scorer
sample_rate: 16000
window:
  num_samples: 4000
  hop: 1500
frontend:
  type: LFCC
  args: {n_lfcc: 8, n_filter: 8, n_fft: 256, log_lf: true}
encoder:
  type: own_net.Tiny
  args:
    n_features: 8
loss:
  type: OCSoftmax
  args:
    embedding_dim: 6
    alpha: 2e1
calibration:
  scale: 7.5
  offset: -1.25
  threshold: 0.5
  prior: 0.2
  operating_point: chosen by the test
"""


@dataclass
class Own:
    """What a user has: a configuration, weights, and the trained model that they came from."""

    folder: Path
    pipeline: ScorePipeline

    @property
    def state(self) -> dict[str, Tensor]:
        """The weights, by name."""
        return dict(self.pipeline.state_dict())

    def config(self, old: str = "", new: str = "", text: str = CONFIG) -> Path:
        """The configuration with one part of it replaced."""
        assert old in text
        path = self.folder / "scorer.yaml"
        path.write_text(text.replace(old, new))
        return path

    def weights(self, state: dict[str, Tensor] | None = None) -> Path:
        """A safetensors file of the weights, or of others."""
        path = self.folder / "weights.safetensors"
        save_file(self.state if state is None else state, path)
        return path


def own_model(folder: Path) -> Own:
    """Write the network; ``folder`` must be importable."""
    (folder / "own_net.py").write_text(NET)
    own = Own(folder, ScorePipeline(torch.nn.Identity(), torch.nn.Identity(), _Scores(), 1))
    pipeline = read_config(own.config()).pipeline
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        for parameter in pipeline.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return Own(folder, pipeline)


class _Scores(torch.nn.Module):
    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return x

    def score(self, x: Tensor) -> Tensor:
        return x
