"""Errors of the losses per frame: one form, the argument by name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import scriptable


def log_halves(*shape: int) -> Tensor:
    return torch.full((*shape, 2), 0.5).log()


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64)


def test_a_plain_callable_says_that_it_cannot_be_scripted() -> None:
    loss = scriptable.MaskedLoss(lambda predictions, targets: predictions - targets)
    assert float(loss(torch.ones(1, 2), torch.zeros(1, 2))) == 1.0
    message = "loss_fn: expected a torch.nn.Module, which can be scripted, got function"
    with pytest.raises(ValueError, match=message):
        torch.jit.script(loss)
    with pytest.raises(ValueError, match=message):
        torch.jit.script(scriptable.LogSoftmaxWrapper(lambda outputs: outputs))


ERRORS = [
    (
        lambda: scriptable.nll_loss(log_halves(2, 3), zeros(2, 9)),
        r"targets: expected 3 frames \(at most 3 more or fewer\), got 9",
    ),
    (
        lambda: scriptable.nll_loss(log_halves(2), zeros(3, 1)),
        r"targets: expected shape \[2\], got \[3, 1\]",
    ),
    (
        lambda: scriptable.nll_loss(log_halves(2), zeros(2), torch.ones(2)),
        r"length: expected None for log_probabilities without frames, got shape \[2\]",
    ),
    (
        lambda: scriptable.nll_loss(log_halves(2), zeros(2), label_smoothing=1.5),
        r"label_smoothing: expected a value in \[0, 1\], got 1.5",
    ),
    (
        lambda: scriptable.nll_loss(log_halves(2), zeros(2), weight=torch.ones(3)),
        r"weight: expected shape \[2\], got \[3\]",
    ),
    (
        lambda: scriptable.nll_loss(log_halves(2, 3), zeros(2, 3), torch.ones(3)),
        r"length: expected shape \[2\], got \[3\]",
    ),
    (
        lambda: scriptable.bce_loss(torch.zeros(2, 3), torch.zeros(2, 3), weight=torch.ones(3)),
        r"weight: expected a shape that broadcasts to \[2, 3\], got \[3, 1\]",
    ),
    (
        lambda: scriptable.bce_loss(torch.zeros(2), torch.zeros(2), torch.ones(2)),
        r"length: expected None for inputs without frames, got shape \[2\]",
    ),
    (
        lambda: scriptable.kldiv_loss(torch.zeros(2, 1), zeros(2), label_smoothing=0.1),
        r"log_probabilities: expected 2 or more classes, got 1",
    ),
    (
        lambda: scriptable.distance_diff_loss(torch.zeros(2, 3, 4), torch.zeros(2)),
        r"predictions: expected shape \[B, T\], got \[2, 3, 4\]",
    ),
    (
        lambda: scriptable.MaskedLoss(nn.MSELoss(reduction="none"), mask_shape="both"),
        r"mask_shape: expected one of .*, got both",
    ),
    (
        lambda: scriptable.compute_length_mask(torch.zeros(2, 3), torch.ones(2), len_dim=2),
        r"data: expected a dimension 2 beside the batch, got \[2, 3\]",
    ),
    (
        lambda: scriptable.reduce_loss(torch.zeros(2, 3), torch.ones(2, 3), "mean", 0.1),
        r"predictions: expected a tensor to smooth labels with, got None",
    ),
    (
        lambda: scriptable.LogSoftmaxWrapper(lambda a, b, c: a),
        r"loss_fn: expected a callable of one or two tensors, got loss_fn\(a, b, c\)",
    ),
]


@pytest.mark.parametrize(("call", "message"), ERRORS)
def test_errors_name_the_argument(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "name",
    ["distance_diff_loss", "compute_length_mask", "reduce_loss", "ce_kd", "nll_loss_kd"],
)
def test_functions_script_with_their_defaults(name: str) -> None:
    x = torch.rand(2, 3, 4)
    inputs = {
        "distance_diff_loss": (x[:, 0], x[:, 0, 0]),
        "compute_length_mask": (x, x[:, 0, 0]),
        "reduce_loss": (x, (x > 0.5).float()),
        "ce_kd": (x[0], x[1, :3]),
        "nll_loss_kd": (x, x, x[:, 0, 0]),
    }[name]
    function = getattr(scriptable, name)
    torch.testing.assert_close(torch.jit.script(function)(*inputs), function(*inputs))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_a_float32_loss(dtype: torch.dtype) -> None:
    x, length = torch.rand(2, 3, 4, dtype=dtype), torch.tensor([1.0, 1 / 3], dtype=dtype)
    labels = torch.tensor([[0, 1, 2], [3, 0, 0]])
    weight = torch.ones(4, dtype=dtype)
    for loss in (
        scriptable.nll_loss(x, labels, length, 0.1, 3, weight),
        scriptable.kldiv_loss(x, labels, length, 0.1),
        scriptable.bce_loss(x, x, length),
        scriptable.distance_diff_loss(x[:, 0], x[:, 0, 0], length),
        scriptable.nll_loss_kd(x, x, length),
        scriptable.LogSoftmaxWrapper(scriptable.AdditiveAngularMargin(0.2))(x, labels, length),
    ):
        assert loss.dtype == torch.float32
        assert bool(torch.isfinite(loss))
