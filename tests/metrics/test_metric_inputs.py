"""Metrics take tensors, NumPy arrays and lists alike."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

import scriptable as s

np = pytest.importorskip("numpy", reason="pip install numpy for arrays")

METRICS: dict[str, Callable[[Any, Any], Any]] = {
    "operating_curve": s.operating_curve,
    "roc_convex_hull": s.roc_convex_hull,
    "equal_error_rate": s.equal_error_rate,
    "convex_hull_equal_error_rate": s.convex_hull_equal_error_rate,
    "min_dcf": s.min_dcf,
    "actual_dcf": lambda scores, labels: s.actual_dcf(scores, labels, prior=0.1),
    "threshold_at": s.threshold_at,
    "cllr": s.cllr,
    "min_cllr": s.min_cllr,
    "min_tdcf": lambda scores, labels: s.min_tdcf(scores, labels, s.ASVErrorRates(0.05, 0.03, 0.4)),
    "bootstrap_interval": lambda scores, labels: s.bootstrap_interval(
        s.equal_error_rate, scores, labels, rounds=5
    ),
    "by keyword": lambda scores, labels: s.equal_error_rate(labels=labels, scores=scores),
}


def _trials() -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 60)
    return generator.normal(size=60) + labels, labels


@pytest.mark.parametrize("name", METRICS)
def test_arrays_and_lists_are_what_tensors_are(name: str) -> None:
    metric = METRICS[name]
    scores, labels = _trials()
    expected = str(metric(torch.tensor(scores), torch.tensor(labels)))
    read_only = scores.copy()
    read_only.flags.writeable = False
    for given in (
        (scores, labels),
        (scores.tolist(), labels.tolist()),
        (tuple(scores.tolist()), labels.astype(np.int8)),
        (read_only, labels.tolist()),
        (scores[::-1].copy()[::-1], labels),
        (torch.tensor(scores), labels),
    ):
        assert str(metric(*given)) == expected


@pytest.mark.parametrize("metric", [s.asv_error_rates, s.min_a_dcf])
def test_three_classes_too(metric: Callable[[Any, Any], Any]) -> None:
    scores, labels = _trials()
    labels[::7] = 2
    expected = str(metric(torch.tensor(scores), torch.tensor(labels)))
    assert str(metric(scores, labels)) == str(metric(scores.tolist(), labels.tolist())) == expected


def test_errors_still_name_the_trial() -> None:
    with pytest.raises(ValueError, match="scores: expected numbers, got NaN at trial 1"):
        s.check_trials([0.5, float("nan")], [1, 0])
    with pytest.raises(ValueError, match=r"labels: expected shape \[2\], got \[3\]"):
        s.equal_error_rate(np.zeros(2), [0, 1, 1])


def test_an_array_is_left_as_it_was() -> None:
    scores, labels = _trials()
    before = scores.copy()
    s.min_cllr(scores, labels)
    assert np.array_equal(scores, before)


@pytest.mark.parametrize("name", ["prior", "cost_miss", "cost_false_alarm"])
@pytest.mark.parametrize("wrong", ["0.5", True, [1], None])
@pytest.mark.parametrize("metric", [s.min_dcf, s.actual_dcf, s.threshold_at])
def test_costs_of_the_wrong_kind_name_the_argument(
    metric: Callable[..., Any], wrong: Any, name: str
) -> None:
    scores, labels = _trials()
    with pytest.raises(ValueError, match=f"^{name}: expected a number, got "):
        metric(scores, labels, **{name: wrong})


@pytest.mark.parametrize("name", ["prior_nontarget", "prior_spoof", "cost_miss", "cost_spoof"])
def test_tandem_costs_too(name: str) -> None:
    scores, labels = _trials()
    labels[::7] = 2
    with pytest.raises(ValueError, match=f"^{name}: expected a number, got '1'"):
        s.min_a_dcf(scores, labels, **{name: "1"})
    with pytest.raises(ValueError, match=r"^asv\.miss: expected a number, got True"):
        s.min_tdcf(*_trials(), s.ASVErrorRates(True, 0.03, 0.4))
