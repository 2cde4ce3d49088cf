"""Intervals where no error was seen: exact binomial bounds."""

import pytest
import torch
from torch import Tensor

import scriptable as sc


def separated(targets: int, others: int) -> tuple[Tensor, Tensor]:
    labels = (torch.arange(targets + others) < targets).long()
    return labels * 3.0 + torch.arange(targets + others) / 1000, labels


@pytest.mark.parametrize("sizes", [(20, 20), (26, 107), (300, 40)])
def test_no_error_in_n_trials_has_the_exact_upper_bound(sizes: tuple[int, int]) -> None:
    low, high = sc.bootstrap_interval(sc.equal_error_rate, *separated(*sizes), rounds=20)
    # Clopper and Pearson's bound of 0 of n: (1 − p)^n = 0.025.
    assert low == 0.0 and (1 - high) ** min(sizes) == pytest.approx(0.025, rel=1e-6)
    level = sc.bootstrap_interval(sc.equal_error_rate, *separated(*sizes), level=0.9, rounds=20)
    assert (1 - level.high) ** min(sizes) == pytest.approx(0.05, rel=1e-6)


def test_scipy_gives_the_same_bound() -> None:
    stats = pytest.importorskip("scipy.stats")
    _, high = sc.bootstrap_interval(sc.equal_error_rate, *separated(26, 107), rounds=20)
    expected = stats.binomtest(0, 26).proportion_ci(0.95, "exact").high
    assert high == pytest.approx(expected, rel=1e-7)


def test_all_errors_have_the_exact_lower_bound() -> None:
    scores, labels = separated(20, 30)
    low, high = sc.bootstrap_interval(sc.equal_error_rate, -scores, labels, rounds=20)
    assert high == 1.0 and low**20 == pytest.approx(0.025, rel=1e-6)


def test_costs_end_where_both_rates_have_the_bound() -> None:
    scores, labels = separated(50, 80)
    rate = 1 - 0.025 ** (1 / 50)
    low, high = sc.bootstrap_interval(lambda s, y: sc.min_dcf(s, y, 0.5), scores, labels, rounds=20)
    assert (low, high) == (0.0, pytest.approx(2 * rate, rel=1e-6))
    low, high = sc.bootstrap_interval(sc.min_cllr, scores, labels, rounds=20)
    entropy = -torch.special.xlogy(torch.tensor([rate, 1 - rate]), torch.tensor([rate, 1 - rate]))
    assert (low, high) == (0.0, pytest.approx(float(entropy.sum()) / 0.6931472, rel=1e-5))
    three = torch.cat([labels, torch.full((60,), 2)])
    more = torch.cat([scores, torch.linspace(-2, -1, 60)])
    low, high = sc.bootstrap_interval(sc.min_a_dcf, more, three, rounds=20)
    assert low == 0.0 and high == pytest.approx(rate * (0.9 + 0.5 + 1.0) / 0.9, rel=1e-6)


def test_classes_that_overlap_keep_their_percentiles() -> None:
    labels = torch.arange(60) % 2
    scores = (torch.arange(60) * 7 % 60) / 30.0 + labels
    found = sc.bootstrap_interval(sc.equal_error_rate, scores, labels, rounds=50)
    assert 0 < found.low < sc.equal_error_rate(scores, labels).rate < found.high
    constant = sc.bootstrap_interval(lambda s, y: 0.25, scores, labels, rounds=5)
    assert constant == (0.25, 0.25)
