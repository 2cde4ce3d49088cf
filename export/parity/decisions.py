"""From equal tensors to equal decisions: saved files on one list of trials."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from export import backends
from export.corpus import from_protocol
from export.errors import InputError
from export.progress import Progress, tracked
from export.runtime.contract import AnyContract
from export.runtime.stream import load_any_scorer
from scriptable import bootstrap_interval, equal_error_rate


@dataclass(frozen=True)
class Rung:
    """How the scores of one artefact compare with the trained model's on the same recordings."""

    artifact: str
    backend: str
    trials: int
    max_score_error: float
    rank_correlation: float
    flips: int
    """Other decisions, without those at the threshold."""
    at_threshold: tuple[str, ...]
    """Recordings whose score is nearer to the threshold than the backend's tolerance."""
    delta_eer: float | None
    delta_eer_ci: tuple[float, float] | None
    precision: str = "float32"
    most_flips: int = 0
    """That are borne."""

    @property
    def decides_alike(self) -> bool:
        """Whether no more decisions are unlike the trained model's than are borne."""
        return self.flips <= self.most_flips


def compare(
    artifact: str,
    backend: str,
    tolerance: float,
    contract: AnyContract,
    names: Sequence[str],
    labels: Tensor,
    expected: Tensor,
    actual: Tensor,
) -> Rung:
    """Compare raw scores ``[T]`` of an artefact with those of the trained model."""
    decision = contract.decision
    margins = decision.scale * expected + decision.offset - decision.threshold
    within = tolerance * max(1.0, float(expected.abs().max()))
    near = margins.abs() <= abs(decision.scale) * within
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
        sum(other and not is_near for other, is_near in zip(flipped, near, strict=True)),
        tuple(name for name, is_near in zip(names, near, strict=True) if is_near),
        _delta_eer(torch.stack([actual, expected], 1), labels) if both else None,
        _interval(actual, expected, labels) if both else None,
    )


def compare_files(
    paths: Sequence[Path],
    score: Callable[[Path], Tensor],
    contract: AnyContract,
    names: Sequence[str],
    labels: Tensor,
    expected: Tensor | None,
    progress: Progress,
    failed: dict[Path, str] | None = None,
) -> list[Rung]:
    """Score one list of trials with every file, and compare with the trained model.

    Args:
        paths: the saved files; each must run on this host.
        score: raw scores ``[T]`` of the trials by one file.
        contract: what the scores mean.
        names: of the trials.
        labels: ``[T]``, 1 for bona fide, or for the same speaker.
        expected: raw scores ``[T]`` by the trained model; None: by the first file.
        progress: told about each file.
        failed: takes the files that cannot be scored with, and why; None: that is raised.
    """
    rungs = []
    for path in tracked(paths, "scoring with every file", progress):
        try:
            actual, backend = score(path), backends.backend_of(path)
        except InputError as error:
            if failed is None:
                raise
            failed[path] = str(error)
            continue
        expected = actual if expected is None else expected
        rungs.append(
            compare(
                path.name,
                backend.name,
                backend.tolerance,
                contract,
                names,
                labels,
                expected,
                actual,
            )
        )
    return rungs


def compare_scorers(
    artifacts: Sequence[Path], protocol: Path, audio: Path, progress: Progress
) -> list[Rung]:
    """Score a trial list with saved scorers; the first is what the others are compared with.

    Raises:
        InputError: if fewer than two are given, their contracts differ, or the trial list or its
            audio cannot be read.
    """
    if len(artifacts) < 2:
        raise InputError("artifact: give at least two, the reference first")
    scorers = {path: load_any_scorer(path) for path in artifacts}
    first = scorers[artifacts[0]]
    for scorer in scorers.values():
        if _promises(scorer.contract) != _promises(first.contract):
            raise InputError(
                f"{scorer.name}: its contract differs from that of {first.name}; "
                "compare exports of the same model"
            )
    corpus = from_protocol(protocol, audio, first.contract.audio.sample_rate, progress=progress)

    def score(path: Path) -> Tensor:
        found = [scorers[path].score_waveform(u.waveform) for u in corpus.utterances]
        return torch.tensor(found, dtype=torch.float64)

    names = [utterance.name for utterance in corpus.utterances]
    labels = torch.tensor([utterance.label for utterance in corpus.utterances])
    return compare_files(artifacts, score, first.contract, names, labels, None, progress)


def _promises(contract: AnyContract) -> dict[str, Any]:
    """A contract without what each file has of its own: digest and precision."""
    return contract.model_dump(exclude={"file_sha256", "precision", "precision_guard"})


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


def _delta_eer(scores: Tensor, labels: Tensor) -> float:
    """Change in EER from the second column to the first."""
    return equal_error_rate(scores[:, 0], labels).rate - equal_error_rate(scores[:, 1], labels).rate


def _interval(actual: Tensor, expected: Tensor, labels: Tensor) -> tuple[float, float]:
    """95 % interval of the change in EER, resampling recordings within each class."""
    pairs = torch.stack([actual, expected], 1)
    low, high = bootstrap_interval(_delta_eer, pairs, labels, rounds=200)
    return low, high
