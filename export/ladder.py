"""The top rungs of parity: from equal tensors to equal decisions, on a list of recordings."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from export.contract import Contract
from scriptable import equal_error_rate


@dataclass(frozen=True)
class Rung:
    """How the scores of one artefact compare with the trained model's on the same recordings."""

    artifact: str
    backend: str
    trials: int
    max_score_error: float
    rank_correlation: float
    flips: int
    at_threshold: tuple[str, ...]
    """Recordings whose LLR is nearer to the threshold than the backend's tolerance."""
    delta_eer: float | None
    delta_eer_ci: tuple[float, float] | None


def compare(
    artifact: str,
    backend: str,
    tolerance: float,
    contract: Contract,
    names: Sequence[str],
    labels: Tensor,
    expected: Tensor,
    actual: Tensor,
) -> Rung:
    """Compare raw scores ``[T]`` of an artefact with those of the trained model."""
    decision = contract.decision
    margins = decision.scale * expected + decision.offset - decision.threshold
    near = margins.abs() <= abs(decision.scale) * tolerance
    flipped = [
        contract.decide(contract.llr(float(a))) != contract.decide(contract.llr(float(e)))
        for a, e in zip(actual, expected, strict=True)
    ]
    both = len(labels.unique()) == 2
    return Rung(
        artifact,
        backend,
        len(names),
        float((actual - expected).abs().max()),
        rank_correlation(actual, expected),
        sum(flipped),
        tuple(name for name, is_near in zip(names, near, strict=True) if is_near),
        _delta_eer(actual, expected, labels) if both else None,
        _bootstrap(actual, expected, labels) if both else None,
    )


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's rank correlation; 1 for constant scores that are equal.

    Example:
        >>> rank_correlation(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([10.0, 30.0, 20.0]))
        0.5
    """
    x, y = _ranks(first), _ranks(second)
    x, y = x - x.mean(), y - y.mean()
    norm = float((x.square().sum() * y.square().sum()).sqrt())
    return float((x * y).sum()) / norm if norm > 0 else float(torch.equal(x, y))


def _ranks(scores: Tensor) -> Tensor:
    """Ranks with ties averaged."""
    _, inverse, counts = scores.unique(return_inverse=True, return_counts=True)
    ends = counts.cumsum(0).double()
    return (ends - (counts - 1) / 2)[inverse]


def _delta_eer(actual: Tensor, expected: Tensor, labels: Tensor) -> float:
    return equal_error_rate(actual, labels).rate - equal_error_rate(expected, labels).rate


def _bootstrap(
    actual: Tensor, expected: Tensor, labels: Tensor, rounds: int = 200
) -> tuple[float, float]:
    """95 % interval of the change in EER, resampling recordings within each class."""
    generator = torch.Generator().manual_seed(0)
    classes = [(labels == label).nonzero().squeeze(1) for label in (0, 1)]
    deltas = []
    for _ in range(rounds):
        drawn = torch.cat(
            [c[torch.randint(len(c), (len(c),), generator=generator)] for c in classes]
        )
        deltas.append(_delta_eer(actual[drawn], expected[drawn], labels[drawn]))
    low, high = torch.tensor(deltas, dtype=torch.float64).quantile(
        torch.tensor([0.025, 0.975], dtype=torch.float64)
    )
    return float(low), float(high)
