"""The Laplacian and its variance equal SpeechBrain's; padding stays out of the variance."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation, numbers, speechbrain_losses
from torch import Tensor

import scriptable

FRESH = settings(deadline=None, max_examples=25, derandomize=False)
SEEDS = st.integers(0, 2**32 - 1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def images(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def outcome(loss: object, images: Tensor, *others: object) -> tuple[Tensor, Tensor]:
    leaf = images.clone().requires_grad_()
    value = loss(leaf, *others)  # type: ignore[operator]
    return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]


@DTYPES
@FRESH
@given(seed=SEEDS, batch=st.integers(1, 4), side=st.integers(1, 5), more=st.integers(1, 6))
def test_laplacian_equals_speechbrain(
    dtype: torch.dtype, seed: int, batch: int, side: int, more: int
) -> None:
    data = images(seed, batch, 1, side + more, side + 1).to(dtype)
    ours = outcome(scriptable.Laplacian(side, dtype), data)
    theirs = outcome(speechbrain_losses().Laplacian(side, dtype), data)
    for result, reference in zip(ours, theirs, strict=True):
        assert deviation(result, reference) <= TOLERANCE[dtype]


@pytest.mark.parametrize("reduction", [None, "batch"])
@DTYPES
@FRESH
@given(seed=SEEDS, batch=st.integers(1, 4), side=st.integers(1, 4), len_dim=st.integers(1, 3))
def test_variance_equals_speechbrain(
    reduction: str | None, dtype: torch.dtype, seed: int, batch: int, side: int, len_dim: int
) -> None:
    data = images(seed, batch, 1, side + 4, side + 3).to(dtype)
    ours = scriptable.LaplacianVarianceLoss(side, len_dim).to(dtype)
    theirs = speechbrain_losses().LaplacianVarianceLoss(side, len_dim).to(dtype)
    for length in (None, torch.ones(batch)):
        result = outcome(ours, data, length, reduction)
        reference = outcome(theirs, data, length, reduction)
        assert deviation(result[0], reference[0]) <= TOLERANCE[dtype]
        assert deviation(result[1], reference[1]) <= TOLERANCE[dtype]


@FRESH
@given(seed=SEEDS, counts=st.lists(st.integers(5, 9), min_size=1, max_size=4))
def test_a_padded_item_is_worth_the_item_without_its_padding(seed: int, counts: list[int]) -> None:
    data = images(seed, len(counts), 9, 6)
    length = torch.tensor(counts).double() / 9
    ours = scriptable.LaplacianVarianceLoss(3)(data, length, "batch")
    theirs = speechbrain_losses().LaplacianVarianceLoss(3).double()
    cropped = [theirs(item[:n].unsqueeze(0)) for item, n in zip(data, counts, strict=True)]
    assert deviation(ours, torch.stack(cropped)) <= 1e-10


def test_the_peer_sees_padding_through_the_kernel() -> None:
    """Its mask counts values of the Laplacian, each of which sees three frames."""
    data = images(1, 1, 10, 6)
    data[:, 5:] = 1e6
    length = torch.tensor([0.5])
    theirs = speechbrain_losses().LaplacianVarianceLoss(3).double()
    exact = theirs(data[:, :5]).item()
    assert scriptable.LaplacianVarianceLoss(3)(data, length).item() == pytest.approx(exact)
    assert theirs(data, length).item() < -1e10


def test_all_leading_dimensions_are_batches() -> None:
    """The peer takes one channel only, and three dimensions only as a single image."""
    data = images(2, 2, 3, 7, 6).float()
    laplacian = scriptable.Laplacian(3)
    single = speechbrain_losses().Laplacian(3)
    expected = torch.stack([torch.stack([single(c.unsqueeze(0))[0] for c in x]) for x in data])
    torch.testing.assert_close(laplacian(data), expected)
    torch.testing.assert_close(laplacian(data[0]), expected[0])
    with pytest.raises(RuntimeError):
        single(data)


@pytest.mark.parametrize("count", [0, 2, 3])
def test_too_few_frames_cost_nothing(count: int) -> None:
    """Three frames of width 3 leave one value; the peer's variance of it is NaN."""
    data = images(3, 2, 9, 3)
    length = torch.tensor([count / 9, 1.0])
    value, gradient = outcome(scriptable.LaplacianVarianceLoss(3), data, length, "batch")
    assert value[0].item() == 0.0 and value[1].item() < 0
    assert bool(torch.isfinite(gradient).all())
    theirs = speechbrain_losses().LaplacianVarianceLoss(3).double()
    with pytest.warns(UserWarning, match="degrees of freedom"):
        assert bool(theirs(data[:1, :3]).isnan())


def test_unknown_reductions_are_errors_where_the_peer_takes_the_whole() -> None:
    data = images(4, 2, 1, 6, 6).float()
    theirs = speechbrain_losses().LaplacianVarianceLoss(3)
    assert numbers(theirs(data, None, "mean")) == numbers(theirs(data))
    with pytest.raises(ValueError, match=r"reduction: expected one of \['batch'\], got mean"):
        scriptable.LaplacianVarianceLoss(3)(data, None, "mean")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_accumulated_in_float32(dtype: torch.dtype) -> None:
    data = (100 * images(5, 2, 8, 8)).to(dtype)
    value, gradient = outcome(scriptable.LaplacianVarianceLoss(3), data)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, scriptable.LaplacianVarianceLoss(3)(data.float()))
    assert bool(torch.isfinite(gradient).all())


def test_checkpoints_of_the_peer_load() -> None:
    theirs = speechbrain_losses().LaplacianVarianceLoss(5)
    ours = scriptable.LaplacianVarianceLoss(5)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours.laplacian.get_kernel(), theirs.laplacian.get_kernel())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: scriptable.Laplacian(3)(torch.zeros(1, 2, 5)),
            "data: expected shape [..., W, H] of at least 3 x 3, got [1, 2, 5]",
        ),
        (lambda: scriptable.Laplacian(0), "kernel_size: expected a value above 0, got 0"),
        (
            lambda: scriptable.LaplacianVarianceLoss()(torch.zeros(4, 5)),
            "predictions: expected shape [B, ..., W, H], got [4, 5]",
        ),
        (
            lambda: scriptable.LaplacianVarianceLoss()(torch.zeros(2, 4, 5), torch.ones(3)),
            "length: expected shape [2], got [3]",
        ),
    ],
)
def test_errors_name_the_argument(call: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()  # type: ignore[operator]
    assert str(caught.value) == message
