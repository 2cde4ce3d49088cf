"""The mean squared error for P2SGrad."""

from typing import Final

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_features,
    check_rank,
    check_size,
)
from scriptable._core.labels import (
    class_labels,
)
from scriptable._core.numeric import (
    mean_of,
)
from scriptable.heads._centres import CosineProjection, check_classes, class_cosines


def p2sgrad_loss(cosine: Tensor, labels: Tensor) -> Tensor:
    r"""Mean-squared-error loss for P2SGrad of each item, from cosines.

    .. math:: \ell_i = \sum_j (\cos\theta_{ij} - \mathbb 1[j = y_i])^2

    Its gradient by cos θ is, up to the factor 2, the one that P2SGrad prescribes.

    Args:
        cosine: cosines to the class centres, shape ``[B, C]``.
        labels: class of each item, integer, shape ``[B]``.

    Returns:
        The unreduced loss, shape ``[B]``, in [0, C + 3].

    Raises:
        ValueError: if ``cosine`` is not ``[B, C]``, ``labels`` is not an integer tensor of shape
            ``[B]``, or one is not a class.

    Reference:
        Wang, Yamagishi, "A Comparative Study on Recent Neural Spoofing Countermeasures for
        Synthetic Speech Detection", arXiv 2103.11326; Zhang et al., "P2SGrad", arXiv 1905.02479,
        eq. 11.

    Example:
        >>> p2sgrad_loss(torch.tensor([[0.5, -0.5]]), torch.tensor([0]))
        tensor([0.5000])
    """
    check_rank("cosine", cosine, "[B, C]", 2)
    labels = class_labels(labels, cosine.shape[0], cosine.shape[1])
    target = cosine.gather(1, labels.unsqueeze(1)).squeeze(1)
    return cosine.square().sum(1) + (1.0 - 2.0 * target)


class P2SGrad(nn.Module):
    r"""Head with the mean squared error for P2SGrad: no scale and no margin to choose.

    ``forward`` is the mean of :func:`p2sgrad_loss`; the centres are the columns of ``weight``.

    Args:
        in_dim: size D of the embeddings.
        out_dim: number of classes C.
        bonafide_label: the class that means bona fide.

    Shape:
        - embeddings: ``[B, D]``; labels: ``[B]``, integer; loss: scalar.
        - ``score``: ``[B]``, cosine to the bona fide centre in [−1, 1], higher = more bona fide.

    Raises:
        ValueError: on a wrong shape, dtype, label or configuration.

    Reference:
        Wang, Yamagishi, "A Comparative Study on Recent Neural Spoofing Countermeasures for
        Synthetic Speech Detection", arXiv 2103.11326; Zhang et al., "P2SGrad", arXiv 1905.02479,
        eq. 11.

    Example:
        >>> head = P2SGrad(in_dim=2)
        >>> head.load_state_dict({"weight": torch.eye(2)})
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(2.2000)
        >>> head.score(embeddings).detach()
        tensor([0.8000, 0.0000])
    """

    in_dim: Final[int]
    bonafide_label: Final[int]

    def __init__(self, in_dim: int, out_dim: int = 2, bonafide_label: int = 1) -> None:
        check_size("in_dim", in_dim)
        check_classes(out_dim, bonafide_label, "out_dim")
        super().__init__()
        self.in_dim = in_dim
        self.bonafide_label = bonafide_label
        self.weight = CosineProjection(in_dim, out_dim).weight

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels ``[B]`` → scalar."""
        return mean_of(p2sgrad_loss(self._cosines(embeddings), labels))

    @torch.jit.export
    def score(self, embeddings: Tensor) -> Tensor:
        """Cosine to the bona fide centre: embeddings ``[B, D]`` → ``[B]``."""
        return self._cosines(embeddings)[:, self.bonafide_label]

    def _cosines(self, embeddings: Tensor) -> Tensor:
        check_features("embeddings", embeddings, self.in_dim)
        return class_cosines(embeddings, self.weight.t())
