"""Margins on given cosines: the poles, precision, lengths, errors inside the wrapped loss."""

import math
from collections.abc import Callable

import pytest
import toolkits
import torch
from torch import Tensor, nn

import scriptable


def gradient(loss_fn: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(loss_fn(x).sum(), x)[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("easy", [False, True])
def test_margins_have_finite_gradients_at_the_poles(easy: bool, dtype: torch.dtype) -> None:
    cosines = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.5]], dtype=dtype)
    targets = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dtype=dtype)
    for head in (
        scriptable.AdditiveAngularMargin(0.3, 30.0, easy),
        scriptable.AngularMargin(0.3, 30.0),
    ):
        assert bool(torch.isfinite(head(cosines, targets)).all())
        slopes = gradient(lambda x, head=head: head(x, targets), cosines)
        assert bool(torch.isfinite(slopes).all())


def test_aam_keeps_float64() -> None:
    cosine = torch.tensor([[0.3]], dtype=torch.float64)
    one = torch.ones_like(cosine)
    reference = math.cos(math.acos(0.3) + 0.2)
    ours = scriptable.AdditiveAngularMargin(0.2)(cosine, one)
    theirs = toolkits.speechbrain_losses().AdditiveAngularMargin(0.2)(cosine, one)
    assert abs(float(ours) - reference) < 1e-15
    assert 1e-10 < abs(float(theirs) - reference) < 1e-6


class Broken(nn.Module):
    """Takes two tensors and fails inside."""

    def forward(self, outputs: Tensor, targets: Tensor | None = None) -> Tensor:
        if targets is not None:
            raise TypeError("inside")
        return outputs


def test_the_softmax_wrapper_swallows_no_error() -> None:
    outputs, targets = torch.randn(4, 1, 3), torch.zeros(4, 1)
    assert math.isfinite(
        toolkits.speechbrain_losses().LogSoftmaxWrapper(Broken())(outputs, targets)
    )
    with pytest.raises(TypeError, match="inside"):
        scriptable.LogSoftmaxWrapper(Broken())(outputs, targets)


def test_the_softmax_wrapper_honours_lengths() -> None:
    outputs, targets = torch.tensor([[[3.0, 0.0]], [[0.0, 3.0]]]), torch.zeros(2, 1)
    length = torch.tensor([0.3, 0.0])
    theirs = toolkits.speechbrain_losses().LogSoftmaxWrapper(nn.Identity())
    ours = scriptable.LogSoftmaxWrapper(nn.Identity())
    first = math.log1p(math.exp(-3.0))
    assert float(theirs(outputs, targets, length)) == pytest.approx(first + 1.5)
    assert float(ours(outputs, targets, length)) == pytest.approx(first)
    assert float(ours(outputs, targets, torch.zeros(2))) == 0.0
    frames, classes = torch.randn(2, 4, 3), torch.randint(0, 3, (2, 4))
    expected = nn.functional.cross_entropy(
        torch.cat([frames[0], frames[1, :2]]), torch.cat([classes[0], classes[1, :2]])
    )
    torch.testing.assert_close(ours(frames, classes, torch.tensor([1.0, 0.5])), expected)
