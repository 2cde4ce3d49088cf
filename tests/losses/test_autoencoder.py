"""The autoencoders' losses equal SpeechBrain's; tuples of every kind, saved results, edges."""

import io
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation, imported, speechbrain_losses
from torch import Tensor, nn

import scriptable
from scriptable import (
    AutoencoderLossDetails,
    AutoencoderOutput,
    VariationalAutoencoderLossDetails,
    VariationalAutoencoderOutput,
)

FRESH = settings(deadline=None, max_examples=20, derandomize=False)
SEEDS = st.integers(0, 2**32 - 1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
# The peer's "sum" is unreduced, see below.
SHARED = st.sampled_from(["mean", "batch", "batchmean", "none"])
REC_LOSSES: dict[str, Callable[[Any], Any]] = {
    "default": lambda library: None,
    "l1_loss": lambda library: library.l1_loss,
    "smooth_l1": lambda library: F.smooth_l1_loss,
}


def tensors(seed: int, *shape: int) -> list[Tensor]:
    """Reconstruction, mean, log variance and targets."""
    g = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=g).double() for _ in range(4)]


def lengths(seed: int, batch: int, frames: int) -> Tensor:
    """A quarter frame below whole frames, which the peer's rounding up and ours agree on."""
    g = torch.Generator().manual_seed(seed)
    return (torch.randint(1, frames + 1, (batch,), generator=g).double() - 0.25) / frames


def outcome(run: Callable[..., tuple[Tensor, ...]], inputs: list[Tensor]) -> list[Tensor]:
    """All results, and the gradients of the first of them."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    results = run(*leaves)
    gradients = torch.autograd.grad(results[0].sum(), leaves, allow_unused=True)
    return [*(x.detach() for x in results), *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("rec_loss", REC_LOSSES)
@DTYPES
@FRESH
@given(
    seed=SEEDS,
    batch=st.integers(1, 4),
    frames=st.integers(1, 8),
    extra=st.sampled_from([(), (3,), (2, 3)]),
    reduction=SHARED,
    padded=st.booleans(),
    last=st.booleans(),
)
def test_variational_equals_speechbrain(
    rec_loss: str,
    dtype: torch.dtype,
    seed: int,
    batch: int,
    frames: int,
    extra: tuple,
    reduction: str,
    padded: bool,
    last: bool,
) -> None:
    sb, output = speechbrain_losses(), imported("speechbrain.nnet.autoencoders")
    inputs = [x.to(dtype) for x in tensors(seed, batch, frames, *extra)]
    len_dim = 1
    if last and extra:
        len_dim = len(extra) + 1
        inputs = [x.movedim(1, len_dim).contiguous() for x in inputs]
    length = lengths(seed, batch, frames) if padded else None
    ours = scriptable.VariationalAutoencoderLoss(REC_LOSSES[rec_loss](scriptable), len_dim, 0.3)
    theirs = sb.VariationalAutoencoderLoss(REC_LOSSES[rec_loss](sb) or sb.mse_loss, len_dim, 0.3)

    def run(loss: nn.Module, rec: Tensor, mean: Tensor, log_var: Tensor, targets: Tensor) -> Any:
        predictions = output.VariationalAutoencoderOutput(rec, mean, mean, log_var, mean, length)
        return loss.details(predictions, targets, length, reduction)

    result = outcome(lambda *x: run(ours, *x), inputs)
    reference = outcome(lambda *x: run(theirs, *x), inputs)
    for ours_, theirs_ in zip(result, reference, strict=True):
        assert ours_.shape == theirs_.shape
        assert deviation(ours_, theirs_) <= TOLERANCE[dtype]


@pytest.mark.parametrize("rec_loss", REC_LOSSES)
@DTYPES
@FRESH
@given(
    seed=SEEDS,
    batch=st.integers(1, 4),
    frames=st.integers(1, 8),
    reduction=SHARED,
    padded=st.booleans(),
)
def test_plain_equals_speechbrain(
    rec_loss: str,
    dtype: torch.dtype,
    seed: int,
    batch: int,
    frames: int,
    reduction: str,
    padded: bool,
) -> None:
    sb, output = speechbrain_losses(), imported("speechbrain.nnet.autoencoders")
    rec, _, _, targets = (x.to(dtype) for x in tensors(seed, batch, frames, 3))
    length = lengths(seed, batch, frames) if padded else None
    ours = scriptable.AutoencoderLoss(REC_LOSSES[rec_loss](scriptable))
    theirs = sb.AutoencoderLoss(REC_LOSSES[rec_loss](sb) or sb.mse_loss)

    def run(loss: nn.Module, rec: Tensor, targets: Tensor) -> Any:
        return loss.details(output.AutoencoderOutput(rec, rec, length), targets, length, reduction)

    result = outcome(lambda *x: run(ours, *x), [rec, targets])
    reference = outcome(lambda *x: run(theirs, *x), [rec, targets])
    for ours_, theirs_ in zip(result, reference, strict=True):
        assert deviation(ours_, theirs_) <= TOLERANCE[dtype]


def packed(rec: Tensor, mean: Tensor, log_var: Tensor) -> VariationalAutoencoderOutput:
    return VariationalAutoencoderOutput(rec, mean, mean, log_var, mean, torch.ones(rec.shape[0]))


def test_every_tuple_is_taken_alike() -> None:
    rec, mean, log_var, targets = tensors(1, 3, 5, 2)
    loss = scriptable.VariationalAutoencoderLoss()
    ours = packed(rec, mean, log_var)
    theirs = imported("speechbrain.nnet.autoencoders").VariationalAutoencoderOutput(*ours)
    expected = loss(ours, targets)
    assert torch.equal(loss(theirs, targets), expected)
    assert torch.equal(loss(tuple(ours), targets), expected)
    assert torch.equal(loss((rec, mean, log_var), targets), expected)
    assert torch.equal(torch.jit.script(loss)(ours, targets), expected)
    # The peer's docstring promises the three-tuple, its code unpacks six.
    with pytest.raises(ValueError, match="unpack"):
        speechbrain_losses().VariationalAutoencoderLoss()((rec, mean, log_var), targets)
    plain = scriptable.AutoencoderLoss()
    single = AutoencoderOutput(rec, mean, torch.ones(3))
    assert torch.equal(plain((rec,), targets), plain(single, targets))
    assert torch.equal(torch.jit.script(plain)(single, targets), plain(single, targets))


@pytest.mark.parametrize("reduction", ["mean", "batch", "batchmean", "sum", "none"])
def test_forward_is_the_loss_of_the_details(reduction: str) -> None:
    rec, mean, log_var, targets = tensors(2, 3, 5, 2)
    length = torch.tensor([0.2, 1.0, 0.6])
    loss = scriptable.VariationalAutoencoderLoss(dist_loss_weight=0.7)
    predictions = packed(rec, mean, log_var)
    details = loss.details(predictions, targets, length, reduction)
    assert type(details) is VariationalAutoencoderLossDetails
    assert torch.equal(loss(predictions, targets, length, reduction), details.loss)
    torch.testing.assert_close(details.loss, details.rec_loss + 0.7 * details.dist_loss)
    plain = scriptable.AutoencoderLoss().details((rec,), targets, length, reduction)
    assert type(plain) is AutoencoderLossDetails
    torch.testing.assert_close(plain.loss, details.rec_loss)


class Packing(nn.Module):
    """Tensors in, details out."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = scriptable.VariationalAutoencoderLoss()

    def forward(
        self, rec: Tensor, mean: Tensor, log_var: Tensor, targets: Tensor
    ) -> VariationalAutoencoderLossDetails:
        predictions = VariationalAutoencoderOutput(rec, mean, mean, log_var, mean, mean)
        return self.loss.details(predictions, targets)


def test_the_details_keep_their_names_in_script_and_exported_files() -> None:
    module, inputs = Packing(), tuple(x.float() for x in tensors(3, 3, 5, 2))
    expected = module(*inputs)
    for save, load in ((torch.jit.save, torch.jit.load), (torch.export.save, torch.export.load)):
        file = io.BytesIO()
        if save is torch.jit.save:
            save(torch.jit.script(module), file)
        else:
            save(torch.export.export(module, inputs), file)
        file.seek(0)
        loaded = load(file)
        result = (loaded if save is torch.jit.save else loaded.module())(*inputs)
        assert type(result).__name__ == "VariationalAutoencoderLossDetails"
        assert result._fields == expected._fields
        for ours, reference in zip(result, expected, strict=True):
            torch.testing.assert_close(ours, reference)


@DTYPES
def test_a_huge_variance_stays_finite_where_the_peer_overflows(dtype: torch.dtype) -> None:
    rec, mean, log_var, targets = (x.to(dtype) for x in tensors(4, 3, 5, 2))
    log_var[0, 0, 0] = 100.0
    ours = outcome(
        lambda r, m, v, t: scriptable.VariationalAutoencoderLoss().details(packed(r, m, v), t),
        [rec, mean, log_var, targets],
    )
    assert all(bool(torch.isfinite(x).all()) for x in ours)
    variance = ours[6][0, 0, 0].item()
    # The slope at 40: it still pulls the variance down.
    assert variance == pytest.approx(0.001 * 0.5 * math.exp(40) / 3, rel=1e-4)
    theirs = speechbrain_losses().VariationalAutoencoderLoss()
    overflows = not bool(torch.isfinite(theirs(packed(rec, mean, log_var), targets)))
    assert overflows == (dtype == torch.float32)


@pytest.mark.parametrize("log_var", [-200.0, 0.0, 20.0, 39.9])
def test_below_the_bend_the_divergence_is_the_peers(log_var: float) -> None:
    rec, mean, _, targets = tensors(5, 2, 3, 2)
    predictions = packed(rec, mean, torch.full_like(mean, log_var))
    ours = scriptable.VariationalAutoencoderLoss()(predictions, targets)
    theirs = speechbrain_losses().VariationalAutoencoderLoss()(predictions, targets)
    assert deviation(ours, theirs) <= 1e-10


def test_sum_sums_where_the_peer_returns_every_element() -> None:
    rec, mean, log_var, targets = tensors(6, 2, 3, 2)
    predictions = packed(rec, mean, log_var)
    ours = scriptable.VariationalAutoencoderLoss()(predictions, targets, None, "sum")
    theirs = speechbrain_losses().VariationalAutoencoderLoss()(predictions, targets, None, "sum")
    assert (ours.shape, theirs.shape) == ((), (2, 3, 2))
    assert ours.item() == pytest.approx(theirs.sum().item())


@pytest.mark.parametrize("reduction", ["mean", "batch"])
def test_zero_lengths_count_nothing_where_the_peer_divides_by_zero(reduction: str) -> None:
    rec, mean, log_var, targets = tensors(7, 2, 4, 2)
    length = torch.zeros(2)
    predictions = packed(rec, mean, log_var)
    ours = scriptable.VariationalAutoencoderLoss()(predictions, targets, length, reduction)
    theirs = speechbrain_losses().VariationalAutoencoderLoss()
    assert not bool(ours.any())
    assert bool(theirs(predictions, targets, length, reduction).isnan().all())


def test_nan_in_padding_poisons_the_peer_alone() -> None:
    rec, mean, log_var, targets = tensors(8, 2, 4, 2)
    length = torch.tensor([0.5, 1.0])
    clean = scriptable.VariationalAutoencoderLoss()(packed(rec, mean, log_var), targets, length)
    for x in (rec, mean, log_var, targets):
        x[0, 2:] = torch.nan
    predictions = packed(rec, mean, log_var)
    assert torch.equal(scriptable.VariationalAutoencoderLoss()(predictions, targets, length), clean)
    theirs = speechbrain_losses().VariationalAutoencoderLoss()
    assert bool(theirs(predictions, targets, length).isnan())


def test_lengths_round_half_up_where_the_peer_rounds_up() -> None:
    rec, targets = torch.ones(1, 10), torch.zeros(1, 10)
    length = torch.tensor([0.52])
    predictions = AutoencoderOutput(rec, rec, length)
    theirs = speechbrain_losses().AutoencoderLoss()(predictions, targets, length)
    ours = scriptable.AutoencoderLoss()(predictions, targets, length)
    assert (ours.item(), theirs.item()) == (5.0, 6.0)


@pytest.mark.parametrize(
    "rec_loss", [nn.L1Loss(reduction="none"), lambda t, r: (t - r).abs(), scriptable.l1_loss]
)
def test_modules_and_functions_of_either_arity_are_reconstruction_losses(rec_loss: Any) -> None:
    rec, _, _, targets = tensors(9, 2, 4, 2)
    loss = scriptable.AutoencoderLoss(rec_loss)
    assert len(list(loss.children())) == 1
    result = loss((rec,), targets, None, "mean")
    torch.testing.assert_close(result, (rec - targets).abs().mean())


@pytest.mark.parametrize("rec_loss", [nn.L1Loss(reduction="none"), scriptable.l1_loss])
def test_reconstruction_losses_script(rec_loss: Any) -> None:
    rec, mean, _, targets = tensors(10, 2, 4, 2)
    loss = scriptable.AutoencoderLoss(rec_loss)
    predictions = AutoencoderOutput(rec, mean, torch.ones(2))
    torch.testing.assert_close(
        torch.jit.script(loss)(predictions, targets), loss(predictions, targets)
    )


def test_half_precision_is_accumulated_in_float32() -> None:
    inputs = [(300 * x).half() for x in tensors(11, 2, 4, 2)]
    value, *gradients = outcome(
        lambda rec, targets: (scriptable.AutoencoderLoss()((rec,), targets),),
        [inputs[0], inputs[3]],
    )
    assert value.dtype == torch.float32
    assert all(bool(torch.isfinite(x).all()) for x in (value, *gradients))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: scriptable.AutoencoderLoss()((torch.zeros(2, 3),), torch.zeros(2, 3, 1)),
            "targets: expected shape [2, 3], got [2, 3, 1]",
        ),
        (
            lambda: scriptable.AutoencoderLoss()(
                (torch.zeros(2, 3),), torch.zeros(2, 3), None, "avg"
            ),
            "reduction: expected one of ['mean', 'batch', 'batchmean', 'sum', 'none'], got avg",
        ),
        (
            lambda: scriptable.VariationalAutoencoderLoss()(
                (torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 5)), torch.zeros(2, 3)
            ),
            "log_var: expected shape [2, 4], got [2, 5]",
        ),
        (
            lambda: scriptable.VariationalAutoencoderLoss()(
                (torch.zeros(2, 3), torch.zeros(2, 4), torch.zeros(2, 4)),
                torch.zeros(2, 3),
                None,
                "none",
            ),
            "mean: expected shape [2, 3], got [2, 4]",
        ),
        (
            lambda: scriptable.AutoencoderLoss(3),
            "rec_loss: expected a module or a callable, got 3",
        ),
    ],
)
def test_errors_name_the_argument(call: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == message
