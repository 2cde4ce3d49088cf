"""The contrastive loss equals SpeechBrain's; duplicates, ties and zero vectors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation, speechbrain_losses
from torch import Tensor

import scriptable

FRESH = settings(deadline=None, max_examples=25, derandomize=False)
SEEDS = st.integers(0, 2**32 - 1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])


def frames(
    seed: int, negatives: int, batch: int, time: int, copies: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings, targets and negatives, of which some equal their targets."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randn(batch, time, 6, generator=g)
    x = y + torch.randn(batch, time, 6, generator=g)
    negs = torch.randn(negatives, batch, time, 6, generator=g)
    for _ in range(copies):
        n, b, t = (int(torch.randint(size, (), generator=g)) for size in (negatives, batch, time))
        negs[n, b, t] = y[b, t]
    return x, y, negs


def outcome(loss: object, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Loss, accuracy and all gradients."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    value, accuracy = loss(*leaves)  # type: ignore[operator]
    return (value.detach(), accuracy.detach(), *torch.autograd.grad(value, leaves))


@DTYPES
@FRESH
@given(
    seed=SEEDS,
    negatives=st.integers(1, 12),
    batch=st.integers(1, 3),
    time=st.integers(1, 6),
    copies=st.integers(0, 8),
    temperature=st.sampled_from([0.1, 1.0]),
)
def test_equal_to_speechbrain(
    dtype: torch.dtype,
    seed: int,
    negatives: int,
    batch: int,
    time: int,
    copies: int,
    temperature: float,
) -> None:
    inputs = [x.to(dtype) for x in frames(seed, negatives, batch, time, copies)]
    ours = outcome(scriptable.ContrastiveLoss(temperature), *inputs)
    theirs = speechbrain_losses().ContrastiveLoss(temperature)
    for result, reference in zip(ours, outcome(theirs, *inputs), strict=True):
        # The peer computes its cosines in float32 whatever it is given.
        assert deviation(result, reference) <= 1e-5
    assert ours[0].dtype == dtype


@FRESH
@given(seed=SEEDS, negatives=st.integers(1, 12), copies=st.integers(0, 8))
def test_float64_equals_the_formula(seed: int, negatives: int, copies: int) -> None:
    x, y, negs = (t.double() for t in frames(seed, negatives, 2, 3, copies))
    candidates = torch.cat([y.unsqueeze(0), negs])
    logits = torch.cosine_similarity(x, candidates, dim=-1) / 0.1
    copied = (negs == y).all(-1)
    logits[1:][copied] = -torch.inf
    expected = (torch.logsumexp(logits, 0) - logits[0]).sum()
    loss, accuracy = scriptable.ContrastiveLoss(0.1)(x, y, negs)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    assert accuracy.item() == pytest.approx((logits.argmax(0) == 0).double().mean().item())


def test_negatives_that_all_equal_the_target_cost_nothing() -> None:
    x, y, _ = frames(1, 1, 2, 3)
    result = outcome(scriptable.ContrastiveLoss(0.1), x, y, y.repeat(7, 1, 1, 1))
    assert result[0].item() == 0.0 and result[1].item() == 1.0
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in result[2:])


def test_a_difference_in_the_last_bit_is_no_duplicate() -> None:
    x, y, _ = frames(2, 1, 1, 1)
    near = y.clone()
    near[0, 0, 3] = torch.nextafter(near[0, 0, 3], torch.tensor(torch.inf))
    loss, _ = scriptable.ContrastiveLoss(0.1)(x, y, near.unsqueeze(0))
    assert loss.item() == pytest.approx(0.6931, abs=1e-3)


def test_zero_vectors_give_no_gradient_where_the_peers_is_1e8() -> None:
    x, y, negs = frames(3, 4, 1, 2)
    x[0, 0] = 0.0
    ours = outcome(scriptable.ContrastiveLoss(0.1), x, y, negs)
    theirs = outcome(speechbrain_losses().ContrastiveLoss(0.1), x, y, negs)
    assert deviation(ours[0], theirs[0]) <= 1e-5
    assert ours[2][0, 0].abs().max().item() == 0.0
    assert theirs[2][0, 0].abs().max().item() > 1e7


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    """The peer rounds its cosines back to half precision."""
    inputs = [t.to(dtype) for t in frames(4, 12, 2, 3, copies=3)]
    loss, _ = scriptable.ContrastiveLoss(0.1)(*inputs)
    exact, _ = scriptable.ContrastiveLoss(0.1)(*[t.float() for t in inputs])
    theirs, _ = speechbrain_losses().ContrastiveLoss(0.1)(*inputs)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, exact)
    assert theirs.dtype == dtype
    assert abs(theirs.item() - exact.item()) > abs(loss.item() - exact.item())


def test_scripts_and_leaves_the_negatives_alone() -> None:
    x, y, negs = frames(5, 8, 2, 3, copies=4)
    kept = negs.clone()
    loss, accuracy = torch.jit.script(scriptable.ContrastiveLoss(0.1))(x, y, negs)
    expected, expected_accuracy = scriptable.ContrastiveLoss(0.1)(x, y, negs)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(accuracy, expected_accuracy) and torch.equal(negs, kept)


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 3), (2, 3), (1, 2, 3)), "x: expected shape [B, T, C], got [2, 3]"),
        (((2, 3, 4), (2, 3, 5), (1, 2, 3, 4)), "y: expected shape [2, 3, 4], got [2, 3, 5]"),
        (((2, 3, 4), (2, 3, 4), (2, 3, 4)), "negs: expected shape [N, B, T, C], got [2, 3, 4]"),
        (
            ((2, 3, 4), (2, 3, 4), (0, 2, 3, 4)),
            "negs: expected shape [N, B, T, C], got [0, 2, 3, 4]",
        ),
    ],
)
def test_errors_name_the_argument(shapes: tuple, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        scriptable.ContrastiveLoss(0.1)(*map(torch.zeros, shapes))
    assert str(caught.value) == message


def test_temperature_is_above_zero() -> None:
    with pytest.raises(ValueError, match="logit_temp: expected a value above 0, got 0"):
        scriptable.ContrastiveLoss(0.0)
