"""The ASVspoof conventions: figures that the packages of 2019, 2021 and 5 gave for these trials.

Computed once with ``eval_metrics.py`` of the 2021 evaluation package (its legacy t-DCF is that of
2019) and with the evaluation package of ASVspoof 5, both from the organisers' repositories.
"""

import pytest
import torch
from metrics.official_trials import PARTS, countermeasure, verification

import scriptable as sc

# ASV: EER, threshold; miss, false alarm, spoof rate. CM: EER, threshold; t-DCF of 2019, of 2021.
PUBLISHED = {
    "all": (
        (0.14925373134328357, 1.0),
        (0.08955223880597014, 0.14925373134328357, 0.5606060606060606),
        (0.18125, 1.3),
        (0.41260594997983063, 0.5652344417121791),
    ),
    "eval": (
        (0.15151515151515152, 1.0),
        (0.09090909090909091, 0.15151515151515152, 0.5588235294117647),
        (0.16249999999999998, 1.3),
        (0.35, 0.5211839814277422),
    ),
    "progress": (
        (0.17647058823529413, 0.9),
        (0.0, 0.23529411764705882, 0.5625),
        (0.2, 1.2),
        (0.44999999999999996, 0.4904940663598935),
    ),
    "hidden": (
        (0.11764705882352941, 1.0),
        (0.0, 0.11764705882352941, 0.5625),
        (0.125, 1.1),
        (0.35, 0.37484284636660803),
    ),
}


@pytest.mark.parametrize("part", PUBLISHED)
def test_error_rates_and_tandem_costs_are_the_packages(part: str) -> None:
    chosen = torch.tensor([part in (name, "all") for name in PARTS])
    scores, labels = (x[chosen] for x in countermeasure())
    asv_scores, asv_labels = (x[chosen] for x in verification())
    asv_eer, rates, eer, costs = PUBLISHED[part]
    genuine = asv_labels != 2
    found = sc.equal_error_rate(asv_scores[genuine], asv_labels[genuine], "asvspoof")
    assert found == asv_eer
    asv = sc.asv_error_rates(asv_scores, asv_labels, convention="asvspoof")
    assert asv == pytest.approx(rates, abs=1e-15)
    assert sc.equal_error_rate(scores, labels, "asvspoof") == eer
    for form, cost in zip(("2019", "2021"), costs, strict=True):
        value = sc.min_tdcf(scores, labels, asv, form, convention="asvspoof").cost
        assert value == pytest.approx(cost, abs=1e-15)


def test_the_exact_convention_interpolates_and_keeps_ties_together() -> None:
    scores, labels = countermeasure()
    assert sc.equal_error_rate(scores, labels) == (pytest.approx(0.175), pytest.approx(1.35))
    assert sc.equal_error_rate(scores, labels) == sc.equal_error_rate(scores, labels, "exact")


def test_tied_targets_are_rejected_first_and_the_threshold_is_a_score() -> None:
    scores, labels = torch.tensor([0.0, 1.0, 1.0, 2.0]), torch.tensor([0, 1, 0, 1])
    # From the lowest: spoof, target, tied spoof, target; the rates meet after the second.
    assert sc.equal_error_rate(scores, labels, "asvspoof") == (0.5, 1.0)
    assert sc.equal_error_rate(scores, labels) == (0.25, 1.5)
    best = sc.min_dcf(-scores, labels, 0.5, convention="asvspoof")
    assert best == (1.0, pytest.approx(-2.0 - 1e-3))


def test_track_1_of_asvspoof_5() -> None:
    scores, labels = countermeasure()
    found = sc.min_dcf(scores, labels, *sc.SPOOFING_COSTS, "asvspoof")
    assert found.cost == pytest.approx(0.36124999999999985, abs=1e-15)
    assert sc.equal_error_rate(scores, labels, "asvspoof").rate == 0.18125
    assert sc.cllr(scores, labels) == pytest.approx(0.7337077929578408, abs=1e-14)
    assert sc.actual_dcf(scores, labels, *sc.SPOOFING_COSTS).cost == pytest.approx(0.7, abs=1e-14)


def test_track_2_of_asvspoof_5() -> None:
    scores, labels = verification()
    found = sc.min_a_dcf(scores, labels, *sc.ASVSPOOF5_ADCF, "asvspoof")
    assert found.cost == pytest.approx(0.5299248600389953, abs=1e-15)
    fused = scores + 0.5 * countermeasure()[0]
    found = sc.min_a_dcf(fused, labels, *sc.ASVSPOOF5_ADCF, "asvspoof")
    assert found.cost == pytest.approx(0.7554621848739497, abs=1e-15)
    live = (labels != 2).long()
    cost = sc.min_tdcf(countermeasure()[0], live, sc.ASVSPOOF5_ASV, convention="asvspoof").cost
    assert cost == pytest.approx(1.0, abs=1e-15)
    assert sc.ASVSPOOF5_ADCF == (0.0095, 0.05, 1.0, 10.0, 10.0)


def test_the_tandem_equal_error_rate_of_asvspoof_5() -> None:
    scores, labels = verification()
    cm = countermeasure()[0]
    found = sc.tandem_equal_error_rate(scores, cm, labels)
    assert found == pytest.approx(0.6060606060606061, abs=1e-15)
    found = sc.tandem_equal_error_rate(scores, cm + 1.5 * (labels != 2), labels)
    assert found == pytest.approx(0.37878787878787875, abs=1e-15)


def by_every_pair(asv: torch.Tensor, cm: torch.Tensor, labels: torch.Tensor) -> float:
    """The definition, one threshold of the verification system after the other."""

    def curve(scores: torch.Tensor, classes: list[list[int]]) -> list[list[float]]:
        groups = [scores[torch.isin(labels, torch.tensor(c))].tolist() for c in classes]
        points = sorted((s, place) for place, group in enumerate(groups) for s in group)
        below = [0] * len(groups)
        found = [list(below)]
        for _, place in points:
            below[place] += 1
            found.append(list(below))
        sizes = [len(group) for group in groups]
        return [
            [
                n / size if place == 0 else 1 - n / size
                for place, (n, size) in enumerate(zip(row, sizes, strict=True))
            ]
            for row in found
        ]

    nearest, value = float("inf"), float("nan")
    for miss, false, spoof in curve(asv, [[1], [0], [2]]):
        best = min(
            curve(cm, [[0, 1], [2]]),
            key=lambda p: abs(p[0] + (1 - p[0]) * miss - ((1 - p[0]) * false + p[1] * spoof) / 2),
        )
        if miss < (false + spoof) / 2 and spoof > 0 and best[0] < 1:
            apart = abs(false / spoof - best[1] / (1 - best[0]))
            if apart < nearest:
                nearest, value = apart, spoof * best[1]
    return value


@pytest.mark.parametrize("seed", range(12))
def test_the_tandem_equal_error_rate_is_that_of_the_best_pair(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (40,), generator=generator)
    asv = torch.randn(40, generator=generator) + torch.tensor([0.0, 2.5, 1.5])[labels]
    cm = torch.randn(40, generator=generator) + 1.5 * (labels != 2)
    found = sc.tandem_equal_error_rate(asv, cm, labels)
    assert found == pytest.approx(by_every_pair(asv, cm, labels), abs=1e-12)


def test_an_unknown_convention_is_an_error() -> None:
    scores, labels = countermeasure()
    for call in (
        lambda: sc.equal_error_rate(scores, labels, "official"),
        lambda: sc.min_dcf(scores, labels, convention="official"),
        lambda: sc.min_a_dcf(*verification(), convention="official"),
    ):
        with pytest.raises(ValueError, match=r"^convention: expected one of \['exact', 'asvspoof'"):
            call()
