"""The generalised end-to-end loss (GE2E) over speakers × utterances."""

from typing import Final, Optional

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_choice, check_number, check_rank
from scriptable._core.numeric import at_least_float32, inverse_norm, unit


def check_batch(dvecs: Tensor) -> None:
    """Raise unless ``dvecs`` is ``[N, M, D]`` with two utterances or more per speaker."""
    check_rank("dvecs", dvecs, "[N, M, D]", 3)
    if dvecs.shape[1] < 2:
        raise ValueError(
            f"dvecs: expected shape [N, M, D] with M of 2 or more utterances per speaker, "
            f"got {list(dvecs.shape)}"
        )


def own_speaker(speakers: int, others: int, first: int, device: torch.device) -> Tensor:
    """True where a row's speaker is the column's: ``[speakers, 1, others]``."""
    own = torch.arange(speakers, device=device).unsqueeze(1) + first
    return (own == torch.arange(others, device=device)).unsqueeze(1)


def centroid_similarities(dvecs: Tensor, sums: Tensor, own: Tensor) -> Tensor:
    """Cosines ``[n, M, N]`` to the centroids, an utterance left out of its own.

    Args:
        dvecs: embeddings of n speakers, ``[n, M, D]``.
        sums: Σ of the embeddings of each of N speakers, ``[N, D]``.
        own: True where a row's speaker is the column's, ``[n, 1, N]``.
    """
    n, m, d = dvecs.shape
    inverse = inverse_norm(dvecs, 2)
    dots = at_least_float32(dvecs.reshape(n * m, d) @ unit(sums, 1).t()).view(n, m, sums.shape[0])
    # The other utterances' sum as a difference of vectors: as a difference of dot products it
    # would cancel where utterances are alike.
    rest = dvecs.sum(1, keepdim=True) - dvecs
    to_rest = (dvecs * rest).sum(2, keepdim=True) * inverse_norm(rest, 2)
    return inverse * torch.where(own, to_rest, dots)


def total_loss(similarities: Tensor, own: Tensor, w: Tensor, b: Tensor, loss_method: str) -> Tensor:
    """Σ of the softmax or contrast loss over all utterances, from similarities ``[n, M, N]``."""
    zero = torch.zeros_like(similarities)
    mine = torch.where(own, similarities, zero).sum(2)
    factor = w.abs()
    if loss_method == "softmax":
        logits = factor * similarities + b
        return (torch.logsumexp(logits, 2) - (factor * mine + b)).sum()
    if similarities.shape[2] == 0:
        return (factor * mine + b).sum()
    # The nearest other centroid; −2 is below every cosine.
    nearest = torch.where(own, zero - 2.0, similarities).amax(2)
    return (1.0 - torch.sigmoid(factor * mine + b) + torch.sigmoid(factor * nearest + b)).sum()


def reduced(total: Tensor, utterances: int, reduction: str) -> Tensor:
    """The total over the batch, or its mean over the utterances."""
    return total if reduction == "sum" else total / max(utterances, 1)


def ge2e_loss(
    dvecs: Tensor,
    w: Tensor,
    b: Tensor,
    loss_method: str = "softmax",
    similarity_floor: Optional[float] = None,
    reduction: str = "sum",
) -> Tensor:
    r"""Generalised end-to-end loss of N speakers with M utterances each.

    .. math::
        c_k &= \tfrac1M \textstyle\sum_m e_{km}, \qquad
        c_j^{(-i)} = \tfrac1{M-1} \textstyle\sum_{m \ne i} e_{jm} \\
        S_{ji,k} &= |w| \cos(e_{ji}, c_k) + b, \qquad
        S_{ji,j} = |w| \cos(e_{ji}, c_j^{(-i)}) + b \\
        L_{softmax} &= \textstyle\sum_{ji} \log \sum_k e^{S_{ji,k}} - S_{ji,j} \\
        L_{contrast} &= \textstyle\sum_{ji} 1 - \sigma(S_{ji,j}) + \max_{k \ne j} \sigma(S_{ji,k})

    ``mean`` divides the sum over the utterances by their number N·M.

    Args:
        dvecs: embeddings, shape ``[N, M, D]``; a zero vector has cosine 0 to everything.
        w: scale, a scalar tensor; its absolute value is used.
        b: offset, a scalar tensor.
        loss_method: ``softmax`` or ``contrast``.
        similarity_floor: cosines below it are raised to it; None for none, as in the paper.
        reduction: ``sum``, as in the paper, or ``mean``.

    Returns:
        The loss in nats (softmax) or in [0, 2] an utterance (contrast), a scalar, 0 over no
        utterances.

    Raises:
        ValueError: on a wrong shape, M < 2, an unknown method or reduction, or one speaker with
            ``contrast``.

    Reference:
        Wan et al., "Generalized End-to-End Loss for Speaker Verification", arXiv 1710.10467, eq. 5
        (similarity) and the softmax and contrast losses.

    Example:
        >>> dvecs = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [-0.6, 0.8]]])
        >>> ge2e_loss(dvecs, torch.tensor(10.0), torch.tensor(-5.0))
        tensor(0.0158)
        >>> ge2e_loss(dvecs, torch.tensor(10.0), torch.tensor(-5.0), reduction="mean")
        tensor(0.0040)
    """
    check_choice("loss_method", loss_method, ["softmax", "contrast"])
    check_choice("reduction", reduction, ["sum", "mean"])
    if similarity_floor is not None:
        check_number("similarity_floor", similarity_floor)
    check_batch(dvecs)
    speakers, utterances = dvecs.shape[0], dvecs.shape[1]
    if loss_method == "contrast" and speakers == 1:
        raise ValueError(
            f"dvecs: expected shape [N, M, D] with N of 2 or more speakers for contrast, "
            f"got {list(dvecs.shape)}"
        )
    dvecs = at_least_float32(dvecs)
    own = own_speaker(speakers, speakers, 0, dvecs.device)
    similarities = centroid_similarities(dvecs, dvecs.sum(1), own)
    if similarity_floor is not None:
        similarities = similarities.clamp(min=similarity_floor)
    w, b = at_least_float32(w), at_least_float32(b)
    total = total_loss(similarities, own, w, b, loss_method)
    return reduced(total, speakers * utterances, reduction)


def check_trial(enrolled: Tensor, test: Tensor) -> None:
    """Raise unless enrolled is ``[N, M, D]`` and test is ``[B, D]``."""
    check_rank("enrolled", enrolled, "[N, M, D]", 3)
    if test.dim() != 2 or test.shape[1] != enrolled.shape[2]:
        raise ValueError(f"test: expected shape [B, {enrolled.shape[2]}], got {list(test.shape)}")


def centroid_scores(enrolled: Tensor, test: Tensor) -> Tensor:
    """Cosines to the centroids: enrolled ``[N, M, D]``, test ``[B, D]`` → ``[B, N]``."""
    check_trial(enrolled, test)
    centroids = unit(at_least_float32(enrolled).sum(1), 1)
    cosine = unit(at_least_float32(test), 1) @ centroids.t()
    return at_least_float32(cosine).clamp(-1.0, 1.0)


class GE2ELoss(nn.Module):
    r"""Generalised end-to-end loss with its scale w and offset b, see :func:`ge2e_loss`.

    Args:
        init_w: initial scale; above 0.
        init_b: initial offset.
        loss_method: ``softmax`` or ``contrast``.
        similarity_floor: cosines below it are raised to it, which cuts their gradient; None, as in
            the paper, for no floor.
        reduction: ``sum`` over the utterances, as in the paper, or their ``mean``, which the
            VoxCeleb trainer and Real-Time Voice Cloning take.

    Shape:
        - dvecs: ``[N, M, D]``, N speakers, M ≥ 2 utterances; loss: scalar.
        - ``score``: enrolled ``[N, M, D]``, test ``[B, D]`` → cosine to each speaker's centroid,
          ``[B, N]`` in [−1, 1], higher = more the same speaker.

    Raises:
        ValueError: on a wrong shape or configuration, M < 2, or one speaker with ``contrast``.

    Reference:
        Wan et al., "Generalized End-to-End Loss for Speaker Verification", arXiv 1710.10467, eq. 5
        (similarity) and the softmax and contrast losses.

    Example:
        >>> criterion = GE2ELoss(init_w=10.0, init_b=-5.0, loss_method="softmax")
        >>> dvecs = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [-0.6, 0.8]]])
        >>> criterion(dvecs).detach()
        tensor(0.0158)
        >>> criterion.score(dvecs, torch.tensor([[1.0, 0.0]]))
        tensor([[ 0.9487, -0.3162]])
    """

    loss_method: Final[str]
    similarity_floor: Final[Optional[float]]
    reduction: Final[str]

    def __init__(
        self,
        init_w: float = 10.0,
        init_b: float = -5.0,
        loss_method: str = "softmax",
        similarity_floor: Optional[float] = None,
        *,
        reduction: str = "sum",
    ) -> None:
        super().__init__()
        check_number("init_w", init_w)
        check_number("init_b", init_b)
        check_choice("loss_method", loss_method, ["softmax", "contrast"])
        if similarity_floor is not None:
            check_number("similarity_floor", similarity_floor)
        check_choice("reduction", reduction, ["sum", "mean"])
        self.loss_method = loss_method
        self.reduction = reduction
        self.similarity_floor = None if similarity_floor is None else float(similarity_floor)
        self.w = nn.Parameter(torch.tensor(float(init_w)))
        self.b = nn.Parameter(torch.tensor(float(init_b)))

    def forward(self, dvecs: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[N, M, D]`` → scalar."""
        return ge2e_loss(
            dvecs, self.w, self.b, self.loss_method, self.similarity_floor, self.reduction
        )

    @torch.jit.export
    def score(self, enrolled: Tensor, test: Tensor) -> Tensor:
        """Cosines to the centroids: ``[N, M, D]``, ``[B, D]`` → ``[B, N]``."""
        return centroid_scores(enrolled, test)
