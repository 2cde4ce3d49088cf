"""Masked regression losses: the peer's numbers where it is right, the definition elsewhere."""

import io
import re

import pytest
import toolkits
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation
from torch import Tensor

from scriptable import L1Loss, MSELoss, l1_loss, mse_loss, truncate
from scriptable._core.reduction import frame_counts

FUNCTIONS = {"l1_loss": l1_loss, "mse_loss": mse_loss}
MODULES = {"l1_loss": L1Loss, "mse_loss": MSELoss}
every_loss = pytest.mark.parametrize("name", FUNCTIONS)
every_reduction = pytest.mark.parametrize(
    "reduction", ["mean", "batch", "batchmean", "sum", "none"]
)
FRESH = settings(deadline=None, max_examples=20, derandomize=False)
NAN, INF = float("nan"), float("inf")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


@st.composite
def batches(draw):
    batch, frames = draw(st.integers(1, 5)), draw(st.integers(1, 12))
    rest = draw(st.sampled_from([(), (3,), (2, 3)]))
    counts = draw(st.none() | st.lists(st.integers(1, frames), min_size=batch, max_size=batch))
    extra = draw(st.integers(-3, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    options = {"generator": generator, "dtype": torch.float64}
    predictions = torch.randn(batch, frames + max(extra, 0), *rest, **options)
    targets = torch.randn(batch, frames + max(-extra, 0), *rest, **options)
    # In float64, in which k/T·T is k but for less than the peer's 1e-6; see the test of 0.54.
    length = None if counts is None else torch.tensor(counts).double() / frames
    return predictions, targets, length


def value_and_gradient(function, predictions, targets, *rest, **options) -> tuple[Tensor, Tensor]:
    predictions = predictions.detach().clone().requires_grad_()
    loss = function(predictions, targets, *rest, **options)
    weights = 1.0 + torch.arange(loss.numel(), dtype=loss.dtype).reshape(loss.shape)
    (gradient,) = torch.autograd.grad((weights * loss).sum(), predictions)
    return loss.detach(), gradient


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("reduction", ["mean", "batch", "batchmean", "none"])
@every_loss
def test_equals_speechbrain(name, reduction, dtype) -> None:
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    theirs = getattr(toolkits.speechbrain_losses(), name)

    @FRESH
    @given(batches())
    def check(drawn) -> None:
        predictions, targets, length = (x if x is None else x.clone() for x in drawn)
        ours = value_and_gradient(
            FUNCTIONS[name], predictions.to(dtype), targets.to(dtype), length, reduction=reduction
        )
        reference = value_and_gradient(
            theirs,
            predictions.to(dtype).double(),
            targets.to(dtype).double(),
            length,
            reduction=reduction,
        )
        assert ours[0].shape == reference[0].shape
        assert ours[0].dtype == ours[1].dtype == dtype
        assert deviation(ours[0], reference[0]) <= tolerance
        assert deviation(ours[1], reference[1]) <= tolerance

    check()


@every_reduction
@every_loss
def test_a_batch_equals_its_items(name, reduction) -> None:
    loss = FUNCTIONS[name]
    predictions, targets = torch.randn(2, 4, 7, 3, dtype=torch.float64)
    counts = [7, 3, 1, 0]
    length = torch.tensor(counts) / 7
    batch = loss(predictions, targets, length, 3, reduction)
    items = [
        (predictions[i : i + 1, :count] - targets[i : i + 1, :count])
        for i, count in enumerate(counts)
    ]
    items = [item.abs() if name == "l1_loss" else item.square() for item in items]
    sums = torch.stack([item.sum() for item in items])
    elements = torch.tensor([item.numel() for item in items])
    expected = {
        "mean": sums.sum() / elements.sum(),
        "batch": sums / elements.clamp(min=1),
        "batchmean": sums.sum() / 4,
        "sum": sums.sum(),
        "none": torch.cat(
            [torch.nn.functional.pad(item, (0, 0, 0, 7 - item.shape[1])) for item in items]
        ),
    }[reduction]
    torch.testing.assert_close(batch, expected, atol=1e-13, rtol=1e-13)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3), (2, 5, 3, 4)])
@every_reduction
@every_loss
def test_shapes_module_and_script(name, reduction, shape) -> None:
    function, module = FUNCTIONS[name], MODULES[name](reduction=reduction)
    predictions, targets = torch.randn(2, *shape)
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(module), buffer)
    buffer.seek(0)
    compiled = [torch.jit.script(module), torch.jit.load(buffer)]
    for length in (None, torch.tensor([1.0, 0.4]), torch.tensor([0.0, 1.0])):
        expected = function(predictions, targets, length, 3, reduction)
        assert list(expected.shape) == {"batch": [2], "none": list(shape)}.get(reduction, [])
        assert torch.equal(module(predictions, targets, length), expected)
        for scripted in compiled:
            for _ in range(3):
                torch.testing.assert_close(scripted(predictions, targets, length), expected)
    if reduction == "mean":
        scripted = torch.jit.script(function)
        torch.testing.assert_close(scripted(predictions, targets), function(predictions, targets))


# Padding


@pytest.mark.parametrize("garbage", [NAN, INF, -INF, 1e30])
@every_reduction
@every_loss
def test_padding_reaches_neither_value_nor_gradient(name, reduction, garbage) -> None:
    predictions, targets = torch.randn(2, 3, 6, 2)
    length = torch.tensor([1.0, 0.5, 0.0])
    clean = value_and_gradient(FUNCTIONS[name], predictions, targets, length, reduction=reduction)
    for spoilt in (0, 1, 2):
        dirty = [predictions.clone(), targets.clone()]
        for which in (0, 1):
            if spoilt in (which, 2):
                dirty[which][1, 3:] = garbage
                dirty[which][2] = garbage
        for i, frames in ((1, 3), (2, 0)):
            assert not clean[1][i, frames:].any()
        found = value_and_gradient(FUNCTIONS[name], *dirty, length, reduction=reduction)
        assert torch.equal(found[0], clean[0])
        assert torch.equal(found[1], clean[1])


@every_loss
def test_nan_in_padding_poisons_the_peer(name) -> None:
    predictions, targets = torch.tensor([[1.0, NAN]]), torch.zeros(1, 2)
    length = torch.tensor([0.5])
    assert getattr(toolkits.speechbrain_losses(), name)(predictions, targets, length).isnan()
    assert float(FUNCTIONS[name](predictions, targets, length)) == 1.0


@every_loss
def test_items_of_length_zero_contribute_nothing(name) -> None:
    theirs, ours = getattr(toolkits.speechbrain_losses(), name), FUNCTIONS[name]
    predictions, targets = torch.tensor([[2.0, 2.0], [1.0, 1.0]]), torch.zeros(2, 2)
    none, some = torch.zeros(2), torch.tensor([0.0, 1.0])
    for reduction, peer, mine in [("mean", NAN, 0.0), ("batch", [NAN, NAN], [0.0, 0.0])]:
        found = theirs(predictions, targets, none, reduction=reduction)
        torch.testing.assert_close(found, torch.tensor(peer), equal_nan=True)
        loss, gradient = value_and_gradient(ours, predictions, targets, none, reduction=reduction)
        torch.testing.assert_close(loss, torch.tensor(mine))
        assert not gradient.any()
    found = theirs(predictions, targets, some, reduction="batch")
    torch.testing.assert_close(found, torch.tensor([NAN, 1.0]), equal_nan=True)
    assert ours(predictions, targets, some, 3, "batch").tolist() == [0.0, 1.0]
    assert float(ours(predictions, targets, some)) == 1.0


# Lengths


def test_lengths_are_rounded_half_up() -> None:
    for frames in (1, 2, 3, 7, 10, 54, 100, 999, 1000, 4001):
        counts = torch.arange(frames + 1)
        for dtype in (torch.float32, torch.float64):
            assert torch.equal(frame_counts(counts.to(dtype) / frames, frames), counts)
    assert frame_counts(torch.tensor([0.54]), 100).tolist() == [54]
    assert frame_counts(torch.tensor([0.5, 0.25, 0.749, 0.75]), 2).tolist() == [1, 1, 1, 2]
    assert frame_counts(torch.tensor([-0.2, 1.7]), 10).tolist() == [0, 10]
    assert frame_counts(torch.tensor([0.3], dtype=torch.float16), 1000).tolist() == [300]


@pytest.mark.parametrize(
    ("length", "frames", "peer_frames", "our_frames"),
    [(0.4, 3, 2, 1), (0.5, 3, 2, 2), (0.54, 100, 55, 54)],
)
def test_rounding_differs_from_the_peer(length, frames, peer_frames, our_frames) -> None:
    ones = torch.ones(1, frames)
    lengths = torch.tensor([length])
    theirs = toolkits.speechbrain_losses().l1_loss
    for function, expected in ((theirs, peer_frames), (l1_loss, our_frames)):
        found = function(ones, 0 * ones, lengths, reduction="batchmean")
        assert float(found) == expected


# Reductions, shapes, precision


@pytest.mark.parametrize("reduction", ["sum", "maen"])
def test_other_reductions_are_unreduced_in_the_peer(reduction) -> None:
    predictions, targets = torch.tensor([[1.0, 2.0, 3.0]]), torch.zeros(1, 3)
    found = toolkits.speechbrain_losses().mse_loss(predictions, targets, reduction=reduction)
    assert found.tolist() == [[1.0, 4.0, 9.0]]
    if reduction == "sum":
        assert float(mse_loss(predictions, targets, reduction="sum")) == 14.0
        return
    message = "reduction: expected one of ['mean', 'batch', 'batchmean', 'sum', 'none'], got maen"
    for call in (
        lambda: mse_loss(predictions, targets, reduction="maen"),
        lambda: l1_loss(predictions, targets, reduction="maen"),
        lambda: MSELoss(reduction="maen"),
        lambda: L1Loss(reduction="maen"),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            call()


@pytest.mark.parametrize(
    ("predictions", "targets", "length", "message"),
    [
        ((2, 9), (2, 5), None, "targets: expected 9 frames (at most 3 more or fewer), got 5"),
        ((2, 5), (2, 9), None, "targets: expected 5 frames (at most 3 more or fewer), got 9"),
        ((2, 5, 3), (2, 5), None, "targets: expected shape [2, 5, 3], got [2, 5]"),
        ((2, 5, 3), (2, 5, 1), None, "targets: expected shape [2, 5, 3], got [2, 5, 1]"),
        ((2, 5), (1, 5), None, "targets: expected shape [2, 5], got [1, 5]"),
        ((2, 5), (2, 5), (3,), "length: expected shape [2], got [3]"),
        ((2, 5), (2, 5), (2, 1), "length: expected shape [2], got [2, 1]"),
        ((5,), (5,), None, "predictions: expected shape [B, T, *], got [5]"),
        ((2, 5), (5,), None, "targets: expected shape [B, T, *], got [5]"),
    ],
)
@every_loss
def test_wrong_shapes(name, predictions, targets, length, message) -> None:
    arguments = (
        torch.zeros(predictions),
        torch.zeros(targets),
        None if length is None else torch.ones(length),
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        FUNCTIONS[name](*arguments)
    with pytest.raises(torch.jit.Error) as caught:
        torch.jit.script(MODULES[name]())(*arguments)
    assert f"builtins.ValueError: {message}\n" in str(caught.value) + "\n"


@every_loss
def test_allowed_difference_in_length(name) -> None:
    predictions, targets = torch.randn(2, 8, 2), torch.randn(2, 5, 2)
    expected = FUNCTIONS[name](predictions[:, :5], targets)
    assert torch.equal(FUNCTIONS[name](predictions, targets), expected)
    assert torch.equal(FUNCTIONS[name](targets, predictions), expected)
    with pytest.raises(ValueError, match="at most 2 more"):
        FUNCTIONS[name](predictions, targets, None, 2)
    with pytest.raises(ValueError, match="at most 0 more"):
        MODULES[name](allowed_len_diff=0)(predictions, targets)
    # The length is relative to the frames that are left.
    length = torch.tensor([0.4, 1.0])
    assert torch.equal(
        FUNCTIONS[name](predictions, targets, length),
        FUNCTIONS[name](predictions[:, :5], targets, length),
    )
    cut = truncate(predictions, targets)
    assert [list(x.shape) for x in cut] == [[2, 5, 2], [2, 5, 2]]


@every_reduction
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_loss
def test_half_precision_does_not_overflow(name, dtype, reduction) -> None:
    predictions, targets = torch.full((2, 4, 4000), 300.0, dtype=dtype), torch.zeros(2, 4, 4000)
    targets = targets.to(dtype)
    each = 300.0 if name == "l1_loss" else 90000.0
    factor = {"sum": 32000, "batchmean": 16000}.get(reduction, 1)
    for length in (None, torch.ones(2), torch.ones(2, dtype=dtype)):
        loss, gradient = value_and_gradient(
            FUNCTIONS[name], predictions, targets, length, reduction=reduction
        )
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, torch.full_like(loss, factor * each))
        assert gradient.dtype == dtype
    if reduction == "mean":
        theirs = getattr(toolkits.speechbrain_losses(), name)
        assert theirs(predictions.half(), targets.half()).isinf()


@every_reduction
@every_loss
def test_gradcheck(name, reduction) -> None:
    predictions = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    for length in (None, torch.tensor([1.0, 0.5, 0.0])):
        assert torch.autograd.gradcheck(
            lambda x, y, n=length: FUNCTIONS[name](x, y, n, 3, reduction), (predictions, targets)
        )


@every_loss
def test_equal_signals_have_no_loss_and_no_gradient(name) -> None:
    same = torch.randn(2, 3)
    loss, gradient = value_and_gradient(FUNCTIONS[name], same, same.clone())
    assert float(loss) == 0.0
    assert not gradient.any()


@every_loss
def test_export_takes_other_lengths(name) -> None:
    module = MODULES[name]()
    predictions, targets = torch.randn(2, 3, 6, 2)
    length = torch.tensor([1.0, 0.5, 0.3])
    program = torch.export.export(module, (predictions, targets, length)).module()
    for other in (length, torch.tensor([0.0, 1.0, 0.9])):
        torch.testing.assert_close(
            program(predictions, targets, other), module(predictions, targets, other)
        )
