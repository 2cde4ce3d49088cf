"""The ladder: rank correlation, flipped decisions, and the change of the error rate."""

import pytest
import torch
from artefact_helpers import OFFSET, SCALE, THRESHOLD, contract_of, tiny_pipeline
from torch import Tensor

from export.parity.decisions import Rung, compare, rank_correlation
from export.runtime.contract import Contract
from scriptable import equal_error_rate

AT_THRESHOLD = (THRESHOLD - OFFSET) / SCALE


@pytest.fixture(scope="module")
def contract() -> Contract:
    return contract_of(tiny_pipeline())


def climb(contract: Contract, expected: Tensor, actual: Tensor, labels: Tensor) -> Rung:
    names = [f"r{i}" for i in range(len(labels))]
    return compare("a.pt", "trace", 1e-3, contract, names, labels, expected, actual)


def draws(count: int, seed: int, steps: int = 0) -> Tensor:
    values = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (values * steps).round() if steps else values


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_is_spearmans_with_ties(steps: int, seed: int) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed: pip install scipy")
    first = draws(40, seed, steps)
    second = (first + draws(40, 100 + seed, steps)).round(decimals=1)
    expected = stats.spearmanr(first.numpy(), second.numpy()).statistic
    assert rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)
    if steps == 1:
        assert len(first.unique()) < 10


def test_rank_correlation_by_hand() -> None:
    # Ranks 1.5 1.5 3 and 2 1 3: deviations −½ −½ 1 and 0 −1 1, so 1.5 / √(1.5 · 2).
    tied, plain = torch.tensor([5.0, 5.0, 9.0]), torch.tensor([0.2, 0.1, 0.3])
    assert rank_correlation(tied, plain) == pytest.approx(1.5 / 3**0.5, abs=1e-12)
    assert rank_correlation(plain, plain.exp()) == pytest.approx(1.0, abs=1e-12)
    assert rank_correlation(plain, -plain) == pytest.approx(-1.0, abs=1e-12)


def test_rank_correlation_of_constant_scores() -> None:
    constant = torch.full((4,), 0.3)
    assert rank_correlation(constant, constant) == 1.0
    assert rank_correlation(constant, torch.arange(4.0)) == 0.0


def test_equal_scores_flip_nothing(contract: Contract) -> None:
    labels = torch.tensor([0, 1] * 10)
    scores = draws(20, 1)
    rung = climb(contract, scores, scores.clone(), labels)
    assert (rung.artifact, rung.backend, rung.trials) == ("a.pt", "trace", 20)
    assert (rung.max_score_error, rung.flips) == (0.0, 0)
    assert rung.rank_correlation == pytest.approx(1.0)
    assert rung.delta_eer == 0.0
    assert rung.delta_eer_ci == (0.0, 0.0)


def test_flips_are_counted_at_the_contracts_threshold(contract: Contract) -> None:
    offsets = torch.tensor([-0.5, -0.02, -0.02, 0.01, 0.01, 0.5], dtype=torch.float64)
    moved = torch.tensor([-0.5, -0.01, 0.02, -0.01, 0.03, 0.4], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    rung = climb(contract, AT_THRESHOLD + offsets, AT_THRESHOLD + moved, labels)
    assert rung.flips == 2
    assert rung.max_score_error == pytest.approx(0.1)
    # The same scores under another threshold flip otherwise: it is the contract's that counts.
    other = contract_of(tiny_pipeline(), threshold=THRESHOLD + SCALE * 0.45)
    assert climb(other, AT_THRESHOLD + offsets, AT_THRESHOLD + moved, labels).flips == 1


def test_recordings_within_tolerance_of_the_threshold_are_named(contract: Contract) -> None:
    # The tolerance is on the raw score, the threshold on the LLR: scale lies between them.
    offsets = torch.tensor([-0.01, -1.1e-3, -0.9e-3, 0.0, 0.9e-3, 1.1e-3], dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    scores = AT_THRESHOLD + offsets
    assert climb(contract, scores, scores, labels).at_threshold == ("r2", "r3", "r4")


def test_the_change_of_the_error_rate_and_its_interval(contract: Contract) -> None:
    labels = torch.tensor([0, 1] * 40)
    expected = draws(80, 2) + 2.0 * labels
    actual = expected + 0.8 * draws(80, 3)
    rung = climb(contract, expected, actual, labels)
    change = equal_error_rate(actual, labels).rate - equal_error_rate(expected, labels).rate
    assert change != 0
    assert rung.delta_eer == pytest.approx(change, abs=1e-12)
    assert rung.delta_eer_ci is not None
    low, high = rung.delta_eer_ci
    assert low < change < high
    assert high - low < 0.3
    assert rung == climb(contract, expected, actual, labels), "the same numbers on every run"


def test_a_ruined_artefact_has_an_interval_that_excludes_no_change(contract: Contract) -> None:
    labels = torch.tensor([0, 1] * 40)
    expected = draws(80, 4) + 4.0 * labels
    rung = climb(contract, expected, -expected, labels)
    assert rung.delta_eer is not None and rung.delta_eer > 0.7
    assert rung.delta_eer_ci is not None and rung.delta_eer_ci[0] > 0.6
    assert rung.rank_correlation == pytest.approx(-1.0)


def test_one_class_has_no_error_rate(contract: Contract) -> None:
    scores = draws(5, 5)
    rung = climb(contract, scores, scores, torch.ones(5, dtype=torch.int64))
    assert rung.delta_eer is None and rung.delta_eer_ci is None
    assert rung.flips == 0


def test_lists_of_other_lengths_are_an_error(contract: Contract) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        climb(contract, draws(4, 0), draws(3, 0), torch.tensor([0, 1, 0, 1]))
