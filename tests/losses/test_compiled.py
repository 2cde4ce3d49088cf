"""``torch.compile`` and ``torch.func`` over losses whose loops run as long as their sequences."""

import pytest
import torch
from torch import Tensor, nn

import scriptable

SHAPES = ((9, 4), (12, 5), (7, 3), (15, 6), (11, 2))
LENGTHS = torch.tensor([1.0, 0.45, 0.8]), torch.tensor([0.4, 1.0, 0.7])


def _batch(lattice: bool, steps: int, size: int) -> tuple[Tensor, ...]:
    g = torch.Generator().manual_seed(steps)
    shape = (3, steps, size + 1, 5) if lattice else (3, steps, 5)
    scores = torch.randn(shape, generator=g)
    targets = torch.randint(1, 5, (3, size), generator=g)
    return scores if lattice else scores.log_softmax(-1), targets, *LENGTHS


def _gradient(loss: nn.Module, scores: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
    scores = scores.clone().requires_grad_()
    value = loss(scores, *rest)
    value.backward()
    return value.detach(), scores.grad


LOSSES = {
    "ctc": (scriptable.CTCLoss(0), False),
    "ctc, sum": (scriptable.CTCLoss(-5, "sum"), False),
    "transducer": (scriptable.TransducerLoss(0), True),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_whole_graph_serves_every_length(name: str) -> None:
    module, lattice = LOSSES[name]
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    # The graphs are what counts, not the code that a compiler makes of them.
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    for shape in SHAPES:
        batch = _batch(lattice, *shape)
        for mine, theirs in zip(
            _gradient(compiled, *batch), _gradient(module, *batch), strict=True
        ):
            torch.testing.assert_close(mine, theirs)
    # One graph for the first shape, and one for all others.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2


def test_ruled_out_classes_and_impossible_items_when_compiled() -> None:
    module, _ = LOSSES["ctc"]
    log_probs, targets, _, ones = _batch(False, 4, 4)
    log_probs[0, :, 3] = -float("inf")
    lengths = torch.tensor([1.0, 0.25, 0.0])
    batch = log_probs, targets, lengths, torch.ones_like(ones)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    for mine, theirs in zip(_gradient(compiled, *batch), _gradient(module, *batch), strict=True):
        assert bool(torch.isfinite(mine).all())
        torch.testing.assert_close(mine, theirs)


def test_the_operators_keep_what_torch_asks_of_one() -> None:
    scores, targets, *_ = _batch(True, 5, 3)
    frames, counts = torch.tensor([5, 3, 4]), torch.tensor([2, 3, 1])
    for operator, inputs in (
        (torch.ops.scriptable.transducer, scores),
        (torch.ops.scriptable.ctc, scores[:, :, 0].log_softmax(-1)),
    ):
        arguments = (inputs.clone().requires_grad_(), targets, frames, counts, 0)
        torch.library.opcheck(
            operator,
            arguments,
            test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
        )


def test_the_gradient_by_transforms() -> None:
    scores, *rest = _batch(True, 6, 3)
    scores = scores.double()

    def loss(x: Tensor) -> Tensor:
        return scriptable.transducer_loss(x, *rest, 0)

    _, expected = _gradient(LOSSES["transducer"][0], scores, *rest)
    torch.testing.assert_close(torch.func.grad(loss)(scores), expected)
    direction = torch.randn_like(scores)
    _, along = torch.func.jvp(loss, (scores,), (direction,))
    torch.testing.assert_close(along, (expected * direction).sum())


def test_gradients_of_single_items_by_transforms() -> None:
    scores, *rest = _batch(True, 6, 3)

    def loss(x: Tensor, *arguments: Tensor) -> Tensor:
        return scriptable.transducer_loss(x[None], *[a[None] for a in arguments], 0, "sum")

    found = torch.func.vmap(torch.func.grad(loss))(scores, *rest)
    _, expected = _gradient(scriptable.TransducerLoss(0, "sum"), scores, *rest)
    torch.testing.assert_close(found, expected)


def test_second_derivatives_by_transforms() -> None:
    scores, *rest = _batch(True, 3, 2)
    scores = scores.double()

    def slope(x: Tensor) -> Tensor:
        return torch.func.grad(lambda y: scriptable.transducer_loss(y, *rest, 0))(x)

    direction, step = torch.randn_like(scores), 1e-5
    _, found = torch.func.jvp(slope, (scores,), (direction,))
    expected = (slope(scores + step * direction) - slope(scores - step * direction)) / (2 * step)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)


def test_ctc_by_transforms() -> None:
    log_probs, *rest = _batch(False, 6, 3)
    found = torch.func.grad(lambda x: scriptable.ctc_loss(x, *rest, 0))(log_probs)
    torch.testing.assert_close(found, _gradient(LOSSES["ctc"][0], log_probs, *rest)[1])
