"""ESPnet's spoofing heads over frame embeddings: AM-softmax and OC-softmax."""

from typing import Final

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_number,
    check_positive,
    check_rank,
    check_size,
    check_whole,
)
from scriptable._core.labels import class_indices
from scriptable._core.numeric import at_least_float32, mean_of, unit
from scriptable.heads.am_softmax import am_softmax_loss
from scriptable.heads.oc_softmax import oc_softmax_loss


def _mean_direction(emb: Tensor, enc_dim: int) -> Tensor:
    """The mean over time at length one: ``[B, T, D]`` → ``[B, D]``."""
    check_rank("emb", emb, "[B, T, enc_dim]", 3)
    if emb.shape[2] != enc_dim or emb.shape[1] == 0:
        raise ValueError(f"emb: expected shape [B, T, {enc_dim}], got {list(emb.shape)}")
    return unit(at_least_float32(emb).mean(1), 1)


def _cosines(emb: Tensor, centres: Tensor) -> Tensor:
    """Cosines between the mean embeddings and the rows of ``centres``: ``[B, centres]``."""
    directions = _mean_direction(emb, centres.shape[1])
    cosine = directions @ unit(at_least_float32(centres), 1).t()
    return at_least_float32(cosine).clamp(-1.0, 1.0)


def _check_binary(name: str, value: int) -> None:
    check_whole(name, value)
    if value not in (0, 1):
        raise ValueError(f"{name}: expected 0 or 1, got {value}")


class ASVSpoofAMSoftmaxLoss(nn.Module):
    r"""AM-softmax head for anti-spoofing on frame embeddings.

    .. math::
        \bar e_i = \tfrac1T \textstyle\sum_t e_{it}, \qquad
        \ell = \frac{w}{B} \sum_i -\log \frac{e^{s(\cos(\bar e_i, c_{y_i}) - m)}}
            {e^{s(\cos(\bar e_i, c_{y_i}) - m)} + e^{s\cos(\bar e_i, c_{1-y_i})}}

    The margin is on the true class, and both centres are trained. Column
    ``bonafide_column`` of the centres belongs to the label ``bonafide_label``.

    Args:
        weight: factor on the loss.
        enc_dim: size of the frame embeddings.
        s: scale.
        m: margin.
        bonafide_label: the label that means bona fide, 0 or 1.
        bonafide_column: the centre that means bona fide, 0 or 1.

    Shape:
        - label: ``[B]`` or ``[B, 1]``, 0 or 1; emb: ``[B, T, enc_dim]``; loss: scalar, in nats.
        - ``score``: ``[B]``, cosine to the bona fide centre − cosine to the spoof centre, in
          [−2, 2], higher = more bona fide.

    Raises:
        ValueError: on a wrong shape, dtype or configuration.

    Reference:
        Wang et al., "Additive Margin Softmax for Face Verification", arXiv 1801.05599, the
        definition of the loss; ESPnet, ``espnet2.asvspoof.loss.am_softmax_loss``.

    Example:
        >>> head = ASVSpoofAMSoftmaxLoss(enc_dim=2, s=10, m=0.2)
        >>> head.load_state_dict({"centers": torch.eye(2)})
        <All keys matched successfully>
        >>> emb = torch.tensor([[[3.0, 0.0], [3.0, 8.0]], [[-1.0, 0.0], [-1.0, 0.0]]])
        >>> head(torch.tensor([1, 0]), emb).detach()
        tensor(2.0092)
        >>> head.score(emb).detach()
        tensor([-0.2000, -1.0000])
    """

    weight: Final[float]
    enc_dim: Final[int]
    s: Final[float]
    m: Final[float]
    bonafide_label: Final[int]
    bonafide_column: Final[int]

    def __init__(
        self,
        weight: float = 1.0,
        enc_dim: int = 128,
        s: float = 20,
        m: float = 0.5,
        bonafide_label: int = 1,
        bonafide_column: int = 0,
    ) -> None:
        super().__init__()
        check_number("weight", weight)
        check_size("enc_dim", enc_dim)
        check_positive("s", s)
        check_number("m", m)
        _check_binary("bonafide_label", bonafide_label)
        _check_binary("bonafide_column", bonafide_column)
        self.weight = float(weight)
        self.enc_dim = enc_dim
        self.s = float(s)
        self.m = float(m)
        self.bonafide_label = bonafide_label
        self.bonafide_column = bonafide_column
        self.centers = nn.Parameter(torch.randn(2, enc_dim))

    def forward(self, label: Tensor, emb: Tensor) -> Tensor:
        """Loss of a batch: labels ``[B]`` or ``[B, 1]``, embeddings ``[B, T, D]`` → scalar."""
        return self.weight * self._unweighted(label, emb)

    @torch.jit.export
    def score(self, emb: Tensor) -> Tensor:
        """Score of each item: embeddings ``[B, T, D]`` → ``[B]``."""
        cosine = _cosines(emb, self.centers)
        return cosine[:, self.bonafide_column] - cosine[:, 1 - self.bonafide_column]

    def _unweighted(self, label: Tensor, emb: Tensor) -> Tensor:
        cosine = _cosines(emb, self.centers)
        label = class_indices(label, emb.shape[0], 1)
        bonafide = (label == self.bonafide_label).long()
        column = bonafide if self.bonafide_column == 1 else 1 - bonafide
        return mean_of(am_softmax_loss(cosine, column, self.m, self.s))


class ASVSpoofOCSoftmaxLoss(nn.Module):
    r"""One-class softmax head for anti-spoofing on frame embeddings.

    .. math::
        \bar e_i = \tfrac1T \textstyle\sum_t e_{it}, \qquad
        \ell = \frac{w}{B} \sum_i \begin{cases}
            \log(1 + e^{\alpha(m_{real} - \cos(\bar e_i, c))}) & \text{bona fide} \\
            \log(1 + e^{\alpha(\cos(\bar e_i, c) - m_{fake})}) & \text{spoof} \end{cases}

    Args:
        weight: factor on the loss.
        enc_dim: size of the frame embeddings.
        m_real: bona fide speech is pushed above this cosine.
        m_fake: spoofed speech is pushed below this cosine.
        alpha: scale.
        bonafide_label: the label that means bona fide, 0 or 1.

    Shape:
        - label: ``[B]`` or ``[B, 1]``, 0 or 1; emb: ``[B, T, enc_dim]``; loss: scalar, in nats.
        - ``score``: ``[B]``, cosine to the centre, in [−1, 1], higher = more bona fide.

    Raises:
        ValueError: on a wrong shape, dtype or configuration.

    Reference:
        Zhang, Jiang, Duan, "One-class learning towards synthetic voice spoofing detection", arXiv
        2010.13995, the definition of the loss; ESPnet, ``espnet2.asvspoof.loss.oc_softmax_loss``.

    Example:
        >>> head = ASVSpoofOCSoftmaxLoss(enc_dim=2)
        >>> head.load_state_dict({"center": torch.tensor([[1.0, 0.0]])})
        <All keys matched successfully>
        >>> emb = torch.tensor([[[3.0, 0.0], [3.0, 8.0]], [[-1.0, 0.0], [-1.0, 0.0]]])
        >>> head(torch.tensor([[1], [0]]), emb).detach()
        tensor(0.0635)
        >>> head.score(emb).detach()
        tensor([ 0.6000, -1.0000])
    """

    weight: Final[float]
    enc_dim: Final[int]
    m_real: Final[float]
    m_fake: Final[float]
    alpha: Final[float]
    bonafide_label: Final[int]

    def __init__(
        self,
        weight: float = 1.0,
        enc_dim: int = 128,
        m_real: float = 0.5,
        m_fake: float = 0.2,
        alpha: float = 20.0,
        bonafide_label: int = 1,
    ) -> None:
        super().__init__()
        check_number("weight", weight)
        check_size("enc_dim", enc_dim)
        check_number("m_real", m_real)
        check_number("m_fake", m_fake)
        check_positive("alpha", alpha)
        _check_binary("bonafide_label", bonafide_label)
        self.weight = float(weight)
        self.enc_dim = enc_dim
        self.m_real = float(m_real)
        self.m_fake = float(m_fake)
        self.alpha = float(alpha)
        self.bonafide_label = bonafide_label
        self.center = nn.Parameter(torch.empty(1, enc_dim))
        nn.init.kaiming_uniform_(self.center, 0.25)

    def forward(self, label: Tensor, emb: Tensor) -> Tensor:
        """Loss of a batch: labels ``[B]`` or ``[B, 1]``, embeddings ``[B, T, D]`` → scalar."""
        return self.weight * self._unweighted(label, emb)

    @torch.jit.export
    def score(self, emb: Tensor) -> Tensor:
        """Cosine to the centre: embeddings ``[B, T, D]`` → ``[B]``."""
        return _cosines(emb, self.center).squeeze(1)

    def _unweighted(self, label: Tensor, emb: Tensor) -> Tensor:
        loss = oc_softmax_loss(
            self.score(emb),
            class_indices(label, emb.shape[0], 1),
            self.m_real,
            self.m_fake,
            self.alpha,
            self.bonafide_label,
        )
        return mean_of(loss)
