"""Softmax heads with an angular margin: AM-softmax and A-softmax (SphereFace)."""

import math
from collections.abc import Sequence
from typing import Any, Dict, Final, List, Optional, Union

import torch
from torch import Tensor

from scriptable._core.checks import (
    check_features,
    check_not_negative,
    check_number,
    check_positive,
    check_rank,
    check_size,
)
from scriptable._core.defaults import (
    KeepsDefaults,
)
from scriptable._core.labels import (
    class_labels,
)
from scriptable._core.numeric import (
    at_least_float32,
    cross_entropy,
    inverse_norm,
    mean_of,
    weighted_mean,
)
from scriptable.heads._centres import (
    ClassWeights,
    CosineProjection,
    bonafide_minus_spoof,
    check_classes,
)


def am_softmax_loss(
    cosine: Tensor, labels: Tensor, margin: float = 0.3, scale: float = 30.0
) -> Tensor:
    r"""Additive-margin softmax loss of each item, from cosines.

    .. math:: \ell_i = -\log \frac{e^{s(\cos\theta_{y_i} - m)}}
        {e^{s(\cos\theta_{y_i} - m)} + \sum_{j \ne y_i} e^{s\cos\theta_j}}

    Args:
        cosine: cosines to the class centres, shape ``[B, C]``.
        labels: class of each item, integer, shape ``[B]``.
        margin: m, subtracted from the target's cosine.
        scale: s, of the logits.

    Returns:
        The unreduced loss in nats, shape ``[B]``.

    Raises:
        ValueError: if ``cosine`` is not ``[B, C]``, ``labels`` is not an integer tensor of shape
            ``[B]``, or one is not a class.

    Reference:
        Wang et al., "Additive Margin Softmax for Face Verification", arXiv 1801.05599, the
        definition of the loss.

    Example:
        >>> cosine = torch.tensor([[0.5, 0.4], [0.1, 0.2]])
        >>> am_softmax_loss(cosine, torch.tensor([0, 1]), margin=0.2, scale=10.0)
        tensor([1.3133, 1.3133])
    """
    check_number("margin", margin)
    check_positive("scale", scale)
    check_rank("cosine", cosine, "[B, C]", 2)
    labels = class_labels(labels, cosine.shape[0], cosine.shape[1])
    return _am_softmax(cosine, labels, margin, scale)


def _am_softmax(cosine: Tensor, labels: Tensor, margin: float, scale: float) -> Tensor:
    """:func:`am_softmax_loss` of legal labels."""
    change = torch.full_like(cosine[:, :1], -scale * margin)
    logits = (scale * cosine).scatter_add(1, labels.unsqueeze(1), change)
    return cross_entropy(logits, labels)


def a_softmax_loss(
    cosine: Tensor,
    norm: Tensor,
    labels: Tensor,
    annealing: Tensor,
    margin: int = 4,
    gamma: float = 0.5,
) -> Tensor:
    r"""Annealed A-softmax loss of each item, with a focal weight.

    .. math::
        \psi(\theta) &= (-1)^k \cos(m\theta) - 2k, \quad \theta \in [k\pi/m, (k+1)\pi/m] \\
        f_{y_i} &= \lVert x_i\rVert
            \frac{\lambda\cos\theta_{y_i} + \psi(\theta_{y_i})}{1 + \lambda}, \qquad
        f_j = \lVert x_i\rVert \cos\theta_j \\
        \ell_i &= -(1 - p_i)^\gamma \log p_i, \quad p_i = \mathrm{softmax}(f)_{y_i}

    The focal weight takes no gradient. cos(mθ) is the Chebyshev polynomial of cos θ, so that no
    arc cosine, whose slope is infinite at ±1, stands in the graph.

    Args:
        cosine: cosines to the class centres, shape ``[B, C]``.
        norm: length of each embedding, shape ``[B, 1]``.
        labels: class of each item, integer, shape ``[B]``.
        annealing: λ, a scalar tensor.
        margin: m, the integer factor of the angle, 1 or more.
        gamma: exponent of the focal weight.

    Returns:
        The unreduced loss in nats, shape ``[B]``.

    Raises:
        ValueError: if ``cosine`` is not ``[B, C]``, ``labels`` is not an integer tensor of shape
            ``[B]``, or one is not a class.

    Reference:
        Liu et al., "SphereFace", arXiv 1704.08063, the definition of the loss; the annealing is
        from the authors' large-margin softmax, arXiv 1612.02295; focal weight: arXiv 1708.02002,
        eq. 4.

    Example:
        >>> cosine = torch.tensor([[0.9, -0.4]])
        >>> lam = torch.tensor(5.0)
        >>> a_softmax_loss(cosine, torch.tensor([[2.0]]), torch.tensor([0]), lam)
        tensor([0.0321])
    """
    check_size("margin", margin)
    check_not_negative("gamma", gamma)
    check_rank("cosine", cosine, "[B, C]", 2)
    labels = class_labels(labels, cosine.shape[0], cosine.shape[1])
    column = labels.unsqueeze(1)
    target = cosine.gather(1, column)
    before, chebyshev = torch.ones_like(target), target
    for _ in range(margin - 1):
        before, chebyshev = chebyshev, 2.0 * target * chebyshev - before
    # θ ≥ jπ/m is cos θ ≤ cos(jπ/m); counting up to m − 1 keeps θ = π on the last branch.
    k = torch.zeros_like(target)
    for j in range(1, margin):
        k = k + (target <= math.cos(j * math.pi / margin)).to(target.dtype)
    sign = 1.0 - 2.0 * torch.remainder(k, 2.0)
    psi = sign * chebyshev - 2.0 * k
    logits = (norm * cosine).scatter_add(1, column, norm * (psi - target) / (1.0 + annealing))
    nll = cross_entropy(logits, labels)
    # 1 − p can round to −1e-8, whose root is NaN.
    focal = (1.0 - torch.exp(-nll.detach())).clamp(min=0.0) ** gamma
    return focal * nll


class AMSoftmax(torch.nn.Module):
    r"""AM-softmax head: projection, loss and score in one module.

    ``forward`` is :math:`w \sum_i c_{y_i}\ell_i / \sum_i c_{y_i}` with :math:`\ell` of
    :func:`am_softmax_loss` and the class weights :math:`c`. ``score`` is unscaled and in [−2, 2].
    State dicts of DeepFense, of the VoxCeleb trainer (centres ``W``, ``[D, C]``) and of WeSpeaker's
    ``AddMarginProduct`` (centres ``weight``, ``[C, D]``) load strictly; load before scripting.

    Args:
        embedding_dim: size D of the embeddings.
        n_classes: number of classes C.
        m: margin.
        s: scale.
        weight: factor on the loss, for sums of several losses.
        class_weights: one weight per class; None weighs all alike.
        bonafide_label: the class that means bona fide.

    Shape:
        - embeddings: ``[B, D]``; labels: ``[B]``, integer; loss: scalar, in nats.
        - ``score``: ``[B]``, cosine to the bona fide centre − cosine to the spoof centre, higher =
          more bona fide; with more than two classes all cosines, ``[B, C]``.

    Raises:
        ValueError: on a wrong shape, dtype, label or configuration.

    Reference:
        Wang et al., "Additive Margin Softmax for Face Verification", arXiv 1801.05599, the
        definition of the loss.

    Example:
        >>> head = AMSoftmax(embedding_dim=2, m=0.2, s=10.0)
        >>> head.load_state_dict({"mapper.weight": torch.eye(2)})
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0]))
        tensor(6.3466, grad_fn=...)
        >>> head.score(embeddings).detach()
        tensor([0.2000, 1.0000])
    """

    m: Final[float]
    s: Final[float]
    weight: Final[float]
    embedding_dim: Final[int]
    bonafide_label: Final[int]

    def __init__(
        self,
        embedding_dim: int,
        n_classes: int = 2,
        m: float = 0.3,
        s: float = 30.0,
        weight: float = 1.0,
        class_weights: Optional[Union[Sequence[float], Tensor]] = None,
        bonafide_label: int = 1,
    ) -> None:
        super().__init__()
        check_size("embedding_dim", embedding_dim)
        check_classes(n_classes, bonafide_label)
        check_number("m", m)
        check_positive("s", s)
        check_number("weight", weight)
        self.m = float(m)
        self.s = float(s)
        self.weight = float(weight)
        self.embedding_dim = embedding_dim
        self.bonafide_label = bonafide_label
        self.mapper = CosineProjection(embedding_dim, n_classes)
        self.m_loss = ClassWeights(n_classes, class_weights)

    def _load_from_state_dict(
        self,
        state_dict: Dict[str, Any],
        prefix: str,
        local_metadata: Dict[str, Any],
        strict: bool,
        missing_keys: List[str],
        unexpected_keys: List[str],
        error_msgs: List[str],
    ) -> None:
        if prefix + "mapper.weight" not in state_dict:
            if prefix + "W" in state_dict:
                state_dict[prefix + "mapper.weight"] = state_dict.pop(prefix + "W")
            elif prefix + "weight" in state_dict:
                state_dict[prefix + "mapper.weight"] = state_dict.pop(prefix + "weight").t()
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels ``[B]`` → scalar."""
        check_features("embeddings", embeddings, self.embedding_dim)
        cosine = self.mapper(embeddings)
        labels = class_labels(labels, cosine.shape[0], cosine.shape[1])
        loss = _am_softmax(cosine, labels, self.m, self.s)
        return self.weight * weighted_mean(loss, self.m_loss(labels))

    @torch.jit.export
    def score(self, embeddings: Tensor) -> Tensor:
        """Score of each item: embeddings ``[B, D]`` → ``[B]``, or ``[B, C]`` for C > 2."""
        check_features("embeddings", embeddings, self.embedding_dim)
        return bonafide_minus_spoof(self.mapper(embeddings), self.bonafide_label)


class ASoftmax(KeepsDefaults):
    r"""A-softmax (SphereFace) head with annealing and a focal weight.

    ``forward`` is the mean of :func:`a_softmax_loss` with
    :math:`\lambda = \max(\lambda_{min}, \lambda_{max} / (1 + 0.1\,\mathrm{step}))`. The step lives
    in the buffer ``step``, is saved, and advances by one in every training forward, before λ is
    taken; in evaluation it stands still.

    Args:
        embedding_dim: size D of the embeddings.
        n_classes: number of classes C.
        m: integer factor of the angle.
        gamma: exponent of the focal weight.
        lambda_min: λ at the end of the annealing.
        lambda_max: λ before the first step.
        weight: factor on the loss, for sums of several losses.
        bonafide_label: the class that means bona fide.

    Shape:
        - embeddings: ``[B, D]``; labels: ``[B]``, integer; loss: scalar, in nats.
        - ``score``: ``[B]``, cosine to the bona fide centre − cosine to the spoof centre, higher =
          more bona fide, in [−2, 2]; with more than two classes all cosines, ``[B, C]``.

    Raises:
        ValueError: on a wrong shape, dtype, label or configuration.

    Reference:
        Liu et al., "SphereFace: Deep Hypersphere Embedding for Face Recognition", arXiv 1704.08063,
        the definition of the loss.

    Example:
        >>> head = ASoftmax(embedding_dim=2)
        >>> head.load_state_dict({"mapper.weight": torch.eye(2)})
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(0.6450)
        >>> head.step
        tensor(1)
        >>> head.score(embeddings).detach()
        tensor([0.2000, 1.0000])
    """

    m: Final[int]
    gamma: Final[float]
    lambda_min: Final[float]
    lambda_max: Final[float]
    step: Tensor
    weight: Final[float]
    embedding_dim: Final[int]
    bonafide_label: Final[int]

    def __init__(
        self,
        embedding_dim: int,
        n_classes: int = 2,
        m: int = 4,
        gamma: float = 0.5,
        lambda_min: float = 5.0,
        lambda_max: float = 1500.0,
        weight: float = 1.0,
        bonafide_label: int = 1,
    ) -> None:
        super().__init__()
        check_size("embedding_dim", embedding_dim)
        check_classes(n_classes, bonafide_label)
        check_size("m", m)
        check_not_negative("gamma", gamma)
        check_not_negative("lambda_min", lambda_min)
        check_not_negative("lambda_max", lambda_max)
        check_number("weight", weight)
        self.m = int(m)
        self.gamma = float(gamma)
        self.lambda_min = float(lambda_min)
        self.lambda_max = float(lambda_max)
        self.weight = float(weight)
        self.embedding_dim = embedding_dim
        self.bonafide_label = bonafide_label
        self.mapper = CosineProjection(embedding_dim, n_classes)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels ``[B]`` → scalar."""
        check_features("embeddings", embeddings, self.embedding_dim)
        if self.training:
            self.step.add_(1)
        cosine = self.mapper(embeddings)
        x = at_least_float32(embeddings)
        norm = x.square().sum(1, keepdim=True) * inverse_norm(x, 1)
        annealing = self.lambda_max / (1.0 + 0.1 * self.step.to(cosine.dtype))
        annealing = annealing.clamp(min=self.lambda_min)
        loss = a_softmax_loss(cosine, norm, labels, annealing, self.m, self.gamma)
        return self.weight * mean_of(loss)

    @torch.jit.export
    def score(self, embeddings: Tensor) -> Tensor:
        """Score of each item: embeddings ``[B, D]`` → ``[B]``, or ``[B, C]`` for C > 2."""
        check_features("embeddings", embeddings, self.embedding_dim)
        return bonafide_minus_spoof(self.mapper(embeddings), self.bonafide_label)
