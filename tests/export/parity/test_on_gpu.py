"""Every row of the catalogue on a graphics processor: eager and scripted, as on the processor."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from export.backends import Inputs, flatten
from export.catalog import Row, rows
from scriptable.frontend._base import FrontEnd

if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device and a torch that has CUDA", allow_module_level=True)

ROWS = rows()
DIFFERENTIABLE = [row for row in ROWS if row.differentiable]
# Not pipelines: an encoder's convolutions are the user's to set.
FRONT_ENDS = [row for row in ROWS if row.speech and isinstance(row.build(), FrontEnd)]


def by_id(row: Row) -> str:
    return row.id


@pytest.fixture
def float32() -> Iterator[None]:
    """Convolutions without TF32, which is the default."""
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = True


def moved(inputs: Inputs, device: str) -> Inputs:
    return tuple(x.to(device) if isinstance(x, Tensor) else x for x in inputs)


def answers(module: nn.Module, method: str, inputs: Inputs) -> list[Tensor]:
    with torch.no_grad():
        return [x.cpu() for x in flatten(getattr(module, method)(*inputs))]


def assert_close(got: list[Tensor], expected: list[Tensor], share: float) -> None:
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        if b.is_floating_point():
            assert bool(torch.isfinite(a).all())
            apart = float((a.double() - b.double()).abs().max()) if b.numel() else 0.0
            assert apart <= share * max(1.0, float(b.abs().max()) if b.numel() else 1.0)
        else:
            assert torch.equal(a, b)


@pytest.mark.parametrize("row", ROWS, ids=by_id)
def test_values_are_those_of_the_processor(row: Row, float32: None) -> None:
    module = row.build()
    for on_gpu in (row.build().cuda(), torch.jit.script(row.build()).cuda()):
        for method in row.methods:
            for content in (0, 1):
                inputs = row.draw(method, content)
                expected = answers(module, method, inputs)
                assert_close(answers(on_gpu, method, moved(inputs, "cuda")), expected, 1e-4)


@pytest.mark.parametrize("row", FRONT_ENDS, ids=by_id)
def test_front_ends_do_without_tf32(row: Row) -> None:
    module = row.build()
    inputs = row.draw("forward", 0)
    expected = answers(module, "forward", inputs)
    assert torch.backends.cudnn.allow_tf32
    assert_close(answers(module.cuda(), "forward", moved(inputs, "cuda")), expected, 1e-4)
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=by_id)
def test_gradients_are_those_of_the_processor(row: Row, float32: None) -> None:
    found = []
    for device in ("cpu", "cuda"):
        module = row.build().to(device)
        inputs = list(moved(row.draw("forward", 0), device))
        leaves = []
        for number in row.differentiable:
            inputs[number] = inputs[number].detach().requires_grad_()
            leaves.append(inputs[number])
        leaves += [p for _, p in sorted(module.named_parameters())]
        value = flatten(module(*inputs))[0]
        # Not ones: the sum of features whose mean is taken away has no gradient.
        upstream = torch.rand(value.shape, generator=torch.Generator().manual_seed(1)).to(value)
        gradients = torch.autograd.grad(value, leaves, upstream, allow_unused=True)
        found.append([g.cpu() for g in gradients if g is not None])
    for on_gpu, expected in zip(found[1], found[0], strict=True):
        largest = float(expected.abs().max()) if expected.numel() else 0.0
        assert float((on_gpu - expected).abs().max()) <= 2e-3 * max(largest, 1e-3)


def test_a_label_outside_the_classes_is_an_error_of_the_device() -> None:
    code = (
        "import torch, scriptable\n"
        "logits = torch.randn(2, 5, 3, device='cuda').log_softmax(-1)\n"
        "scriptable.nll_loss(logits, torch.full((2, 5), 3, device='cuda'))\n"
        "torch.cuda.synchronize()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0 and "expected classes in [0, 2]" in done.stderr
