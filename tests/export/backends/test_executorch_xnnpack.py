"""What the XNNPACK backend hands to its delegate."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from artefact_helpers import usable
from torch import Tensor, nn

from export import backends
from export.backends import Source
from export.backends._executorch import operators


class Activated(nn.Module):
    """A convolution and one of the exponential linear units."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.convolution = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.convolution(x)
        if self.kind == "selu":
            return F.selu(y)
        return F.elu(y, 0.5) if self.kind == "alpha" else F.elu(y)


@pytest.mark.parametrize(("kind", "outside"), [("elu", 0), ("alpha", 0), ("selu", 1)])
def test_elu_is_delegated_unless_its_scale_would_be_lost(
    kind: str, outside: int, tmp_path: Path
) -> None:
    backend = usable("executorch_xnnpack")
    module = Activated(kind).eval()
    path = tmp_path / f"elu{backend.suffix}"
    backends.save(backend, Source(module, {"forward": (torch.randn(1, 3, 5, 7),)}), path)
    left = [name for name in operators(path) if "elu" in name]
    # A scaled unit stays with the portable kernels as long as nothing splits the scale off.
    assert len(left) <= outside
    content = torch.randn(1, 3, 5, 7) * 3
    (result,) = backend.load(path).run("forward", (content,))
    with torch.no_grad():
        expected = module(content)
    assert math.isclose(float((result - expected).abs().max()), 0, abs_tol=1e-6)
    assert float(expected.min()) < -0.2
