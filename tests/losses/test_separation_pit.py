"""Permutation-invariant training: exact, equal to SpeechBrain, nothing of the user's changed."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation, imported, speechbrain_losses
from torch import Tensor, nn

import scriptable
from scriptable.losses.separation._assignment import best_permutation, permutation_table

FRESH = settings(deadline=None, max_examples=20, derandomize=False)
SEEDS = st.integers(0, 2**32 - 1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


def mixtures(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    """Targets, and predictions that are noisy targets in another order."""
    g = torch.Generator().manual_seed(seed)
    targets = torch.randn(*shape, generator=g)
    order = torch.randperm(shape[-1], generator=g)
    predictions = targets[..., order] + 0.7 * torch.randn(*shape, generator=g)
    return predictions.double(), targets.double()


def outcome(wrapper: nn.Module, preds: Tensor, targets: Tensor) -> tuple[Tensor, object, Tensor]:
    preds, targets = preds.clone().requires_grad_(), targets.clone().requires_grad_()
    loss, perms = wrapper(preds, targets)
    return loss.detach(), perms, torch.stack(torch.autograd.grad(loss.sum(), [preds, targets]))


@pytest.mark.parametrize("kind", ["mse", "l1", "si-snr", "snr"])
@DTYPES
@FRESH
@given(
    seed=SEEDS,
    batch=st.integers(1, 3),
    channels=st.sampled_from([(), (2,)]),
    sources=st.integers(1, 6),
)
def test_equal_to_speechbrain(
    kind: str, dtype: torch.dtype, seed: int, batch: int, channels: tuple, sources: int
) -> None:
    sb = speechbrain_losses()
    base = {
        "mse": (nn.MSELoss(reduction="none"), nn.MSELoss(reduction="none")),
        "l1": (nn.L1Loss(reduction="none"), nn.L1Loss(reduction="none")),
        "si-snr": (scriptable.SISNRLoss(), sb.cal_si_snr),
        "snr": (scriptable.SNRLoss(), sb.cal_snr),
    }[kind]
    preds, targets = (x.to(dtype) for x in mixtures(seed, batch, 12, *channels, sources))
    loss, perms, gradient = outcome(scriptable.PitWrapper(base[0]), preds, targets)
    their_loss, their_perms, their_gradient = outcome(sb.PitWrapper(base[1]), preds, targets)
    assert isinstance(perms, Tensor) and perms.dtype == torch.int64
    # The peer gives a list of tuples, which no trace keeps.
    assert [tuple(row) for row in perms.tolist()] == [tuple(p) for p in their_perms]
    assert loss.shape == (batch,)
    assert deviation(loss, their_loss) <= TOLERANCE[dtype]
    assert deviation(gradient, their_gradient) <= TOLERANCE[dtype]


@FRESH
@given(seed=SEEDS, sources=st.integers(1, 7))
def test_assignment_is_the_best_of_all_permutations(seed: int, sources: int) -> None:
    cost = torch.randn(3, sources, sources, generator=torch.Generator().manual_seed(seed)).double()
    everything = list(itertools.permutations(range(sources)))
    for item, perm in zip(cost, best_permutation(cost), strict=True):
        best = min(everything, key=lambda p: sum(item[i, j].item() for i, j in enumerate(p)))
        assert tuple(perm.tolist()) == best


@settings(deadline=None, max_examples=10, derandomize=False)
@given(seed=SEEDS, sources=st.integers(6, 10))
def test_assignment_of_many_sources_equals_scipy(seed: int, sources: int) -> None:
    cost = torch.randn(4, sources, sources, generator=torch.Generator().manual_seed(seed)).double()
    solve = imported("scipy.optimize").linear_sum_assignment
    expected = [solve(item.numpy())[1].tolist() for item in cost]
    assert best_permutation(cost).tolist() == expected


@pytest.mark.parametrize("sources", range(1, 6))
def test_table_holds_every_permutation_in_order(sources: int) -> None:
    table = permutation_table(sources, torch.device("cpu"))
    assert [tuple(row) for row in table.tolist()] == list(itertools.permutations(range(sources)))


@pytest.mark.parametrize("sources", [3, 6])
@pytest.mark.parametrize("bad", [float("inf"), float("nan"), 1e38])
def test_overflowing_costs_still_give_a_permutation(sources: int, bad: float) -> None:
    cost = torch.full((2, sources, sources), bad)
    cost[1, 0, 1] = 0.0
    for perm in best_permutation(cost).tolist():
        assert sorted(perm) == list(range(sources))


@FRESH
@given(seed=SEEDS, sources=st.integers(1, 10))
def test_a_perfect_match_is_exactly_zero(seed: int, sources: int) -> None:
    g = torch.Generator().manual_seed(seed)
    targets = torch.randn(2, 32, sources, generator=g)
    order = torch.stack([torch.randperm(sources, generator=g) for _ in range(2)])
    pit = scriptable.PitWrapper(nn.MSELoss(reduction="none"))
    predictions = scriptable.reorder_tensor(targets, order)
    loss, perms = pit(predictions, targets)
    assert torch.equal(loss, torch.zeros(2))
    assert torch.equal(perms, order.argsort(1))
    assert torch.equal(pit.reorder_tensor(predictions, perms), targets)


@FRESH
@given(seed=SEEDS, sources=st.sampled_from([3, 6]))
def test_near_perfect_estimates_are_told_apart(seed: int, sources: int) -> None:
    """Costs by |p|² − 2pt + |t|² would cancel: the sources differ by 1e-4 of their size."""
    g = torch.Generator().manual_seed(seed)
    common = 100 * torch.randn(1, 200, 1, generator=g)
    targets = common + 0.01 * torch.randn(1, 200, sources, generator=g)
    order = torch.randperm(sources, generator=g).unsqueeze(0)
    loss, perms = scriptable.PitWrapper(nn.MSELoss(reduction="none"))(
        scriptable.reorder_tensor(targets, order), targets
    )
    assert loss.item() == 0.0 and torch.equal(perms, order.argsort(1))


@FRESH
@given(seed=SEEDS, sources=st.sampled_from([2, 6]))
def test_batch_equals_its_items(seed: int, sources: int) -> None:
    preds, targets = mixtures(seed, 3, 10, 2, sources)
    pit = scriptable.PitWrapper(scriptable.SNRLoss())
    loss, perms = pit(preds, targets)
    items = [pit(preds[i : i + 1], targets[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(torch.cat([x for x, _ in items]), loss, rtol=1e-10, atol=1e-10)
    assert torch.equal(torch.cat([p for _, p in items]), perms)


class Overwriting(nn.Module):
    """A base loss that works in its arguments."""

    def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
        predictions -= targets
        targets *= 0.0
        return predictions.pow_(2)


@pytest.mark.parametrize("sources", [1, 3])
def test_a_base_loss_that_writes_changes_nothing_of_the_users(sources: int) -> None:
    preds, targets = mixtures(5, 1, 10, sources)
    kept = preds.clone(), targets.clone()
    loss, perms = scriptable.PitWrapper(Overwriting())(preds, targets)
    expected, order = scriptable.PitWrapper(nn.MSELoss(reduction="none"))(preds, targets)
    assert torch.equal(preds, kept[0]) and torch.equal(targets, kept[1])
    assert torch.equal(loss, expected) and torch.equal(perms, order)


@pytest.mark.parametrize("function", [scriptable.cal_si_snr, scriptable.cal_snr])
def test_a_function_is_a_base_loss_and_scripts(function: object) -> None:
    preds, targets = mixtures(6, 2, 10, 3)
    pit = scriptable.PitWrapper(function)  # type: ignore[arg-type]
    loss, perms = torch.jit.script(pit)(preds, targets)
    expected, order = pit(preds, targets)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(perms, order)


def test_any_python_function_is_a_base_loss() -> None:
    preds, targets = mixtures(6, 2, 10, 3)
    loss, _ = scriptable.PitWrapper(lambda p, t: F.huber_loss(p, t, reduction="none"))(
        preds, targets
    )
    expected, _ = scriptable.PitWrapper(nn.HuberLoss(reduction="none"))(preds, targets)
    torch.testing.assert_close(loss, expected)


def test_a_base_loss_that_learns_gets_its_gradient() -> None:
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, predictions: Tensor, targets: Tensor) -> Tensor:
            return self.weight * (predictions - targets).square()

    preds, targets = (x.float() for x in mixtures(7, 2, 10, 3))
    pit = scriptable.PitWrapper(Weighted())
    loss = pit(preds, targets)[0].sum()
    loss.backward()
    torch.testing.assert_close(pit.base_loss.weight.grad, loss.detach())


def test_half_precision_and_whole_numbers() -> None:
    preds, targets = (300 * x for x in mixtures(10, 2, 10, 3))
    pit = scriptable.PitWrapper(nn.MSELoss(reduction="none"))
    loss, _ = pit(preds.half(), targets.half())
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, pit(preds.half().float(), targets.half().float())[0])
    theirs = speechbrain_losses().PitWrapper(nn.MSELoss(reduction="none"))
    assert not bool(torch.isfinite(theirs(preds.half(), targets.half())[0]).all())


def test_reorder_takes_the_peers_list_of_tuples() -> None:
    tensor = torch.randn(2, 5, 3)
    perms = [(2, 0, 1), (0, 2, 1)]
    theirs = speechbrain_losses().PitWrapper(nn.MSELoss(reduction="none"))
    ours = scriptable.PitWrapper(nn.MSELoss(reduction="none"))
    expected = theirs.reorder_tensor(tensor, perms)
    assert torch.equal(ours.reorder_tensor(tensor, torch.tensor(perms)), expected)
    assert torch.equal(ours.reorder_tensor(tensor, perms), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "preds", "targets", "message"),
    [
        ("none", (4,), (4,), "preds: expected shape [B, ..., S], got [4]"),
        ("none", (2, 5, 3), (2, 5, 2), "targets: expected shape [2, 5, 3], got [2, 5, 2]"),
        ("none", (2, 5, 17), (2, 5, 17), "preds: expected at most 16 sources, got 17"),
        (
            "mean",
            (2, 5, 3),
            (2, 5, 3),
            "base_loss: expected an unreduced result [..., 2, 3], got []",
        ),
    ],
)
def test_errors_name_the_argument(base: str, preds: tuple, targets: tuple, message: str) -> None:
    pit = scriptable.PitWrapper(nn.MSELoss(reduction=base))
    with pytest.raises(ValueError) as caught:
        pit(torch.zeros(preds), torch.zeros(targets))
    assert str(caught.value) == message


def test_reorder_refuses_permutations_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"perms: expected shape \[2, 3\], got \[2, 2\]"):
        scriptable.reorder_tensor(torch.zeros(2, 5, 3), torch.zeros(2, 2, dtype=torch.int64))
