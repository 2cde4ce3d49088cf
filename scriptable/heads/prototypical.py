"""Prototypical losses over speakers × utterances, by cosine and by squared distance."""

from typing import Final, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_number,
    check_whole,
)
from scriptable._core.numeric import (
    at_least_float32,
    cross_entropy,
    mean_of,
    precise_product,
    unit,
)
from scriptable.heads.ge2e import centroid_scores, check_batch, check_trial


def _query_and_prototypes(dvecs: Tensor, query: int) -> Tuple[Tensor, Tensor]:
    """One utterance of each speaker, and the mean of the others: ``[N, D]`` twice."""
    check_batch(dvecs)
    check_whole("query", query)
    utterances = dvecs.shape[1]
    if not -utterances <= query < utterances:
        raise ValueError(
            f"query: expected an utterance in [{-utterances}, {utterances - 1}], got {query}"
        )
    dvecs = at_least_float32(dvecs)
    index = query % utterances
    others = torch.cat([dvecs[:, :index], dvecs[:, index + 1 :]], 1)
    return dvecs[:, index], others.mean(1)


def _cross_entropy_of_diagonal(logits: Tensor) -> Tensor:
    """Mean over the rows of ``[N, N]`` of −log softmax at the row's own column."""
    target = torch.arange(logits.shape[0], device=logits.device)
    return mean_of(cross_entropy(logits, target))


def angular_prototypical_loss(dvecs: Tensor, w: Tensor, b: Tensor, query: int = -1) -> Tensor:
    r"""Angular prototypical loss: one query per speaker against all prototypes, by cosine.

    .. math::
        c_k &= \tfrac{1}{M-1} \textstyle\sum_{m \ne q} x_{km}, \qquad
        S_{jk} = |w| \cos(x_{jq}, c_k) + b \\
        L &= -\tfrac1N \textstyle\sum_j \log \frac{e^{S_{jj}}}{\sum_k e^{S_{jk}}}

    Args:
        dvecs: embeddings, shape ``[N, M, D]``; a zero vector has cosine 0 to everything.
        w: scale, a scalar tensor; its absolute value is used.
        b: offset, a scalar tensor.
        query: the utterance that is the query; −1 as in the paper, 0 as in its authors' code.

    Returns:
        The loss in nats, a scalar, the mean over speakers.

    Raises:
        ValueError: on a wrong shape, M < 2, or a query out of range.

    Reference:
        Chung et al., "In defence of metric learning for speaker recognition", arXiv 2003.11982, the
        angular prototypical loss.

    Example:
        >>> dvecs = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [0.6, 0.8]]])
        >>> angular_prototypical_loss(dvecs, torch.tensor(10.0), torch.tensor(-5.0))
        tensor(0.1269)
    """
    queries, prototypes = _query_and_prototypes(dvecs, query)
    cosine = at_least_float32(unit(queries, 1) @ unit(prototypes, 1).t())
    return _cross_entropy_of_diagonal(at_least_float32(w).abs() * cosine + at_least_float32(b))


def prototypical_loss(dvecs: Tensor, query: int = -1) -> Tensor:
    r"""Prototypical loss: one query per speaker against all prototypes, by squared distance.

    .. math::
        c_k &= \tfrac{1}{M-1} \textstyle\sum_{m \ne q} x_{km}, \qquad
        S_{jk} = -\lVert x_{jq} - c_k \rVert^2 \\
        L &= -\tfrac1N \textstyle\sum_j \log \frac{e^{S_{jj}}}{\sum_k e^{S_{jk}}}

    Args:
        dvecs: embeddings, shape ``[N, M, D]``.
        query: the utterance that is the query; −1 as in the paper, 0 as in its authors' code.

    Returns:
        The loss in nats, a scalar, the mean over speakers.

    Raises:
        ValueError: on a wrong shape, M < 2, or a query out of range.

    Reference:
        Snell et al., "Prototypical Networks for Few-shot Learning", arXiv 1703.05175, the softmax
        over distances; Chung et al., "In defence of metric learning for speaker recognition", arXiv
        2003.11982, the prototypical loss.

    Example:
        >>> dvecs = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [0.6, 0.8]]])
        >>> prototypical_loss(dvecs)
        tensor(0.5130)
    """
    queries, prototypes = _query_and_prototypes(dvecs, query)
    return _cross_entropy_of_diagonal(-_squared_distances(queries, prototypes))


def _squared_distances(queries: Tensor, prototypes: Tensor) -> Tensor:
    """Squared distances ``[B, D]``, ``[N, D]`` → ``[B, N]``, without a tensor ``[B, N, D]``."""
    # Distances are the same from any origin; from the middle nothing large cancels.
    middle = prototypes.detach().sum(0, keepdim=True) / max(prototypes.shape[0], 1)
    queries, prototypes = queries - middle, prototypes - middle
    # Products of embeddings of length 300 leave the range of half precision.
    dots = precise_product(queries, prototypes.t())
    squares = queries.square().sum(1, keepdim=True) + prototypes.square().sum(1)
    return squares - 2.0 * dots


class AngularPrototypical(nn.Module):
    r"""Angular prototypical loss with its scale and offset, see :func:`angular_prototypical_loss`.

    Args:
        init_w: initial scale; above 0.
        init_b: initial offset.
        query: the utterance that is the query; −1 as in the paper, 0 as in its authors' code.

    Shape:
        - dvecs: ``[N, M, D]``, N speakers, M ≥ 2 utterances; loss: scalar, mean over speakers.
        - ``score``: enrolled ``[N, M, D]``, test ``[B, D]`` → cosine to each speaker's centroid,
          ``[B, N]`` in [−1, 1], higher = more the same speaker.

    Raises:
        ValueError: on a wrong shape, M < 2, or a query out of range.

    Reference:
        Chung et al., "In defence of metric learning for speaker recognition", arXiv 2003.11982, the
        angular prototypical loss.

    Example:
        >>> criterion = AngularPrototypical()
        >>> dvecs = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [0.6, 0.8]]])
        >>> criterion(dvecs).detach()
        tensor(0.1269)
    """

    query: Final[int]

    def __init__(self, init_w: float = 10.0, init_b: float = -5.0, query: int = -1) -> None:
        super().__init__()
        check_number("init_w", init_w)
        check_number("init_b", init_b)
        check_whole("query", query)
        self.query = query
        self.w = nn.Parameter(torch.tensor(float(init_w)))
        self.b = nn.Parameter(torch.tensor(float(init_b)))

    def forward(self, dvecs: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[N, M, D]`` → scalar."""
        return angular_prototypical_loss(dvecs, self.w, self.b, self.query)

    @torch.jit.export
    def score(self, enrolled: Tensor, test: Tensor) -> Tensor:
        """Cosines to the centroids: ``[N, M, D]``, ``[B, D]`` → ``[B, N]``."""
        return centroid_scores(enrolled, test)


class Prototypical(nn.Module):
    r"""Prototypical loss with its configuration frozen, see :func:`prototypical_loss`.

    Args:
        query: the utterance that is the query; −1 as in the paper, 0 as in its authors' code.

    Shape:
        - dvecs: ``[N, M, D]``, N speakers, M ≥ 2 utterances; loss: scalar, mean over speakers.
        - ``score``: enrolled ``[N, M, D]``, test ``[B, D]`` → −squared distance to each speaker's
          mean, ``[B, N]``, higher = more the same speaker.

    Raises:
        ValueError: on a wrong shape, M < 2, or a query out of range.

    Reference:
        Snell et al., "Prototypical Networks for Few-shot Learning", arXiv 1703.05175, the softmax
        over distances.

    Example:
        >>> criterion = Prototypical()
        >>> dvecs = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [0.6, 0.8]]])
        >>> criterion(dvecs)
        tensor(0.5130)
    """

    query: Final[int]

    def __init__(self, query: int = -1) -> None:
        super().__init__()
        check_whole("query", query)
        self.query = query

    def forward(self, dvecs: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[N, M, D]`` → scalar."""
        return prototypical_loss(dvecs, self.query)

    @torch.jit.export
    def score(self, enrolled: Tensor, test: Tensor) -> Tensor:
        """−squared distances to the means: ``[N, M, D]``, ``[B, D]`` → ``[B, N]``."""
        check_trial(enrolled, test)
        means = at_least_float32(enrolled).mean(1)
        return -_squared_distances(at_least_float32(test), means)
