"""Several heads on the same embeddings, as one."""

import inspect
from collections.abc import Sequence
from typing import Final, List, Optional

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_number, check_whole


class MultiLoss(nn.Module):
    r"""Sum of several heads on the same embeddings; one of them scores.

    .. math:: \ell = \sum_k w_k \ell_k(x, y)

    A head with a ``weight`` of its own applies it itself, so its :math:`w_k` here stays 1. A head
    that takes the labels first, as ESPnet's spoofing heads do, is given them first.

    Args:
        losses: the heads; at least one.
        weights: :math:`w_k`, for heads that have no ``weight`` of their own; None: all 1.
        score_from: index of the head whose ``score`` is the score, the others only train.

    Shape:
        - embeddings: ``[B, D]``; labels: as the heads take them; loss: scalar.
        - ``parts``: ``[K]``, the terms of the sum in the order of ``losses``, which are named in
          the attribute ``names``.
        - ``score``: what the chosen head gives.

    Raises:
        ValueError: on a wrong configuration; on wrong shapes as the heads say.

    Example:
        >>> from scriptable import AMSoftmax, OCSoftmax
        >>> angular, one_class = AMSoftmax(2, m=0.2, s=10.0, weight=0.5), OCSoftmax(2)
        >>> angular.load_state_dict({"mapper.weight": torch.eye(2)})
        <All keys matched successfully>
        >>> one_class.load_state_dict({"mapper.weight": torch.tensor([[1.0], [0.0]])})
        <All keys matched successfully>
        >>> head = MultiLoss([angular, one_class])
        >>> embeddings, labels = torch.tensor([[3.0, 4.0], [-1.0, 0.0]]), torch.tensor([1, 0])
        >>> head.names, head.parts(embeddings, labels).detach()
        (['AMSoftmax', 'OCSoftmax'], tensor([3.1733, 0.0635]))
        >>> head(embeddings, labels).detach()
        tensor(3.2368)
        >>> head.score(embeddings).detach()
        tensor([0.2000, 1.0000])
    """

    names: Final[List[str]]
    weights: Final[List[float]]
    score_from: Final[int]
    _labels_first: Final[List[bool]]

    def __init__(
        self,
        losses: Sequence[nn.Module],
        weights: Optional[Sequence[float]] = None,
        score_from: int = 0,
    ) -> None:
        super().__init__()
        if len(losses) == 0:
            raise ValueError("losses: expected at least one head, got none")
        if weights is None:
            weights = [1.0] * len(losses)
        if len(weights) != len(losses):
            raise ValueError(f"weights: expected {len(losses)} numbers, got {len(weights)}")
        for k, weight in enumerate(weights):
            check_number(f"weights[{k}]", weight)
        check_whole("score_from", score_from)
        if not 0 <= score_from < len(losses):
            raise ValueError(
                f"score_from: expected an index from 0 to {len(losses) - 1}, got {score_from}"
            )
        if not callable(getattr(losses[score_from], "score", None)):
            raise ValueError(
                f"score_from: expected a head with a method score, "
                f"got {type(losses[score_from]).__name__}"
            )
        # Named as in DeepFense's detector, whose checkpoints say losses.0.mapper.weight.
        self.losses = nn.ModuleList(losses)
        self.names = [type(head).__name__ for head in losses]
        self.weights = [float(weight) for weight in weights]
        self.score_from = int(score_from)
        self._labels_first = [labels_first(head) for head in losses]

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels ``[B]`` → scalar."""
        return self.parts(embeddings, labels).sum()

    @torch.jit.export
    def parts(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The terms of the loss: embeddings ``[B, D]``, labels ``[B]`` → ``[K]``."""
        terms: List[Tensor] = []
        for k, head in enumerate(self.losses):
            if self._labels_first[k]:
                terms.append(self.weights[k] * head(labels, embeddings))
            else:
                terms.append(self.weights[k] * head(embeddings, labels))
        return torch.stack(terms)

    @torch.jit.export
    def score(self, embeddings: Tensor) -> Tensor:
        """Score of each item by the chosen head: embeddings ``[B, D]`` → ``[B]``."""
        scores: Tensor = self.losses[self.score_from].score(embeddings)  # type: ignore[operator]
        return scores


def labels_first(head: nn.Module) -> bool:
    """Whether a head takes its labels before its embeddings, as those of ESPnet do."""
    first = next(iter(inspect.signature(head.forward).parameters), "")
    return first in ("label", "labels", "target", "targets")
