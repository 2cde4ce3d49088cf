"""Sub-center ArcFace with the inter-top-k penalty."""

import math
from typing import Final, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import check_choice, check_features, check_not_negative, check_positive
from scriptable._core.defaults import KeepsDefaults
from scriptable._core.labels import class_indices
from scriptable._core.numeric import at_least_float32, unit
from scriptable.heads._centres import accuracy_of, add_margin, class_directions, sine


def subcenter_logits(input: Tensor, weight: Tensor, sub_centers: int, scale: float) -> Tensor:
    """s·cosine to the nearest sub-center of each class: ``[B, D]``, ``[C·K, D]`` → ``[B, C]``."""
    centres = class_directions(weight)
    directions = scale * unit(at_least_float32(input), 1)
    if sub_centers == 1:
        return at_least_float32(F.linear(directions, centres))
    # Sub-centers outermost: their maximum then runs along whole rows of classes.
    centres = centres.view(-1, sub_centers, weight.shape[1]).permute(1, 2, 0)
    directions = directions.unsqueeze(0).expand(sub_centers, -1, -1)
    return at_least_float32(torch.bmm(directions, centres)).amax(0)


def hardest(logits: Tensor, target: Tensor, k: int) -> Tuple[Tensor, Tensor]:
    """The k nearest classes besides the target: candidates ``[B, k + 1]``, which of them count."""
    candidates = logits.detach().topk(k + 1, 1)[1]
    other = candidates != target.unsqueeze(1)
    # The last candidate counts only where the target is one of those before it.
    target_is_before = torch.logical_not(other[:, :k]).any(1, keepdim=True)
    return candidates, torch.cat([other[:, :k], target_is_before], 1)


def add_margins(
    logits: Tensor,
    target: Tensor,
    margin: Tensor,
    penalty: Tensor,
    k: int,
    scale: float,
    easy_margin: bool,
    fallback: str,
) -> Tensor:
    """s·cos θ → s·cos(θ + m) at the target, s·cos(θ − p) at the k hardest others."""
    column = target.unsqueeze(1)
    if k == 0:
        own = (logits.gather(1, column) / scale).clamp(-1.0, 1.0)
        change = add_margin(own, margin, easy_margin, fallback) - own
        return logits.scatter_add(1, column, scale * change)
    candidates, counts = hardest(logits, target, k)
    columns = torch.cat([column, candidates], 1)
    cosine = (logits.gather(1, columns) / scale).clamp(-1.0, 1.0)
    own, near = cosine[:, :1], cosine[:, 1:]
    nearer = near * torch.cos(penalty) + sine(near) * torch.sin(penalty)
    change_near = torch.where(counts, nearer - near, torch.zeros_like(near))
    change_own = add_margin(own, margin, easy_margin, fallback) - own
    return logits.scatter_add(1, columns, scale * torch.cat([change_own, change_near], 1))


def subcenter_intertopk_loss(
    input: Tensor,
    weight: Tensor,
    label: Tensor,
    margin: Tensor,
    mp: Tensor,
    sub_centers: int = 3,
    k_top: int = 5,
    scale: float = 32.0,
    easy_margin: bool = False,
    fallback: str = "continuous",
) -> Tensor:
    r"""Sub-center ArcFace loss with inter-top-k penalty, of each item.

    .. math::
        \cos\theta_j &= \max_k \frac{x \cdot w_{jk}}{|x| |w_{jk}|}, \qquad p = mp \cdot m / 0.2 \\
        z_j &= s \begin{cases} \varphi(\theta_j) & j = y \\ \cos(\theta_j - p)
            & j \text{ is one of the } k_{top} \text{ nearest others} \\
            \cos\theta_j & \text{else} \end{cases} \\
        \ell &= \log \textstyle\sum_j e^{z_j} - z_y

    φ(θ) is cos(θ + m), continued beyond θ + m = π as in :func:`aam_softmax_loss`.

    Args:
        input: embeddings, shape ``[B, D]``; brought to length one here.
        weight: sub-centers, shape ``[C·K, D]``, those of one class side by side.
        label: classes, ``[B]``, ``[B, 1]`` or one-hot ``[B, C]``.
        margin: m in radians, a scalar tensor.
        mp: margin of the nearest others in radians at m = 0.2, a scalar tensor.
        sub_centers: K.
        k_top: number of nearest others with a margin; at most C − 1 are taken.
        scale: s.
        easy_margin: leave cos θ as it is where it is not above 0.
        fallback: ``continuous`` or ``sine``.

    Returns:
        The unreduced loss in nats, shape ``[B]``.

    Raises:
        ValueError: on a wrong shape, dtype or fallback.

    Reference:
        Zhao et al., "Multi-query multi-head attention pooling and Inter-TopK penalty for speaker
        verification", arXiv 2110.05042, the definition of the loss; Deng et al., "Sub-center
        ArcFace", ECCV 2020.

    Example:
        >>> embeddings = torch.tensor([[3.0, 4.0]])
        >>> m, mp = torch.tensor(0.2), torch.tensor(0.06)
        >>> subcenter_intertopk_loss(embeddings, torch.eye(2), torch.tensor([1]), m, mp, 1)
        tensor([0.4465])
    """
    check_choice("fallback", fallback, ["sine", "continuous"])
    check_features("input", input, weight.shape[1])
    logits = subcenter_logits(input, weight, sub_centers, scale)
    target = class_indices(label, input.shape[0], logits.shape[1])
    return _loss_of_logits(logits, target, margin, mp, k_top, scale, easy_margin, fallback)


def _loss_of_logits(
    logits: Tensor,
    target: Tensor,
    margin: Tensor,
    mp: Tensor,
    k_top: int,
    scale: float,
    easy_margin: bool,
    fallback: str,
) -> Tensor:
    k = min(k_top, logits.shape[1] - 1)
    margin = at_least_float32(margin)
    penalty = at_least_float32(mp) * margin / 0.2
    logits = add_margins(logits, target, margin, penalty, k, scale, easy_margin, fallback)
    return F.cross_entropy(logits, target, reduction="none")


class ArcMarginProduct_intertopk_subcenter(KeepsDefaults):
    r"""Sub-center ArcFace head with inter-top-k penalty and large-margin fine-tuning.

    ``forward`` is the mean of :func:`subcenter_intertopk_loss`. Margin and penalty are in the
    buffers ``margin`` and ``mp``, are saved, and change by :meth:`update` and
    :meth:`large_margin`, in a scripted head too. They have the head's dtype.

    Args:
        nout: size D of the embeddings.
        nclasses: number of classes C.
        scale: s.
        margin: m in radians.
        easy_margin: leave cos θ as it is where it is not above 0.
        K: number of sub-centers of each class.
        mp: margin of the nearest other classes in radians, at m = 0.2; it grows with m.
        k_top: number of nearest other classes with a margin; at most C − 1 are taken.
        do_lm: large-margin fine-tuning, which has no penalty.
        fallback: continuation beyond θ + m = π, ``continuous`` or ``sine``.

    Shape:
        - input: ``[B, D]``; label: ``[B]``, ``[B, 1]`` or one-hot ``[B, C]``; loss: scalar, nats.
        - ``loss_and_predictions``: loss, accuracy in [0, 1], class of each item ``[B]``.
        - ``predict``: class of each item, ``[B]``, int64.
        - ``score``: cosine to the nearest sub-center of each class, ``[B, C]`` in [−1, 1].

    Raises:
        ValueError: on a wrong shape, dtype or configuration.

    Reference:
        Zhao et al., "Multi-query multi-head attention pooling and Inter-TopK penalty for speaker
        verification", arXiv 2110.05042, the definition of the loss; Deng et al., "Sub-center
        ArcFace", ECCV 2020; ESPnet, ``espnet2.spk.loss.aamsoftmax_subcenter_intertopk``.

    Example:
        >>> head = ArcMarginProduct_intertopk_subcenter(nout=2, nclasses=2, K=1, k_top=1)
        >>> head.load_state_dict({"weight": torch.eye(2)})
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0]])
        >>> head(embeddings, torch.tensor([[1]])).detach()
        tensor(0.4465)
        >>> head.large_margin(0.5)
        >>> head(embeddings, torch.tensor([1])).detach()
        tensor(5.9415)
        >>> head.score(embeddings).detach()
        tensor([[0.6000, 0.8000]])
    """

    nout: Final[int]
    nclasses: Final[int]
    scale: Final[float]
    easy_margin: Final[bool]
    K: Final[int]
    k_top: Final[int]
    fallback: Final[str]
    margin: Tensor
    mp: Tensor

    def __init__(
        self,
        nout: int,
        nclasses: int,
        scale: float = 32.0,
        margin: float = 0.2,
        easy_margin: bool = False,
        K: int = 3,
        mp: float = 0.06,
        k_top: int = 5,
        do_lm: bool = False,
        fallback: str = "continuous",
    ) -> None:
        super().__init__()
        check_positive("nclasses", nclasses)
        check_positive("scale", scale)
        check_positive("K", K)
        check_not_negative("k_top", k_top)
        check_not_negative("mp", mp)
        check_choice("fallback", fallback, ["sine", "continuous"])
        self.nout = nout
        self.nclasses = nclasses
        self.scale = float(scale)
        self.easy_margin = easy_margin
        self.K = K
        self.k_top = 0 if do_lm else k_top
        self.fallback = fallback
        self.weight = nn.Parameter(torch.empty(K * nclasses, nout))
        nn.init.xavier_uniform_(self.weight)
        self.register_buffer("margin", torch.zeros(()))
        self.register_buffer("mp", torch.full((), 0.0 if do_lm else float(mp)))
        self.update(margin)

    @torch.jit.export
    def update(self, margin: float = 0.2) -> None:
        """Set the margin, in radians, in [0, π]; the penalty follows as mp·margin/0.2."""
        if not 0.0 <= margin <= math.pi:
            raise ValueError(f"margin: expected an angle in [0, pi], got {margin}")
        self.margin.fill_(margin)

    @torch.jit.export
    def large_margin(self, margin: float = 0.5) -> None:
        """Enter large-margin fine-tuning: this margin, and no penalty from now on."""
        self.update(margin)
        self.mp.zero_()

    def forward(self, input: Tensor, label: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels → scalar."""
        return subcenter_intertopk_loss(
            input,
            self.weight,
            label,
            self.margin,
            self.mp,
            self.K,
            self.k_top,
            self.scale,
            self.easy_margin,
            self.fallback,
        ).mean()

    @torch.jit.export
    def loss_and_predictions(self, input: Tensor, label: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Loss, accuracy and the class of each item: scalar, scalar, ``[B]``."""
        check_features("input", input, self.nout)
        target = class_indices(label, input.shape[0], self.nclasses)
        logits = subcenter_logits(input, self.weight, self.K, self.scale)
        loss = _loss_of_logits(
            logits,
            target,
            self.margin,
            self.mp,
            self.k_top,
            self.scale,
            self.easy_margin,
            self.fallback,
        )
        classes = torch.argmax(logits, 1)
        return loss.mean(), accuracy_of(classes, target), classes

    @torch.jit.export
    def predict(self, input: Tensor) -> Tensor:
        """The class of each item: embeddings ``[B, D]`` → ``[B]``."""
        return torch.argmax(self.score(input), 1)

    @torch.jit.export
    def score(self, input: Tensor) -> Tensor:
        """Cosine to the nearest sub-center of each class: ``[B, D]`` → ``[B, C]``."""
        check_features("input", input, self.nout)
        return subcenter_logits(input, self.weight, self.K, 1.0).clamp(-1.0, 1.0)
