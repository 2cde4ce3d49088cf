"""What a row of the table is: our work, the peer's, and the limit's, on the same inputs."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_INSTALL = {
    "speechbrain": "speechbrain is not installed: make toolkits",
    "espnet2": "espnet is not installed: make toolkits",
    "deepfense": "deepfense is not installed: make toolkits",
    "torchaudio": "torchaudio is not installed: pip install torchaudio",
}


class PeerMissing(Exception):
    """A peer is not installed; the message says which package to install."""


def peer_module(name: str) -> Any:
    """Import a peer, or say what to install."""
    package = name.split(".")[0]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PeerMissing(_INSTALL[package]) from error


@dataclass(frozen=True)
class Work:
    """One implementation on its inputs; ``value`` may give a tuple, whose first part counts."""

    value: Callable[[], Any]
    leaves: Sequence[Tensor] = ()
    """What is differentiated by; empty where the result has no gradient."""

    def forward(self) -> tuple[Tensor, ...]:
        """The value, without recording a graph."""
        with torch.no_grad():
            return (_first(self.value()),)

    def both(self) -> tuple[Tensor, ...]:
        """The value and its gradients."""
        if not self.leaves:
            return self.forward()
        value = _first(self.value())
        upstream = None if value.dim() == 0 else torch.ones_like(value)
        return (value.detach(), *torch.autograd.grad(value, self.leaves, upstream))


def _first(result: Any) -> Tensor:
    return result[0] if isinstance(result, tuple) else result


def work(function: Callable[..., Any], leaves: Sequence[Tensor], *rest: Any) -> Work:
    """``function(leaves..., rest...)``; a module's parameters are differentiated by as well."""
    parameters: list[Tensor] = []
    if isinstance(function, nn.Module):
        parameters = [p for _, p in sorted(function.named_parameters())]
    return Work(lambda: function(*leaves, *rest), [*leaves, *parameters])


@dataclass(frozen=True)
class Sides:
    """The implementations of one row. The peer is made on use: it may be missing."""

    ours: Work
    peer: Callable[[], Work] | None = None
    limit: Work | None = None
    limit_agrees: bool = False
    """Whether the limit computes the same value and gradients, so that it is held against ours."""


@dataclass(frozen=True)
class Target:
    """What a ratio is to stay under; None where nothing is promised."""

    time: float | None = None
    memory: float | None = None
    memory_mb: float | None = None


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    """The catalogue's entry."""
    shape: str
    make: Callable[[torch.device], Sides]
    peer: str = ""
    limit: str = ""
    target: Target = Target(1.05, 1.0)
    """Against the peer."""
    limit_target: Target | None = None
    tolerance: float = 1e-4
    """Largest difference of value and gradients, relative to the largest of the reference."""
    slow: bool = False
    """Whether the peer takes seconds a call, which the quick run has no time for."""
    gpu_only: bool = False
    """Whether its tensors are of a size that only a GPU is given."""
    forward_target: float | None = None
    """Time against the peer without a gradient."""
    family: str = ""
    """The file that the row stands in."""
