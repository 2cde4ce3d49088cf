"""Networks of other people as they come, written to a file that a configuration can name."""

from pathlib import Path

NETS = '''
import threading
import warnings
from collections import namedtuple

import torch
from torch import nn

Answer = namedtuple("Answer", ["embedding", "logits"])


class Base(nn.Module):
    """A waveform [B, 4000] in; logits [B, 2]."""

    def __init__(self, width=6):
        super().__init__()
        self.out = nn.Linear(width, 2)

    def hidden(self, x):
        return x[:, :3600].reshape(x.shape[0], 6, 600).square().mean(2)

    def forward(self, x):
        return self.out(self.hidden(x))


class Pair(Base):
    def forward(self, x):
        hidden = self.hidden(x)
        return hidden, self.out(hidden)


class Named(Base):
    def forward(self, x):
        hidden = self.hidden(x)
        return Answer(hidden, self.out(hidden))


class Table(Base):
    def forward(self, x):
        hidden = self.hidden(x)
        return {"embedding": hidden, "logits": self.out(hidden), "count": 3}


class Configured(Base):
    """One dictionary as its configuration."""

    def __init__(self, d_args):
        super().__init__(d_args["width"])


class Settings:
    def __init__(self, width):
        self.width = width


class WithSettings(Base):
    def __init__(self, config):
        super().__init__(config.width)


class Noisy(Base):
    def forward(self, x):
        hidden = self.hidden(x)
        hidden = hidden + 1e-2 * torch.randn_like(hidden)
        return self.out(hidden)


class Counts(Base):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.out(self.hidden(x)) * self.calls


class Batchy(Base):
    def forward(self, x):
        hidden = self.hidden(x)
        return self.out(hidden / hidden.sum() * 10)


class Bad(nn.Module):
    def forward(self, x):
        return torch.log(-x.abs() - 1)


class NotANumber(Base):
    def __init__(self):
        super().__init__()
        self.log = Bad()

    def forward(self, x):
        return self.out(self.log(self.hidden(x)))


class Long(Base):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 6, 5000)

    def hidden(self, x):
        return self.conv(x.unsqueeze(1)).mean(2)


class TimeFirst(nn.Module):
    """Features [B, T, 8] in; embeddings [B, 1, 6]."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 6)

    def forward(self, x):
        return self.out(x).mean(1, keepdim=True)


class Locked(Base):
    """Holds what cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Normed(Base):
    def __init__(self):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.conv = nn.utils.weight_norm(nn.Conv1d(1, 6, 9))
        self.plain = nn.utils.parametrizations.weight_norm(nn.Linear(6, 6))

    def hidden(self, x):
        return self.plain(self.conv(x.unsqueeze(1)).mean(2))
'''


def config(
    folder: Path,
    encoder: str,
    loss: str = "{type: Logits}",
    more: str = "",
    samples: int = 4000,
) -> Path:
    """A configuration file beside the networks."""
    (folder / "their_net.py").write_text(NETS)
    path = folder / "theirs.yaml"
    path.write_text(
        f"encoder: {encoder}\nloss: {loss}\nwindow: {{num_samples: {samples}, hop: 2000}}\n{more}"
    )
    return path
