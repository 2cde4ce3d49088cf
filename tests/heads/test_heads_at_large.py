"""What every head does alike: batches without items, and half precision at large norms."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

import scriptable as s

DIM, CLASSES = 8, 7
Inputs = Callable[[int, float], tuple[Tensor, ...]]


def _embeddings(norm: float, *shape: int) -> Tensor:
    x = torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(8))
    return norm * x / x.norm(dim=-1, keepdim=True)


def _labels(batch: int, classes: int) -> Tensor:
    return torch.arange(batch) % classes


def _classified(classes: int) -> Inputs:
    return lambda batch, norm: (_embeddings(norm, batch), _labels(batch, classes))


def _mixed(batch: int, norm: float) -> tuple[Tensor, ...]:
    x = torch.rand(batch, CLASSES, generator=torch.Generator().manual_seed(9))
    return _embeddings(norm, batch), x / x.sum(1, keepdim=True)


class _EmbeddingsFirst(nn.Module):
    """An ESPnet head with its arguments in the other order."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, emb: Tensor, label: Tensor) -> Tensor:
        loss: Tensor = self.head(label, emb)
        return loss


def _speakers(batch: int, norm: float) -> tuple[Tensor, ...]:
    return (_embeddings(norm, batch, 3),)


HEADS: dict[str, tuple[Callable[[], nn.Module], Inputs]] = {
    **{
        name: (lambda name=name: getattr(s, name)(DIM), _classified(2))  # type: ignore[misc]
        for name in ("AMSoftmax", "ASoftmax", "OCSoftmax", "CrossEntropy", "P2SGrad")
    },
    **{
        name: (lambda name=name: getattr(s, name)(DIM, CLASSES), _classified(CLASSES))  # type: ignore[misc]
        for name in ("AAMSoftmax", "Softmax", "SphereFace2", "ArcMarginProduct_intertopk_subcenter")
    },
    **{
        f"{name}, soft labels": (lambda name=name: getattr(s, name)(DIM, CLASSES), _mixed)  # type: ignore[misc]
        for name in ("AAMSoftmax", "Softmax", "ArcMarginProduct_intertopk_subcenter")
    },
    "ASVSpoofAMSoftmaxLoss": (
        lambda: _EmbeddingsFirst(s.ASVSpoofAMSoftmaxLoss(enc_dim=DIM)),
        lambda batch, norm: (_embeddings(norm, batch, 3), _labels(batch, 2)),
    ),
    "ASVSpoofOCSoftmaxLoss": (
        lambda: _EmbeddingsFirst(s.ASVSpoofOCSoftmaxLoss(enc_dim=DIM)),
        lambda batch, norm: (_embeddings(norm, batch, 3), _labels(batch, 2)),
    ),
    "ASVSpoofBinaryLoss": (
        s.ASVSpoofBinaryLoss,
        lambda batch, norm: (_embeddings(norm, batch)[:, :2], _embeddings(1.0, batch)[:, :2].abs()),
    ),
    "MultiLoss": (
        lambda: s.MultiLoss([s.AMSoftmax(DIM), s.OCSoftmax(DIM)]),
        _classified(2),
    ),
    "GE2ELoss": (s.GE2ELoss, _speakers),
    "GE2ELoss, contrast": (lambda: s.GE2ELoss(loss_method="contrast"), _speakers),
    "AngularPrototypical": (s.AngularPrototypical, _speakers),
    "Prototypical": (s.Prototypical, _speakers),
}


@pytest.fixture(params=HEADS)
def head(request: pytest.FixtureRequest) -> tuple[nn.Module, Inputs]:
    torch.manual_seed(0)
    made, inputs = HEADS[request.param]
    return made(), inputs


def _step(run: Callable[..., Tensor], module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """One training step: the loss and all gradients, none of which may be missing, as a vector."""
    module.zero_grad(set_to_none=True)
    leaf = inputs[0].clone().requires_grad_()
    loss = run(leaf, *inputs[1:])
    loss.backward()
    grads = [leaf.grad, *(parameter.grad for parameter in module.parameters())]
    assert all(grad is not None for grad in grads)
    return torch.cat([x.detach().double().flatten() for x in [loss, *grads]])


def test_a_batch_without_items_trains_nothing(head: tuple[nn.Module, Inputs]) -> None:
    module, inputs = head
    for run in (module, torch.jit.script(module)):
        for _ in range(2):
            assert bool((_step(run, module, inputs(0, 1.0)) == 0).all())


def test_accuracy_over_nothing_is_zero() -> None:
    for name in ("AAMSoftmax", "Softmax", "ArcMarginProduct_intertopk_subcenter"):
        head = getattr(s, name)(DIM, CLASSES)
        loss, accuracy, classes = head.loss_and_predictions(
            torch.zeros(0, DIM), torch.zeros(0, dtype=torch.int64)
        )
        assert (loss.item(), accuracy.item(), list(classes.shape)) == (0.0, 0.0, [0])


@contextmanager
def _autocast(dtype: torch.dtype) -> Iterator[None]:
    with torch.autocast("cpu", dtype=dtype):
        yield


@pytest.mark.parametrize("norm", [300.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_finite_under_autocast(
    head: tuple[nn.Module, Inputs], norm: float, dtype: torch.dtype
) -> None:
    module, inputs = head
    with _autocast(dtype):
        assert bool(torch.isfinite(_step(module, module, inputs(6, norm))).all())


@pytest.mark.parametrize("norm", [300.0, 1000.0])
def test_finite_under_autocast_in_script(head: tuple[nn.Module, Inputs], norm: float) -> None:
    # Float16 alone: bfloat16 has the range of float32, and torch keeps the derivative of a
    # scripted graph in the dtype that it saw first.
    module, inputs = head
    scripted = torch.jit.script(module)
    with _autocast(torch.float16):
        for _ in range(3):
            assert bool(torch.isfinite(_step(scripted, module, inputs(6, norm))).all())


def test_distances_keep_their_digits_under_autocast() -> None:
    (dvecs,) = _speakers(6, 300.0)
    module = s.Prototypical()
    expected = module(dvecs)
    for run in (module, torch.jit.script(module)):
        with _autocast(torch.float16):
            torch.testing.assert_close(run(dvecs), expected)
            torch.testing.assert_close(
                run.score(dvecs, dvecs[:, 0]), module.score(dvecs, dvecs[:, 0])
            )
