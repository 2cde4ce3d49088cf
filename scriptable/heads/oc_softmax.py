"""One-class heads: a single centre that bona fide speech is drawn to."""

from typing import Final

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_features,
    check_labels,
    check_number,
    check_positive,
    check_rank,
    check_size,
    check_whole,
)
from scriptable._core.numeric import (
    mean_of,
    softplus,
)
from scriptable.heads._centres import CosineProjection


def oc_softmax_loss(
    cosine: Tensor,
    labels: Tensor,
    margin_real: float = 0.5,
    margin_fake: float = 0.2,
    scale: float = 20.0,
    bonafide_label: int = 1,
) -> Tensor:
    r"""One-class softmax loss of each item, from the cosine to the centre.

    .. math:: \ell_i = \begin{cases}
        \log(1 + e^{\alpha(m_{real} - \cos\theta_i)}) & \text{bona fide} \\
        \log(1 + e^{\alpha(\cos\theta_i - m_{fake})}) & \text{spoof} \end{cases}

    Args:
        cosine: cosine to the centre, shape ``[B]``.
        labels: ``bonafide_label`` or any other integer (spoof), shape ``[B]``.
        margin_real: bona fide speech is pushed above this cosine.
        margin_fake: spoofed speech is pushed below this cosine.
        scale: α.
        bonafide_label: the label that means bona fide.

    Returns:
        The unreduced loss in nats, shape ``[B]``.

    Raises:
        ValueError: if ``cosine`` is not ``[B]``, or ``labels`` is not an integer tensor ``[B]``.

    Reference:
        Zhang, Jiang, Duan, "One-class learning towards synthetic voice spoofing detection", arXiv
        2010.13995, the definition of the loss.

    Example:
        >>> oc_softmax_loss(torch.tensor([0.9, 0.9, 0.4]), torch.tensor([1, 0, 1]))
        tensor([3.3541e-04, 1.4000e+01, 2.1269e+00])
    """
    check_number("margin_real", margin_real)
    check_number("margin_fake", margin_fake)
    check_positive("scale", scale)
    check_whole("bonafide_label", bonafide_label)
    check_rank("cosine", cosine, "[B]", 1)
    check_labels(labels, cosine.shape[0])
    missing = torch.where(labels == bonafide_label, margin_real - cosine, cosine - margin_fake)
    return softplus(scale * missing)


class OCSoftmax(nn.Module):
    r"""OC-softmax head: one centre, loss and score in one module.

    ``forward`` is the mean of :func:`oc_softmax_loss`; ``score`` is the cosine to the centre.

    Args:
        embedding_dim: size D of the embeddings.
        m_real: bona fide speech is pushed above this cosine.
        m_fake: spoofed speech is pushed below this cosine.
        alpha: scale.
        weight: factor on the loss, for sums of several losses.
        bonafide_label: the label that means bona fide; every other one means spoof.

    Shape:
        - embeddings: ``[B, D]``; labels: ``[B]``, integer; loss: scalar, in nats.
        - ``score``: ``[B]`` in [−1, 1], higher = more bona fide.

    Raises:
        ValueError: on a wrong shape, dtype or configuration.

    Reference:
        Zhang, Jiang, Duan, "One-class learning towards synthetic voice spoofing detection", arXiv
        2010.13995, the definition of the loss.

    Example:
        >>> head = OCSoftmax(embedding_dim=2)
        >>> head.load_state_dict({"mapper.weight": torch.tensor([[1.0], [0.0]])})
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(0.0635)
        >>> head.score(embeddings).detach()
        tensor([ 0.6000, -1.0000])
    """

    m_real: Final[float]
    m_fake: Final[float]
    alpha: Final[float]
    weight: Final[float]
    embedding_dim: Final[int]
    bonafide_label: Final[int]

    def __init__(
        self,
        embedding_dim: int,
        m_real: float = 0.5,
        m_fake: float = 0.2,
        alpha: float = 20.0,
        weight: float = 1.0,
        bonafide_label: int = 1,
    ) -> None:
        super().__init__()
        check_size("embedding_dim", embedding_dim)
        check_number("m_real", m_real)
        check_number("m_fake", m_fake)
        check_positive("alpha", alpha)
        check_number("weight", weight)
        check_whole("bonafide_label", bonafide_label)
        self.m_real = float(m_real)
        self.m_fake = float(m_fake)
        self.alpha = float(alpha)
        self.weight = float(weight)
        self.embedding_dim = embedding_dim
        self.bonafide_label = bonafide_label
        self.mapper = CosineProjection(embedding_dim, 1)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels ``[B]`` → scalar."""
        loss = oc_softmax_loss(
            self.score(embeddings),
            labels,
            self.m_real,
            self.m_fake,
            self.alpha,
            self.bonafide_label,
        )
        return self.weight * mean_of(loss)

    @torch.jit.export
    def score(self, embeddings: Tensor) -> Tensor:
        """Cosine to the centre: embeddings ``[B, D]`` → ``[B]``."""
        check_features("embeddings", embeddings, self.embedding_dim)
        return self.mapper(embeddings).squeeze(1)
