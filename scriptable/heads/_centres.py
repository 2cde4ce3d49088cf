"""Parts that the heads share: the cosine layer, class weights, and the two-class score."""

from collections.abc import Sequence
from typing import Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.defaults import KeepsDefaults
from scriptable._core.numeric import at_least_float32, unit


class ClassWeights(KeepsDefaults):
    """One weight per class in a buffer; ones when none are given."""

    weight: Tensor

    def __init__(
        self, n_classes: int, class_weights: Optional[Union[Sequence[float], Tensor]] = None
    ) -> None:
        super().__init__()
        if class_weights is None:
            weights = torch.ones(n_classes)
        else:
            weights = torch.as_tensor(class_weights, dtype=torch.get_default_dtype()).clone()
            if list(weights.shape) != [n_classes]:
                raise ValueError(
                    f"class_weights: expected shape [{n_classes}], got {list(weights.shape)}"
                )
        self.register_buffer("weight", weights)

    def forward(self, labels: Tensor) -> Tensor:
        """The weight of each label: ``[B]`` → ``[B]``."""
        return self.weight.index_select(0, labels.long())


class CosineProjection(nn.Module):
    """Cosines between embeddings ``[B, D]`` and class centres, the columns of ``weight [D, C]``."""

    def __init__(self, embedding_dim: int, n_centres: int) -> None:
        super().__init__()
        columns = torch.empty(embedding_dim, n_centres).uniform_(-1, 1)
        self.weight = nn.Parameter(unit(columns, 0))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Embeddings ``[B, D]`` → cosines ``[B, C]`` in [−1, 1]."""
        directions = unit(at_least_float32(embeddings), 1)
        centres = unit(at_least_float32(self.weight), 0)
        return at_least_float32(directions @ centres).clamp(-1.0, 1.0)


def bonafide_minus_spoof(values: Tensor, bonafide_label: int) -> Tensor:
    """Two classes: bona fide − spoof, ``[B]``; with more classes all of them, ``[B, C]``."""
    if values.shape[1] == 2:
        return values[:, bonafide_label] - values[:, 1 - bonafide_label]
    return values


def check_classes(n_classes: int, bonafide_label: int) -> None:
    """Raise unless there are at least two classes and the bona fide label is one of them."""
    if n_classes < 2:
        raise ValueError(f"n_classes: expected 2 or more, got {n_classes}")
    if not 0 <= bonafide_label < n_classes:
        raise ValueError(
            f"bonafide_label: expected a label in [0, {n_classes - 1}], got {bonafide_label}"
        )


def sine(cosine: Tensor) -> Tensor:
    """Sin θ of cos θ; at cos θ = ±1 it is 0, within 1e-12, and so is its gradient."""
    return torch.sqrt(((1.0 - cosine) * (1.0 + cosine)).clamp(min=1e-24))


def add_margin(
    cosine: Tensor, margin: Tensor, easy_margin: bool = False, fallback: str = "sine"
) -> Tensor:
    """cos(θ + m) while θ + m ≤ π, continued below by ``fallback``, of any shape.

    ``sine`` continues with cos θ − m·sin(π − m), ``continuous`` with cos θ − (1 + cos(π − m));
    with an easy margin angles above 90° keep their cosine.
    """
    cos_m, sin_m = torch.cos(margin), torch.sin(margin)
    moved = cosine * cos_m - sine(cosine) * sin_m
    if easy_margin:
        return torch.where(cosine > 0, moved, cosine)
    if fallback == "continuous":
        beyond = cosine - (1.0 - cos_m)
    else:
        beyond = cosine - margin * sin_m
    return torch.where(cosine > -cos_m, moved, beyond)


def class_directions(weight: Tensor) -> Tensor:
    """Class centres ``[C, D]`` at length one; a zero centre stays zero and gets no gradient."""
    weight = at_least_float32(weight)
    # The centres are large: one pass for the norm instead of a square and a sum.
    norm = torch.linalg.vector_norm(weight, 2.0, [1], True)
    inverse = norm.clamp(min=1e-12).reciprocal()
    return weight * torch.where(norm > 1e-12, inverse, torch.zeros_like(inverse))


def class_cosines(input: Tensor, weight: Tensor) -> Tensor:
    """Cosines between embeddings ``[B, D]`` and class centres ``[C, D]``: ``[B, C]``."""
    cosine = F.linear(unit(at_least_float32(input), 1), class_directions(weight))
    return at_least_float32(cosine).clamp(-1.0, 1.0)


def accuracy_of(classes: Tensor, target: Tensor) -> Tensor:
    """Share of the items whose predicted class is the target, a scalar."""
    return (classes == target).to(torch.float32).mean()
