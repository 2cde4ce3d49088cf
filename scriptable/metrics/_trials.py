"""Trial lists: checks, and one exact sort that every metric starts from."""

from typing import NamedTuple

import torch
from torch import Tensor

_TWO = ("non-target (label 0)", "target (label 1)")
_THREE = (*_TWO, "spoof (label 2)")


class Counts(NamedTuple):
    """What lies at or below each distinct score, in ascending order of the scores.

    ``values [K]`` are the scores, ``below [C][K]`` the number of trials of each class whose score
    is at most that value; the last element is the size of the class.
    """

    values: Tensor
    below: tuple[Tensor, ...]

    def total(self, label: int) -> int:
        """Number of trials of a class."""
        return int(self.below[label][-1])

    def threshold(self, index: int) -> float:
        """The threshold that rejects the lowest ``index`` distinct scores; 0 accepts everything."""
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
    check_classes(scores, labels, _TWO)


def check_three_classes(scores: Tensor, labels: Tensor) -> None:
    """Raise unless all of target (1), non-target (0) and spoof (2) are there, without NaN."""
    check_classes(scores, labels, _THREE)


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

    Scores that float32 holds exactly are packed with their labels into one integer each, whose
    order is theirs: integers sort several times faster than a permutation of them.
    """
    scores, labels = scores.detach().cpu(), labels.detach().cpu()
    if not scores.is_floating_point():
        scores = scores.double()
    single = scores.float()
    if scores.dtype == torch.float64 and not torch.equal(single.double(), scores):
        values, order = torch.sort(scores)
        sorted_labels = labels.index_select(0, order).to(torch.uint8)
        del order
        fresh = values[1:] != values[:-1]
    else:
        keys = _pack(single, labels)
        _sort_in_place(keys)
        sorted_labels = keys.bitwise_and(3).to(torch.uint8)
        keys >>= 2
        fresh = keys[1:] != keys[:-1]
        values = keys
    ends = None if bool(fresh.all()) else torch.cat([fresh, torch.ones(1, dtype=torch.bool)])
    counts = []
    for label in range(1, classes):
        running = torch.cumsum(sorted_labels == label, 0)
        counts.append(running if ends is None else running[ends])
    trials = torch.arange(1, len(values) + 1) if ends is None else ends.nonzero().squeeze(1) + 1
    first = trials
    for running in counts:
        first = first - running
    values = values if ends is None else values[ends]
    return Counts(values if values.is_floating_point() else _unpack(values), (first, *counts))


def _pack(scores: Tensor, labels: Tensor) -> Tensor:
    """Integers that order as float32 ``scores`` do, shifted by two bits, plus the label."""
    # Adding zero turns −0 into 0, which compares equal and has other bits.
    bits = (scores + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    keys = ordered.long()
    keys <<= 2
    keys += labels.long()
    return keys


def _unpack(ordered: Tensor) -> Tensor:
    bits = ordered.int()
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)


def _sort_in_place(keys: Tensor) -> None:
    try:
        keys.numpy().sort()
    except RuntimeError:  # torch was built or installed without numpy, which sorts faster
        keys.copy_(torch.sort(keys).values)
