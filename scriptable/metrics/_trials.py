"""Trial lists: checks, and one exact sort that every metric starts from."""

from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor

from scriptable._core.numeric import at_least_float32

CONVENTIONS = ["exact", "asvspoof"]
_TWO = ("non-target (label 0)", "target (label 1)")
_THREE = (*_TWO, "spoof (label 2)")


def tensor_of(values: Any) -> Tensor:
    """A tensor, a NumPy array or a list as a tensor; a list's floats keep all their digits."""
    if isinstance(values, Tensor):
        return values
    if hasattr(values, "__array__"):
        array = values.__array__()
        # Neither what is read-only nor what runs backwards can be shared.
        shared = array.flags.writeable and min(array.strides, default=0) >= 0
        return torch.from_numpy(array if shared else array.copy())
    found = torch.as_tensor(values)
    return torch.as_tensor(values, dtype=torch.float64) if found.is_floating_point() else found


class Counts(NamedTuple):
    """What lies at or below each distinct score, in ascending order of the scores.

    ``values [K]`` are the scores, ``below [C][K]`` the number of trials of each class whose score
    is at most that value; the last element is the size of the class. As ASVspoof counts, every
    trial is an operating point, in ties too, and ``step`` is how far below the lowest score the
    threshold lies that accepts all.
    """

    values: Tensor
    below: tuple[Tensor, ...]
    step: Optional[float] = None

    def total(self, label: int) -> int:
        """Number of trials of a class."""
        return int(self.below[label][-1])

    def threshold(self, index: int) -> float:
        """The threshold that rejects the lowest ``index`` distinct scores; 0 accepts everything.

        As ASVspoof counts, it is the highest score that is rejected.
        """
        if self.step is not None:
            return float(self.values[index - 1]) if index else float(self.values[0]) - self.step
        if index == 0:
            return -torch.inf
        if index == len(self.values):
            return torch.inf
        return float(midway(self.values[index - 1 : index].double(), self.values[index].double()))


def midway(low: Tensor, high: Tensor) -> Tensor:
    """A threshold above ``low`` that ``high`` reaches, halfway where rounding permits."""
    # The half distance keeps large scores finite; infinite ones have no middle.
    middle = low + (high / 2 - low / 2)
    return torch.where((middle > low) & (middle <= high), middle, high)


def check_trials(scores: Tensor, labels: Tensor) -> None:
    """Raise unless scores and labels make a two-class trial list without NaN.

    Args:
        scores: one score per trial, shape ``[T]``.
        labels: 1 for target (bona fide), 0 for non-target (spoof), shape ``[T]``.

    Raises:
        ValueError: naming the argument or the first trial that is wrong.

    Example:
        >>> check_trials(torch.tensor([0.5, float("nan")]), torch.tensor([1, 0]))
        Traceback (most recent call last):
        ...
        ValueError: scores: expected numbers, got NaN at trial 1
    """
    trials(scores, labels)


def trials(scores: Any, labels: Any, classes: int = 2) -> tuple[Tensor, Tensor]:
    """Checked tensors of a trial list, which may come as arrays or lists."""
    scores, labels = tensor_of(scores), tensor_of(labels)
    check_classes(scores, labels, _TWO if classes == 2 else _THREE)
    return scores, labels


def check_classes(scores: Tensor, labels: Tensor, names: tuple[str, ...]) -> None:
    """Raise unless every label is the index of one of ``names`` and every class is there."""
    if scores.dim() != 1:
        raise ValueError(f"scores: expected shape [T], got {list(scores.shape)}")
    if labels.shape != scores.shape:
        raise ValueError(f"labels: expected shape {list(scores.shape)}, got {list(labels.shape)}")
    # A minimum is NaN when anything is: one pass where nothing is wrong.
    if len(scores) and scores.is_floating_point() and bool(scores.min().isnan()):
        bad = torch.isnan(scores).nonzero()
        raise ValueError(f"scores: expected numbers, got NaN at trial {int(bad[0])}")
    odd = torch.ones_like(labels, dtype=torch.bool)
    present = [False] * len(names)
    if len(labels) and not labels.is_floating_point() and labels.dtype != torch.bool:
        least, most = (int(x) for x in labels.aminmax())
        if len(names) == 2 and (least, most) == (0, 1):
            return
    for label in range(len(names)):
        is_label = labels == label
        present[label] = bool(is_label.any())
        odd &= ~is_label
    if bool(odd.any()):
        trial = int(odd.nonzero()[0])
        allowed = "0 or 1" if len(names) == 2 else "0, 1 or 2"
        raise ValueError(f"labels: expected {allowed}, got {labels[trial].item()} at trial {trial}")
    for label in sorted(range(len(names)), key=lambda label: label != 1):
        if not present[label]:
            classes = "both classes" if len(names) == 2 else "all three classes"
            raise ValueError(f"labels: expected {classes}, got no {names[label]} trial")


def count_trials(scores: Tensor, labels: Tensor, classes: int = 2) -> Counts:
    """Sort once and count; tied scores share one element.

    Values sort several times faster than a permutation of them does; where each class lies among
    all is then found by merging its own sorted scores.
    """
    scores, labels = scores.detach().cpu(), labels.detach().cpu()
    if not scores.is_floating_point():
        scores = scores.double()
    values = _sorted(at_least_float32(scores))
    fresh = values[1:] != values[:-1]
    if bool(fresh.all()):
        trials = torch.arange(1, len(values) + 1)
    else:
        last_of_tie = torch.cat([fresh, torch.ones(1, dtype=torch.bool)])
        trials = last_of_tie.nonzero().squeeze(1) + 1
        values = values[trials - 1]
    del fresh
    counts = []
    first = trials
    for label in range(1, classes):
        places = torch.searchsorted(values, _sorted(at_least_float32(scores[labels == label])))
        counts.append(torch.bincount(places, minlength=len(values)).cumsum_(0))
        first = first - counts[-1]
    return Counts(values, (first, *counts))


def count_as(
    scores: Tensor, labels: Tensor, convention: str, classes: int = 2, step: float = 1e-3
) -> Counts:
    """:func:`count_trials`, or by the convention of the ASVspoof packages."""
    if convention == "exact":
        return count_trials(scores, labels, classes)
    if convention != "asvspoof":
        raise ValueError(f"convention: expected one of {CONVENTIONS}, got {convention}")
    scores, labels = scores.detach().cpu().double(), labels.detach().cpu()
    # A stable sort of targets, non-targets and spoofs in this order rejects tied targets first.
    classed = [scores[labels == label] for label in (1, 0, 2)[:classes]]
    values, order = torch.sort(torch.cat(classed), stable=True)
    ends = torch.tensor([len(group) for group in classed]).cumsum(0)
    group = torch.bucketize(order, ends, right=True)
    below = [(group == place).cumsum(0) for place in range(classes)]
    return Counts(values, (below[1], below[0], *below[2:]), step)


def _sorted(values: Tensor) -> Tensor:
    # Adding zero copies, and turns −0 into 0, which compares equal and would sort apart.
    values = values + 0.0
    try:
        values.numpy().sort()
    except RuntimeError:  # no numpy: it sorts faster, and torch runs without it
        values = torch.sort(values).values
    return values
