"""The ``.pt2`` archive of several methods."""

from pathlib import Path

import torch
from artefact_helpers import usable
from torch import Tensor, nn

from export import backends
from export.backends import Source


class Embedder(nn.Module):
    """Two methods that share a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(300, 300)
        self.own = nn.Linear(300, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.own(self.layer(x))

    @torch.jit.export
    def verify(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.layer(x) * self.layer(y)).sum(1)


def test_several_methods_hold_the_weights_once(tmp_path: Path) -> None:
    backend, module = usable("torch_export"), Embedder().eval()
    x, y = torch.randn(2, 300), torch.randn(2, 300)
    one, two = tmp_path / "one.pt2", tmp_path / "two.pt2"
    backends.save(backend, Source(module, {"forward": (x,)}, "{}"), one)
    backends.save(backend, Source(module, {"forward": (x,), "verify": (x, y)}, "{}"), two)
    assert two.stat().st_size < one.stat().st_size + 40_000 < 2 * 4 * 300 * 300
    artefact = backend.load(two)
    assert artefact.contract() == "{}"
    held, state = artefact.weights(), module.state_dict()
    assert held is not None and held.keys() == state.keys()
    assert all(torch.equal(held[name], state[name]) for name in state)
    a, b = torch.randn(2, 300), torch.randn(2, 300)
    with torch.no_grad():
        assert torch.equal(artefact.run("forward", (a,))[0], module(a))
        assert torch.equal(artefact.run("verify", (a, b))[0], module.verify(a, b))
