"""Detection costs of speaker verification under spoofing: t-DCF and a-DCF."""

import math
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from scriptable._core.checks import check_not_negative, check_real
from scriptable.metrics._trials import count_as, trials
from scriptable.metrics.cost import DetectionCost, least_cost
from scriptable.metrics.error_rates import equal_error_rate


class ASVErrorRates(NamedTuple):
    """The error rates of a speaker verification system at its threshold.

    ``miss`` of targets, ``false_alarm`` of non-targets, ``spoof_false_alarm`` of accepted spoofs.

    Example:
        >>> ASVErrorRates(miss=0.02, false_alarm=0.02, spoof_false_alarm=0.5).spoof_false_alarm
        0.5
    """

    miss: float
    false_alarm: float
    spoof_false_alarm: float


class TandemCosts(NamedTuple):
    """Priors and costs of the t-DCF; the defaults are those of ASVspoof 2019 and 2021.

    ``cost_miss`` and ``cost_false_alarm`` are those of the speaker verification system,
    ``cost_spoof`` is that of accepting a spoof; ``cost_miss_cm``, of a target that the
    countermeasure rejects, belongs to the 2019 form alone.
    """

    prior_target: float = 0.9405
    prior_nontarget: float = 0.0095
    prior_spoof: float = 0.05
    cost_miss: float = 1.0
    cost_false_alarm: float = 10.0
    cost_spoof: float = 10.0
    cost_miss_cm: float = 1.0


class ADCFCosts(NamedTuple):
    """Priors and costs of the a-DCF, in the order in which :func:`min_a_dcf` takes them.

    The defaults are those of the metric's own package. ``ASVSPOOF5_ADCF`` are those of ASVspoof 5,
    and ``ASVSPOOF5_ASV`` the error rates of the speaker verification system of its organisers, for
    the t-DCF.

    Example:
        >>> ASVSPOOF5_ADCF
        ADCFCosts(prior_nontarget=0.0095, prior_spoof=0.05, cost_miss=1.0, cost_false_alarm=10.0,
                  cost_spoof=10.0)
    """

    prior_nontarget: float = 0.05
    prior_spoof: float = 0.05
    cost_miss: float = 1.0
    cost_false_alarm: float = 10.0
    cost_spoof: float = 20.0


ASVSPOOF5_ADCF = ADCFCosts(prior_nontarget=0.0095, cost_spoof=10.0)
ASVSPOOF5_ASV = ASVErrorRates(0.01880141010575793, 0.01881016557566423, 0.4607082907604729)
_ADCF = ADCFCosts()


def check_tandem_costs(costs: TandemCosts) -> None:
    """Raise unless priors are a distribution and costs are finite and not negative."""
    for name, value in zip(costs._fields, costs, strict=True):
        check_not_negative(name, value)
    total = costs.prior_target + costs.prior_nontarget + costs.prior_spoof
    if abs(total - 1.0) > 1e-9:
        raise ValueError(f"costs: expected priors that sum to 1, got {total}")


def asv_error_rates(
    scores: Tensor,
    labels: Tensor,
    threshold: Optional[float] = None,
    convention: str = "exact",
) -> ASVErrorRates:
    """The error rates of a speaker verification system, spoofs included.

    Args:
        scores: higher = more the same speaker, shape ``[T]``.
        labels: 1 for target, 0 for non-target, 2 for spoof, shape ``[T]``.
        threshold: a score that reaches it is accepted; by default the threshold of the equal error
            rate between targets and non-targets, as in the ASVspoof challenges.
        convention: of that equal error rate, see :func:`equal_error_rate`.

    Returns:
        The three rates.

    Raises:
        ValueError: on NaN, a missing class, wrong shapes or a NaN threshold.

    Reference:
        ASVspoof 2019 evaluation plan.

    Example:
        >>> scores, labels = torch.tensor([3.0, 2.0, 0.0, 1.0, 2.5]), torch.tensor([1, 1, 0, 0, 2])
        >>> asv_error_rates(scores, labels)
        ASVErrorRates(miss=0.0, false_alarm=0.0, spoof_false_alarm=1.0)
    """
    scores, labels = trials(scores, labels, 3)
    if threshold is None:
        genuine = labels != 2
        threshold = equal_error_rate(scores[genuine], labels[genuine], convention).threshold
    check_real("threshold", threshold)
    if math.isnan(threshold):
        raise ValueError("threshold: expected a number, got NaN")
    accepted = scores.double() >= threshold
    rates = [float(accepted[labels == label].to(torch.float64).mean()) for label in (1, 0, 2)]
    return ASVErrorRates(1.0 - rates[0], rates[1], rates[2])


def min_tdcf(
    scores: Tensor,
    labels: Tensor,
    asv: ASVErrorRates,
    form: str = "2021",
    costs: TandemCosts = TandemCosts(),  # noqa: B008  an immutable tuple
    convention: str = "exact",
) -> DetectionCost:
    r"""The least tandem detection cost of a countermeasure before a fixed verification system.

    .. math::
        \text{t-DCF}(s) = C_0 + C_1 P_{miss}^{cm}(s) + C_2 P_{fa}^{cm}(s)

    With :math:`P_{miss}, P_{fa}, P_{fa,spoof}` the error rates of the verification system, the
    2021 form has

    .. math::
        C_0 &= \pi_{tar} C_{miss} P_{miss} + \pi_{non} C_{fa} P_{fa} \\
        C_1 &= \pi_{tar} C_{miss} - C_0, \qquad
        C_2 = \pi_{spoof} C_{spoof} P_{fa,spoof}

    and is divided by :math:`C_0 + \min(C_1, C_2)`; the 2019 form has

    .. math::
        C_0 &= 0, \qquad C_2 = \pi_{spoof} C_{spoof} P_{fa,spoof} \\
        C_1 &= \pi_{tar} (C_{miss}^{cm} - C_{miss} P_{miss}) - \pi_{non} C_{fa} P_{fa}

    and is divided by :math:`\min(C_1, C_2)`.

    Args:
        scores: scores of the countermeasure, higher = more bona fide, shape ``[T]``.
        labels: 1 for bona fide, 0 for spoof, shape ``[T]``.
        asv: the error rates of the verification system, see :func:`asv_error_rates`.
        form: ``"2021"`` or ``"2019"``, after the ASVspoof challenges.
        costs: priors and costs.
        convention: ``"exact"`` or ``"asvspoof"``, see :func:`equal_error_rate`.

    Returns:
        The normalised cost in [0, 1], and the countermeasure's threshold.

    Raises:
        ValueError: on NaN, one class only, wrong shapes, rates, priors or costs, an unknown form,
            or a verification system that no countermeasure can serve (C1 or C2 not above 0).

    Reference:
        2019: Kinnunen et al., "t-DCF: a Detection Cost Function for the Tandem Assessment of
        Spoofing Countermeasures and Automatic Speaker Verification", arXiv 1804.09618; 2021:
        Kinnunen et al., "Tandem Assessment of Spoofing Countermeasures and Automatic Speaker
        Verification: Fundamentals", arXiv 2007.05979.

    Example:
        >>> scores, labels = torch.tensor([0.1, 0.4, 0.3, 0.8]), torch.tensor([0, 0, 1, 1])
        >>> asv = ASVErrorRates(miss=0.02, false_alarm=0.02, spoof_false_alarm=0.5)
        >>> round(min_tdcf(scores, labels, asv).cost, 4)
        0.5383
        >>> round(min_tdcf(scores, labels, asv, form="2019").cost, 4)
        0.5
    """
    scores, labels = trials(scores, labels)
    floor, on_miss, on_spoof = _tandem_constants(asv, form, costs)
    # C0 is paid at every threshold: the minimum is where the other two terms have theirs.
    cost, threshold = least_cost(count_as(scores, labels, convention), (on_spoof, on_miss))
    least = min(on_miss, on_spoof)
    return DetectionCost((floor + cost * least) / (floor + least), threshold)


def _tandem_constants(
    asv: ASVErrorRates, form: str, costs: TandemCosts
) -> tuple[float, float, float]:
    check_tandem_costs(costs)
    for name, rate in zip(asv._fields, asv, strict=True):
        check_real(f"asv.{name}", rate)
        if not 0.0 <= rate <= 1.0:
            raise ValueError(f"asv.{name}: expected a rate in [0, 1], got {rate}")
    missed = costs.prior_target * costs.cost_miss
    floor = missed * asv.miss + costs.prior_nontarget * costs.cost_false_alarm * asv.false_alarm
    on_spoof = costs.prior_spoof * costs.cost_spoof * asv.spoof_false_alarm
    if form == "2021":
        on_miss, constant = missed - floor, floor
    elif form == "2019":
        on_miss, constant = costs.prior_target * costs.cost_miss_cm - floor, 0.0
    else:
        raise ValueError(f"form: expected one of ['2021', '2019'], got {form}")
    for name, value in (("C1", on_miss), ("C2", on_spoof)):
        if not value > 0.0:
            raise ValueError(f"asv: expected rates that make {name} positive, got {name} = {value}")
    return constant, on_miss, on_spoof


def min_a_dcf(
    scores: Tensor,
    labels: Tensor,
    prior_nontarget: float = _ADCF.prior_nontarget,
    prior_spoof: float = _ADCF.prior_spoof,
    cost_miss: float = _ADCF.cost_miss,
    cost_false_alarm: float = _ADCF.cost_false_alarm,
    cost_spoof: float = _ADCF.cost_spoof,
    convention: str = "exact",
) -> DetectionCost:
    r"""The least architecture-agnostic detection cost of spoofing-aware speaker verification.

    .. math::
        \text{a-DCF}(t) = C_{miss} \pi_{tar} P_{miss}(t) + C_{fa} \pi_{non} P_{fa}(t)
                        + C_{spoof} \pi_{spoof} P_{spoof}(t)

    divided by :math:`\min(C_{miss} \pi_{tar},\ C_{fa} \pi_{non} + C_{spoof} \pi_{spoof})`, with
    :math:`\pi_{tar} = 1 - \pi_{non} - \pi_{spoof}`. One score decides, whatever is behind it.

    Args:
        scores: higher = more the same, live speaker, shape ``[T]``.
        labels: 1 for target, 0 for non-target, 2 for spoof, shape ``[T]``.
        prior_nontarget: probability of another speaker.
        prior_spoof: probability of a spoof.
        cost_miss: cost of rejecting a target.
        cost_false_alarm: cost of accepting another speaker.
        cost_spoof: cost of accepting a spoof.
        convention: ``"exact"`` or ``"asvspoof"``, see :func:`equal_error_rate`.

    Returns:
        The normalised cost in [0, 1] and its threshold.

    Raises:
        ValueError: on NaN, a missing class, wrong shapes, priors or costs.

    Reference:
        Shim et al., "a-DCF: an architecture agnostic metric with application to spoofing-robust
        speaker verification", arXiv 2403.01355, the definition of the metric; the defaults are
        those of its package.

    Example:
        >>> scores = torch.tensor([3.0, 1.0, 0.0, 1.5, 0.5])
        >>> min_a_dcf(scores, torch.tensor([1, 1, 0, 2, 0]))
        DetectionCost(cost=0.5, threshold=2.25)
        >>> round(min_a_dcf(scores, torch.tensor([1, 1, 0, 2, 0]), *ASVSPOOF5_ADCF).cost, 4)
        0.7903
    """
    scores, labels = trials(scores, labels, 3)
    check_not_negative("prior_nontarget", prior_nontarget)
    check_not_negative("prior_spoof", prior_spoof)
    target = 1.0 - prior_nontarget - prior_spoof
    check_tandem_costs(
        TandemCosts(target, prior_nontarget, prior_spoof, cost_miss, cost_false_alarm, cost_spoof)
    )
    weights = (cost_false_alarm * prior_nontarget, cost_miss * target, cost_spoof * prior_spoof)
    if not min(weights[0] + weights[2], weights[1]) > 0.0:
        raise ValueError("costs: expected errors that cost something on either side")
    return least_cost(count_as(scores, labels, convention, 3, step=1e-8), weights)
