"""What a row of the catalogue is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn

from export.backends import Inputs

Draw = Callable[[Generator], Inputs]
"""Draws one set of inputs; the same shapes for every generator, other content for every seed."""


@dataclass(frozen=True)
class Waiver:
    """A backend that cannot express a row; counts as a gap in every table, never as a pass."""

    reason: str
    issue: str
    """Where upstream tracks it."""


@dataclass(frozen=True)
class Padding:
    """Where a row's inputs hold padding, for the checks that put garbage there."""

    length: int
    """Index of the input that holds the relative lengths."""
    inputs: tuple[int, ...]
    """Indices of the inputs ``[B, T, *]`` that are padded."""


@dataclass(frozen=True)
class Row:
    """One public loss or score in one configuration; all checks are derived from it."""

    entry: str
    """The public name in ``scriptable``; of a function and its module, the function's."""
    module: Callable[[], nn.Module]
    """Makes the module; called with the random state seeded."""
    methods: Mapping[str, Draw]
    """Exported methods, and how the inputs of each are drawn."""
    variant: str = ""
    also: tuple[str, ...] = ()
    """Other public names that this row proves: the module of a function, and the reverse."""
    speech: Mapping[str, Callable[[Tensor], Inputs]] = field(default_factory=dict)
    """For methods that take audio: real speech ``[L]`` → inputs."""
    padding: Padding | None = None
    differentiable: tuple[int, ...] = (0,)
    """Inputs of ``forward`` that take a gradient; empty where the result has none."""
    score_batch: int = 0
    """The input of ``score`` that holds the items that are scored."""
    detached: str = ""
    """Why the gradient is, on purpose, not the derivative of the value; empty where it is."""
    idle: Mapping[str, str] = field(default_factory=dict)
    """Parameters whose gradient is zero whatever the batch, each with the reason."""
    unused: Mapping[str, str] = field(default_factory=dict)
    """Parameters that a checkpoint holds and the forward never uses, each with the reason."""
    on_device: bool = False
    """A score that ships; such rows are lowered for delegates that cannot run here, too, and run
    where a device is emulated."""
    waivers: Mapping[str, Waiver] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Entry and variant, for tables and test names."""
        return f"{self.entry}[{self.variant}]" if self.variant else self.entry

    def build(self) -> nn.Module:
        """The module in eval mode, the same weights at every call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(20240607)
            return self.module().eval()

    def draw(self, method: str, seed: int) -> Inputs:
        """Inputs of one method; seed 0 is the example, any other is other content."""
        return self.methods[method](Generator().manual_seed(seed))
