"""A sum over nothing is 0, with gradients of 0: every loss of a batch without items or frames."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import scriptable as s
from scriptable import VariationalAutoencoderOutput as Latent

Loss = Callable[..., Tensor]
REDUCTIONS = ("mean", "batch", "batchmean", "sum", "none")


def _floats(*shape: int) -> Tensor:
    return torch.zeros(shape)


def _labels(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64)


def _squares() -> nn.Module:
    return nn.MSELoss(reduction="none")


# Of batch and frames: a function of inputs, length and reduction, and its inputs.
FRAMES: dict[str, tuple[Loss, Callable[[int, int], tuple[Tensor, ...]]]] = {
    "l1": (
        lambda x, y, n, r: s.l1_loss(x, y, n, reduction=r),
        lambda b, t: (_floats(b, t, 4), _floats(b, t, 4)),
    ),
    "mse": (
        lambda x, y, n, r: s.mse_loss(x, y, n, reduction=r),
        lambda b, t: (_floats(b, t, 4), _floats(b, t, 4)),
    ),
    "distance": (
        lambda x, y, n, r: s.distance_diff_loss(x, y, n, reduction=r),
        lambda b, t: (_floats(b, t), _floats(b)),
    ),
    "bce": (
        lambda x, y, n, r: s.bce_loss(x, y, n, reduction=r),
        lambda b, t: (_floats(b, t, 4), _floats(b, t, 4)),
    ),
    "nll": (
        lambda x, y, n, r: s.nll_loss(x, y, n, 0.1, weight=torch.ones(4), reduction=r),
        lambda b, t: (_floats(b, t, 4), _labels(b, t)),
    ),
    "kldiv": (
        lambda x, y, n, r: s.kldiv_loss(x, y, n, 0.1, reduction=r),
        lambda b, t: (_floats(b, t, 4), _labels(b, t)),
    ),
    "error": (
        lambda x, y, n, r: s.classification_error(x, y, n, reduction=r),
        lambda b, t: (_floats(b, t, 4), _labels(b, t)),
    ),
    "masked": (
        lambda x, y, n, r: s.compute_masked_loss(_squares(), x, y, n, reduction=r),
        lambda b, t: (_floats(b, t, 4), _floats(b, t, 4)),
    ),
    "smoothed": (
        lambda x, y, n, r: s.compute_masked_loss(
            nn.NLLLoss(reduction="none"), x, y, n, 0.1, reduction=r
        ),
        lambda b, t: (_floats(b, 4, t), _labels(b, t)),
    ),
    "reduced": (
        lambda x, y, n, r: s.reduce_loss(x, y, r),
        lambda b, t: (_floats(b, t), _floats(b, t)),
    ),
    "autoencoder": (
        lambda x, y, n, r: s.AutoencoderLoss()(s.AutoencoderOutput(x, x, x), y, n, r),
        lambda b, t: (_floats(b, t, 4), _floats(b, t, 4)),
    ),
    "vae": (
        lambda x, y, n, r: s.VariationalAutoencoderLoss()(Latent(x, x, x, x, x, x), y, n, r),
        lambda b, t: (_floats(b, t, 4), _floats(b, t, 4)),
    ),
    "ctc": (
        lambda x, y, n, r: s.ctc_loss(x, y, _ones(x), _ones(x), 0, r),
        lambda b, t: (_floats(b, t, 4), _labels(b, 3)),
    ),
    "ctc without labels": (
        lambda x, y, n, r: s.ctc_loss(x, y, _ones(x), _ones(x), 0, r),
        lambda b, t: (_floats(b, t, 4), _labels(b, 0)),
    ),
    "transducer": (
        lambda x, y, n, r: s.transducer_loss(x, y, _ones(x), _ones(x), 0, r),
        lambda b, t: (_floats(b, t, 4, 4), _labels(b, 3)),
    ),
}


def _ones(x: Tensor) -> Tensor:
    return torch.ones(x.shape[0])


def _pit(base: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    loss: Tensor = s.PitWrapper(base)(x, y)[0]
    return loss


OTHERS: dict[str, tuple[Loss, tuple[Tensor, ...]]] = {
    "nll of utterances": (s.nll_loss, (_floats(0, 4), _labels(0))),
    "bce of utterances": (s.bce_loss, (_floats(0), _floats(0))),
    "ce_kd": (s.ce_kd, (_floats(0, 4), _floats(0, 4))),
    "nll_kd": (s.nll_loss_kd, (_floats(0, 5, 4), _floats(0, 5, 4), _floats(0))),
    "ctc_kd": (
        lambda x, y: s.ctc_loss_kd(x, y, _ones(x), 0, "cpu"),
        (_floats(0, 5, 4), _floats(0, 5, 4)),
    ),
    "contrastive": (
        lambda x, y, negs: torch.stack(s.ContrastiveLoss(0.1)(x, y, negs)),
        (_floats(0, 5, 4), _floats(0, 5, 4), _floats(3, 0, 5, 4)),
    ),
    "wrapper": (
        s.LogSoftmaxWrapper(s.AngularMargin(0.2, 30.0)),
        (_floats(0, 1, 4), _labels(0, 1)),
    ),
    "wrapper with lengths": (
        s.LogSoftmaxWrapper(nn.Identity()),
        (_floats(0, 5, 4), _labels(0, 5), _floats(0)),
    ),
    "laplacian": (s.LaplacianVarianceLoss(), (_floats(0, 6, 6),)),
    "laplacian with lengths": (s.LaplacianVarianceLoss(), (_floats(0, 6, 6), _floats(0))),
    "si-snr": (s.cal_si_snr, (_floats(5, 0, 2), _floats(5, 0, 2))),
    "snr": (s.cal_snr, (_floats(5, 1, 0, 2), _floats(5, 1, 0, 2))),
    **{
        f"{name} of {count} sources": (loss, (_floats(*shape, count), _floats(*shape, count)))
        for count in (2, 4, 6)
        for name, loss, shape in (
            ("pit", partial(_pit, _squares()), (0, 5)),
            ("pit si-snr", s.get_si_snr_with_pitwrapper, (0, 5)),
            ("pit snr", s.get_snr_with_pitwrapper, (0, 5, 1)),
        )
    },
}


def _assert_nothing(loss: Loss, inputs: tuple[Tensor, ...]) -> None:
    leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in inputs]
    value = loss(*leaves)
    assert bool((value == 0).all())
    if value.requires_grad:
        value.sum().backward()
    found = [x.grad for x in leaves if x.grad is not None]
    assert all(bool((grad == 0).all()) for grad in found)


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("with_length", [False, True])
def test_nothing_costs_nothing(name: str, reduction: str, with_length: bool) -> None:
    function, inputs = FRAMES[name]
    for batch, frames in ((0, 5), (0, 0), (3, 0)):
        length = torch.ones(batch) if with_length else None

        def loss(x: Tensor, y: Tensor, length: Tensor | None = length) -> Tensor:
            return function(x, y, length, reduction)

        _assert_nothing(loss, inputs(batch, frames))
        value = loss(*inputs(batch, frames))
        if reduction != "none":
            assert list(value.shape) == ([batch] if reduction == "batch" else [])


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_costs_nothing_elsewhere(name: str) -> None:
    _assert_nothing(*OTHERS[name])


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (s.MSELoss(), (_floats(0, 5), _floats(0, 5))),
        (s.NLLLoss(), (_floats(0, 5, 4), _labels(0, 5))),
        (s.CTCLoss(0), (_floats(0, 5, 4), _labels(0, 2), _floats(0), _floats(0))),
        (s.TransducerLoss(0), (_floats(0, 5, 3, 4), _labels(0, 2), _floats(0), _floats(0))),
    ],
)
def test_in_script_too(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    _assert_nothing(torch.jit.script(module), inputs)
