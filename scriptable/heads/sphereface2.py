"""SphereFace2: one binary classifier for each class, as in the paper and as in WeSpeaker."""

import math
from typing import Final, Optional

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_choice,
    check_features,
    check_number,
    check_positive,
    check_rank,
    check_real,
    check_size,
)
from scriptable._core.defaults import (
    KeepsDefaults,
)
from scriptable._core.labels import (
    class_indices,
    class_labels,
)
from scriptable._core.numeric import (
    mean_of,
    softplus,
)
from scriptable.heads._centres import (
    add_margin,
    class_cosines,
    sine,
)


def _initial_bias(own: float, other: float, balance: float, classes: int) -> float:
    """The bias b at rest between logits p + b, q + b: λσ(−p − b) = (1 − λ)(C − 1)σ(q + b)."""
    z = balance / ((1.0 - balance) * max(classes - 1, 1))
    root = math.sqrt((1.0 - z) ** 2 + 4.0 * z * math.exp(own - other))
    # The same root of the quadratic in eᵇ, written so that neither case cancels.
    if z > 1.0:
        return math.log(0.5 * (z - 1.0 + root)) - own
    return math.log(2.0 * z / (1.0 - z + root)) - other


def _adjusted(cosine: Tensor, t: int) -> Tensor:
    """g(z) = 2((z + 1)/2)ᵗ − 1 for z in [−1, 1]."""
    return 2.0 * (0.5 * (cosine + 1.0)).clamp(min=0.0) ** t - 1.0


def _adjusted_beyond(cosine: Tensor, t: int) -> Tensor:
    """G below −1, too, where it goes on falling: an even power would turn and rise."""
    half = 0.5 * (cosine + 1.0)
    return 2.0 * half * half.abs() ** (t - 1) - 1.0


def sphereface2_loss(
    cosine: Tensor,
    labels: Tensor,
    bias: Tensor,
    margin: Tensor,
    scale: float = 40.0,
    balance: float = 0.7,
    t: int = 3,
    margin_type: str = "C",
    variant: str = "paper",
) -> Tensor:
    r"""SphereFace2 loss of each item: one binary classification per class.

    .. math::
        g(z) &= 2 \left(\frac{z + 1}{2}\right)^t - 1 \\
        \text{C:} \quad p &= r(g(\cos\theta_y) - m) + b, \qquad
            q_j = r(g(\cos\theta_j) + m) + b \\
        \text{A:} \quad p &= r\,g(\cos(\theta_y + m)) + b, \qquad
            q_j = r\,g(\cos(\theta_j - m)) + b \\
        \ell &= \lambda \log(1 + e^{-p}) + (1 - \lambda) \sum_{j \ne y} \log(1 + e^{q_j})

    ``paper`` divides ℓ by r, ``wespeaker`` does not. With margin type A, :math:`\cos(\theta + m)`
    goes on beyond θ + m = π as :math:`\cos\theta - (1 - \cos m)`.

    Args:
        cosine: cosines to the class centres, shape ``[B, C]``.
        labels: class of each item, integer, shape ``[B]``.
        bias: b, a scalar tensor or ``[1, 1]``.
        margin: m, a scalar tensor; in radians for type A.
        scale: r.
        balance: λ, the weight of the own class.
        t: exponent of the similarity adjustment g.
        margin_type: ``C`` takes the margin off the cosine, ``A`` adds it to the angle.
        variant: ``paper`` or ``wespeaker``.

    Returns:
        The unreduced loss in nats, shape ``[B]``.

    Raises:
        ValueError: if ``cosine`` is not ``[B, C]``, ``labels`` is not an integer tensor ``[B]``, a
            label is not a class, or on an unknown margin type or variant.

    Reference:
        Wen et al., "SphereFace2: Binary Classification is All You Need for Deep Face Recognition",
        arXiv 2108.01513, the definition of the loss; Han et al., "Exploring Binary Classification
        Loss for Speaker Verification", arXiv 2307.08205, margin type A.

    Example:
        >>> cosine = torch.tensor([[0.6, -0.4, 0.1]])
        >>> b, m = torch.tensor(-2.0), torch.tensor(0.4)
        >>> sphereface2_loss(cosine, torch.tensor([0]), b, m)
        tensor([0.2982])
        >>> sphereface2_loss(cosine, torch.tensor([0]), b, m, variant="wespeaker")
        tensor([11.9280])
        >>> sphereface2_loss(cosine, torch.tensor([0]), b, m, margin_type="A")
        tensor([0.4005])
    """
    check_positive("scale", scale)
    check_number("balance", balance)
    check_size("t", t)
    check_rank("cosine", cosine, "[B, C]", 2)
    labels = class_labels(labels, cosine.shape[0], cosine.shape[1])
    check_choice("margin_type", margin_type, ["C", "A"])
    check_choice("variant", variant, ["paper", "wespeaker"])
    column = labels.unsqueeze(1)
    if margin_type == "A":
        moved = add_margin(cosine.gather(1, column), margin, False, "continuous")
        nearer = cosine * torch.cos(margin) + sine(cosine) * torch.sin(margin)
        others = softplus(scale * _adjusted(nearer, t) + bias)
        own = softplus(-scale * _adjusted_beyond(moved, t) - bias).squeeze(1)
    else:
        adjusted = _adjusted(cosine, t)
        others = softplus(scale * (adjusted + margin) + bias)
        own = softplus(-scale * (adjusted.gather(1, column) - margin) - bias).squeeze(1)
    rest = others.sum(1) - others.gather(1, column).squeeze(1)
    loss = balance * own + (1.0 - balance) * rest
    return loss if variant == "wespeaker" else loss / scale


class SphereFace2(KeepsDefaults):
    r"""SphereFace2 head: one binary classifier per class and a shared bias.

    ``forward`` is the mean of :func:`sphereface2_loss`. The margin is in the buffer ``margin``, is
    saved, and changes by :meth:`update`, in a scripted head too. State dicts of WeSpeaker's
    ``SphereFace2`` load strictly; ``variant`` selects the loss to continue with:

    ============================  =================================  ==============
    ..                            ``paper``                          ``wespeaker``
    ============================  =================================  ==============
    loss                          divided by r                       not divided
    default r, m                  40, 0.4                            32, 0.2
    initial bias                  no gradient at right angles        0
    initial centres               normal                             uniform
    ============================  =================================  ==============

    Args:
        embedding_dim: size D of the embeddings.
        n_classes: number of classes C.
        scale: r; None for the variant's own.
        margin: m, in radians for margin type A; None for the variant's own.
        balance: λ, the weight of the own class, in (0, 1).
        t: exponent of the similarity adjustment, a whole number of 1 or more.
        margin_type: ``C`` takes the margin off the cosine, ``A`` adds it to the angle.
        variant: ``paper`` or ``wespeaker``.

    Shape:
        - input: ``[B, D]``; label: ``[B]``, ``[B, 1]`` or one-hot ``[B, C]``; loss: scalar, nats.
        - ``score``: cosines to all classes, ``[B, C]`` in [−1, 1].

    Raises:
        ValueError: on a wrong shape, dtype (a mixture of classes is refused), label or
            configuration.

    Reference:
        Wen et al., "SphereFace2: Binary Classification is All You Need for Deep Face Recognition",
        arXiv 2108.01513, the definition of the loss; Han et al., "Exploring Binary Classification
        Loss for Speaker Verification", arXiv 2307.08205, margin type A.

    Example:
        >>> head = SphereFace2(embedding_dim=2, n_classes=2)
        >>> state = {"weight": torch.eye(2), "bias": torch.zeros(1, 1)}
        >>> head.load_state_dict(state)
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(0.5544)
        >>> head.score(embeddings).detach()
        tensor([[ 0.6000,  0.8000], [-1.0000,  0.0000]])
        >>> head = SphereFace2(2, 2, variant="wespeaker")
        >>> head.scale, head.margin, head.bias.item()
        (32.0, tensor(0.2000), 0.0)
    """

    embedding_dim: Final[int]
    n_classes: Final[int]
    scale: Final[float]
    balance: Final[float]
    t: Final[int]
    margin_type: Final[str]
    variant: Final[str]
    margin: Tensor

    def __init__(
        self,
        embedding_dim: int,
        n_classes: int,
        scale: Optional[float] = None,
        margin: Optional[float] = None,
        balance: float = 0.7,
        t: int = 3,
        margin_type: str = "C",
        *,
        variant: str = "paper",
    ) -> None:
        super().__init__()
        check_size("embedding_dim", embedding_dim)
        check_size("n_classes", n_classes)
        check_choice("margin_type", margin_type, ["C", "A"])
        check_choice("variant", variant, ["paper", "wespeaker"])
        if scale is None:
            scale = 40.0 if variant == "paper" else 32.0
        if margin is None:
            margin = 0.4 if variant == "paper" else 0.2
        check_positive("scale", scale)
        check_number("margin", margin)
        check_real("balance", balance)
        if not 0.0 < balance < 1.0:
            raise ValueError(f"balance: expected a value in (0, 1), got {balance}")
        check_size("t", t)
        self.embedding_dim = embedding_dim
        self.n_classes = n_classes
        self.scale = float(scale)
        self.balance = float(balance)
        self.t = int(t)
        self.margin_type = margin_type
        self.variant = variant
        self.register_buffer("margin", torch.zeros(()))
        self.update(margin)
        self.weight = nn.Parameter(torch.empty(n_classes, embedding_dim))
        self.bias = nn.Parameter(torch.zeros(1, 1))
        if variant == "paper":
            nn.init.xavier_normal_(self.weight)
            nn.init.constant_(self.bias, self._bias_at_rest(margin))
        else:
            nn.init.xavier_uniform_(self.weight)

    @torch.jit.export
    def update(self, margin: float = 0.4) -> None:
        """Set the margin: 0 or above for type C, an angle in [0, π] for type A."""
        if self.margin_type == "A" and not 0.0 <= margin <= math.pi:
            raise ValueError(f"margin: expected an angle in [0, pi], got {margin}")
        if not 0.0 <= margin < math.inf:
            raise ValueError(f"margin: expected a value of 0 or above, got {margin}")
        self.margin.fill_(margin)

    def forward(self, input: Tensor, label: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels → scalar."""
        target = class_indices(label, input.shape[0], self.n_classes)
        cosine = self.score(input)
        loss = sphereface2_loss(
            cosine,
            target,
            self.bias.to(cosine.dtype),
            self.margin.to(cosine.dtype),
            self.scale,
            self.balance,
            self.t,
            self.margin_type,
            self.variant,
        )
        return mean_of(loss)

    @torch.jit.export
    def score(self, input: Tensor) -> Tensor:
        """Cosines to all classes: embeddings ``[B, D]`` → ``[B, C]``."""
        check_features("input", input, self.embedding_dim)
        return class_cosines(input, self.weight)

    def _bias_at_rest(self, margin: float) -> float:
        """Where the bias would settle if all embeddings stood at right angles to all centres."""
        if self.margin_type == "A":
            own, other = -math.sin(margin), math.sin(margin)
            own, other = (2.0 * (0.5 * (z + 1.0)) ** self.t - 1.0 for z in (own, other))
        else:
            level = 2.0 * 0.5**self.t - 1.0
            own, other = level - margin, level + margin
        return _initial_bias(self.scale * own, self.scale * other, self.balance, self.n_classes)
