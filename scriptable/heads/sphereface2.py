"""Heads without a softmax: SphereFace2 and the mean squared error for P2SGrad."""

import math
from typing import Final

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_features, check_labels, check_positive
from scriptable._core.defaults import KeepsDefaults
from scriptable._core.labels import class_indices
from scriptable._core.numeric import softplus
from scriptable.heads._centres import class_cosines


def _initial_bias(scale: float, margin: float, balance: float, t: int, classes: int) -> float:
    """The bias that is at rest while all angles are right: λσ(−p − b) = (1 − λ)(C − 1)σ(q + b)."""
    p = scale * (2.0 * 0.5**t - 1.0 - margin)
    q = scale * (2.0 * 0.5**t - 1.0 + margin)
    z = balance / ((1.0 - balance) * max(classes - 1, 1))
    root = math.sqrt((1.0 - z) ** 2 + 4.0 * z * math.exp(p - q))
    # The same root of the quadratic in eᵇ, written so that neither case cancels.
    if z > 1.0:
        return math.log(0.5 * (z - 1.0 + root)) - p
    return math.log(2.0 * z / (1.0 - z + root)) - q


def sphereface2_loss(
    cosine: Tensor,
    labels: Tensor,
    bias: Tensor,
    margin: Tensor,
    scale: float = 40.0,
    balance: float = 0.7,
    t: int = 3,
) -> Tensor:
    r"""SphereFace2 loss (additive margin) of each item: one binary classification per class.

    .. math::
        g(z) &= 2 \left(\frac{z + 1}{2}\right)^t - 1 \\
        \ell &= \frac{\lambda}{r} \log(1 + e^{-r(g(\cos\theta_y) - m) - b})
            + \frac{1 - \lambda}{r} \sum_{j \ne y} \log(1 + e^{r(g(\cos\theta_j) + m) + b})

    Args:
        cosine: cosines to the class centres, shape ``[B, C]``.
        labels: class of each item, integer, shape ``[B]``.
        bias: b, a scalar tensor or ``[1, 1]``.
        margin: m, a scalar tensor.
        scale: r.
        balance: λ, the weight of the own class.
        t: exponent of the similarity adjustment g.

    Returns:
        The unreduced loss in nats, shape ``[B]``.

    Raises:
        ValueError: if ``labels`` is not an integer tensor of shape ``[B]``.

    Reference:
        Wen et al., "SphereFace2: Binary Classification is All You Need for Deep Face Recognition",
        arXiv 2108.01513, the definition of the loss.

    Example:
        >>> cosine = torch.tensor([[0.6, -0.4, 0.1]])
        >>> b, m = torch.tensor(-2.0), torch.tensor(0.4)
        >>> sphereface2_loss(cosine, torch.tensor([0]), b, m)
        tensor([0.2982])
    """
    check_labels(labels, cosine.shape[0])
    adjusted = 2.0 * (0.5 * (cosine + 1.0)).clamp(min=0.0) ** t - 1.0
    others = softplus(scale * (adjusted + margin) + bias)
    column = labels.long().unsqueeze(1)
    own = softplus(-scale * (adjusted.gather(1, column) - margin) - bias).squeeze(1)
    rest = others.sum(1) - others.gather(1, column).squeeze(1)
    return (balance * own + (1.0 - balance) * rest) / scale


class SphereFace2(KeepsDefaults):
    r"""SphereFace2 head (additive margin): one binary classifier per class and a shared bias.

    ``forward`` is the mean of :func:`sphereface2_loss`. The margin is in the buffer ``margin``, is
    saved, and changes by :meth:`update`, in a scripted head too. The bias starts where embeddings
    at right angles to all centres would leave it.

    Args:
        nout: size D of the embeddings.
        nclasses: number of classes C.
        scale: r.
        margin: m.
        balance: λ, the weight of the own class, in (0, 1).
        t: exponent of the similarity adjustment, 1 or more.

    Shape:
        - input: ``[B, D]``; label: ``[B]``, ``[B, 1]`` or one-hot ``[B, C]``; loss: scalar, nats.
        - ``score``: cosines to all classes, ``[B, C]`` in [−1, 1].

    Raises:
        ValueError: on a wrong shape, dtype or configuration.

    Reference:
        Wen et al., "SphereFace2: Binary Classification is All You Need for Deep Face Recognition",
        arXiv 2108.01513, the definition of the loss.

    Example:
        >>> head = SphereFace2(nout=2, nclasses=2)
        >>> state = {"weight": torch.eye(2), "bias": torch.zeros(1, 1)}
        >>> head.load_state_dict(state)
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(0.5544)
        >>> head.score(embeddings).detach()
        tensor([[ 0.6000,  0.8000], [-1.0000,  0.0000]])
    """

    nout: Final[int]
    nclasses: Final[int]
    scale: Final[float]
    balance: Final[float]
    t: Final[int]
    margin: Tensor

    def __init__(
        self,
        nout: int,
        nclasses: int,
        scale: float = 40.0,
        margin: float = 0.4,
        balance: float = 0.7,
        t: int = 3,
    ) -> None:
        super().__init__()
        check_positive("nclasses", nclasses)
        check_positive("scale", scale)
        check_positive("t", t)
        if not 0.0 < balance < 1.0:
            raise ValueError(f"balance: expected a value in (0, 1), got {balance}")
        self.nout = nout
        self.nclasses = nclasses
        self.scale = float(scale)
        self.balance = float(balance)
        self.t = t
        self.weight = nn.Parameter(torch.empty(nclasses, nout))
        nn.init.xavier_normal_(self.weight)
        start = _initial_bias(float(scale), margin, balance, t, nclasses)
        self.bias = nn.Parameter(torch.full((1, 1), start))
        self.register_buffer("margin", torch.zeros(()))
        self.update(margin)

    @torch.jit.export
    def update(self, margin: float = 0.4) -> None:
        """Set the margin, 0 or above."""
        if not margin >= 0.0:
            raise ValueError(f"margin: expected a value of 0 or above, got {margin}")
        self.margin.fill_(margin)

    def forward(self, input: Tensor, label: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels → scalar."""
        target = class_indices(label, input.shape[0], self.nclasses)
        cosine = self.score(input)
        bias, margin = self.bias.to(cosine.dtype), self.margin.to(cosine.dtype)
        loss = sphereface2_loss(cosine, target, bias, margin, self.scale, self.balance, self.t)
        return loss.mean()

    @torch.jit.export
    def score(self, input: Tensor) -> Tensor:
        """Cosines to all classes: embeddings ``[B, D]`` → ``[B, C]``."""
        check_features("input", input, self.nout)
        return class_cosines(input, self.weight)
