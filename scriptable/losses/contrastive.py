"""The contrastive loss of wav2vec 2.0."""

from typing import Final, List, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_positive, check_rank, check_shape
from scriptable._core.numeric import at_least_float32, inverse_norm, mean_of


def _cosines(x: Tensor, y: Tensor, negs: Tensor, chunk: int) -> Tensor:
    """Cosines of unit vectors x ``[M, C]`` to negatives ``[N, M, C]``, −1e30 for copies of y.

    A chunk of negatives at a time: what is in flight then fits a processor's cache, and the cosines
    alone are kept. The vectors stand to the right of the product, which there run along the memory.
    """
    columns: List[Tensor] = []
    row = x.unsqueeze(1)
    for part in torch.split(negs, chunk):
        vectors = at_least_float32(part)
        norm = torch.linalg.vector_norm(vectors, dim=2)
        # A sum of magnitudes is 0 for equal vectors alone, and cheaper than comparing.
        distance = (part.detach() - y.detach()).abs().sum(2)
        # Contiguous, or the gradient of the product comes strided and is ten times slower.
        norm, distance = norm.t().contiguous(), distance.t().contiguous()
        smallest = 1e-12
        scale = torch.where(norm > smallest, norm.clamp(min=smallest).reciprocal(), 0.0)
        cosines = torch.bmm(row, vectors.permute(1, 2, 0)).squeeze(1) * scale
        columns.append(torch.where(distance == 0, -1e30, cosines))
    return torch.cat(columns, 1)


class ContrastiveLoss(nn.Module):
    r"""Contrastive loss of wav2vec 2.0: find the target among negatives.

    .. math:: \ell = \sum_{b, t} -\log \frac{e^{\cos(x_{bt}, y_{bt}) / \tau}}
        {e^{\cos(x_{bt}, y_{bt}) / \tau}
        + \sum_{n: g_{nbt} \ne y_{bt}} e^{\cos(x_{bt}, g_{nbt}) / \tau}}

    Negatives that equal the target are left out. A zero vector has cosine 0 to everything, and gets
    no gradient.

    Args:
        logit_temp: temperature τ.

    Shape:
        - x: embeddings, ``[B, T, C]``; y: targets, ``[B, T, C]``.
        - negs: negatives, ``[N, B, T, C]``.
        - loss: scalar, summed over all frames, in nats.
        - accuracy: scalar, the fraction of frames whose target is at least as close as every
          negative; 0 of none.

    Raises:
        ValueError: on mismatched shapes, or a temperature that is not above 0.

    Reference:
        Baevski et al., "wav2vec 2.0", arXiv 2006.11477, eq. 3.

    Example:
        >>> loss = ContrastiveLoss(logit_temp=0.5)
        >>> x = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> y = torch.tensor([[[2.0, 0.0], [1.0, 0.0]]])
        >>> negs = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]], [[[2.0, 0.0], [1.0, 0.0]]]])
        >>> loss(x, y, negs)
        (tensor(2.2539), tensor(0.5000))
    """

    logit_temp: Final[float]

    def __init__(self, logit_temp: float) -> None:
        super().__init__()
        check_positive("logit_temp", logit_temp)
        self.logit_temp = float(logit_temp)

    def forward(self, x: Tensor, y: Tensor, negs: Tensor) -> Tuple[Tensor, Tensor]:
        """Loss and accuracy of a batch."""
        check_rank("x", x, "[B, T, C]", 3)
        check_shape("y", y, list(x.shape))
        if negs.dim() != 4 or negs.shape[0] == 0 or list(negs.shape[1:]) != list(x.shape):
            raise ValueError(f"negs: expected shape [N, B, T, C], got {list(negs.shape)}")
        embeddings = at_least_float32(x).flatten(0, 1)
        embeddings = embeddings * inverse_norm(embeddings, 1)
        targets = at_least_float32(y).flatten(0, 1)
        positive = (embeddings * targets).sum(1) * inverse_norm(targets, 1).squeeze(1)
        # A graphics processor has no such cache to fit, and waits for each of the calls.
        chunk = 50 if negs.is_cuda else 5
        negatives = _cosines(embeddings, y.flatten(0, 1), negs.flatten(1, 2), chunk)
        logits = torch.cat([positive.unsqueeze(1), negatives], 1) / self.logit_temp
        loss = (torch.logsumexp(logits, 1) - logits[:, 0]).sum()
        hits = positive >= negatives.amax(1)
        return loss, mean_of(hits.to(loss.dtype))
