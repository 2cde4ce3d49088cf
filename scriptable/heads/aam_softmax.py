"""Speaker classification heads: normalised softmax and the additive angular margin (AAM)."""

import math
from typing import Final, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import (
    check_choice,
    check_features,
    check_flag,
    check_number,
    check_positive,
    check_rank,
    check_size,
)
from scriptable._core.defaults import (
    KeepsDefaults,
)
from scriptable._core.labels import (
    accuracy_of,
    are_soft,
    class_indices,
)
from scriptable._core.numeric import (
    at_least_float32,
    cross_entropy,
    mean_of,
    unit,
)
from scriptable.heads._centres import (
    add_margin,
    class_cosines,
    class_directions,
    log_sum_of_others,
    mixture,
)


def _move_target(
    logits: Tensor,
    directions: Tensor,
    centres: Tensor,
    target: Tensor,
    margin: Tensor,
    scale: float,
    easy_margin: bool,
    fallback: str,
) -> Tensor:
    """Replace, in place, the target's s·cos θ in ``logits`` by s·φ(θ)."""
    # The target's cosine anew, from its own centre: reading it out of the logits would keep
    # all of them for the backward pass.
    cosine = (directions * centres.index_select(0, target)).sum(1).clamp(-1.0, 1.0)
    moved = add_margin(cosine, at_least_float32(margin), easy_margin, fallback)
    change = (scale * (moved - cosine)).to(logits.dtype)
    return logits.scatter_add_(1, target.unsqueeze(1), change.unsqueeze(1))


def _loss_and_classes(
    input: Tensor,
    weight: Tensor,
    label: Tensor,
    margin: Tensor,
    scale: float,
    easy_margin: bool,
    fallback: str,
    predict: bool,
) -> Tuple[Tensor, Tensor, Tensor]:
    """Loss, nearest class and class of the label of each item, three times ``[B]``.

    Unless ``predict``, the label's class stands for the nearest: a pass over all logits less.
    """
    if are_soft(label, input.shape[0], weight.shape[0]):
        cosine = class_cosines(input, weight)
        moved = add_margin(cosine, at_least_float32(margin), easy_margin, fallback)
        loss = mixture(label, scale * moved, log_sum_of_others(scale * cosine))
        return loss, torch.argmax(cosine.detach(), 1), torch.argmax(label, 1)
    target = class_indices(label, input.shape[0], weight.shape[0])
    directions = unit(at_least_float32(input), 1)
    centres = class_directions(weight)
    logits = at_least_float32(F.linear(scale * directions, centres))
    classes = torch.argmax(logits.detach(), 1) if predict else target
    logits = _move_target(logits, directions, centres, target, margin, scale, easy_margin, fallback)
    return cross_entropy(logits, target), classes, target


def aam_softmax_loss(
    input: Tensor,
    centres: Tensor,
    label: Tensor,
    margin: Tensor,
    scale: float = 15.0,
    easy_margin: bool = False,
    fallback: str = "sine",
) -> Tensor:
    r"""Additive-angular-margin softmax loss of each item.

    .. math:: \ell_i = -\log \frac{e^{s\varphi(\theta_{y_i})}}
        {e^{s\varphi(\theta_{y_i})} + \sum_{j \ne y_i} e^{s\cos\theta_j}}, \qquad
        \varphi(\theta) = \begin{cases} \cos(\theta + m) & \theta + m \le \pi \\
        \text{fallback} & \text{beyond} \end{cases}

    Args:
        input: embeddings, shape ``[B, D]``; brought to length one here.
        centres: class centres, shape ``[C, D]``; brought to length one here.
        label: classes, ``[B]``, ``[B, 1]`` or one-hot ``[B, C]``; floating-point ``[B, C]`` are
            soft labels q, as of mixup, and :math:`\ell_i = \sum_c q_{ic}\,\ell_i(y_i = c)`.
        margin: m in radians, a scalar tensor.
        scale: s.
        easy_margin: leave cos θ as it is where it is not above 0.
        fallback: beyond θ + m = π, ``sine`` is cos θ − m·sin(π − m) (VoxCeleb trainer, ESPnet),
            ``continuous`` is cos θ − (1 + cos(π − m)) (WeSpeaker).

    Returns:
        The unreduced loss in nats, shape ``[B]``.

    Raises:
        ValueError: on a wrong shape, dtype, label or fallback.

    Reference:
        Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", arXiv
        1801.07698, the definition of the loss.

    Example:
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> label, margin = torch.tensor([1, 0]), torch.tensor(0.3)
        >>> aam_softmax_loss(embeddings, torch.eye(2), label, margin, scale=10.0)
        tensor([ 0.7605, 10.8866])
    """
    check_positive("scale", scale)
    check_flag("easy_margin", easy_margin)
    check_choice("fallback", fallback, ["sine", "continuous"])
    check_rank("centres", centres, "[C, D]", 2)
    check_features("input", input, centres.shape[1])
    return _loss_and_classes(input, centres, label, margin, scale, easy_margin, fallback, False)[0]


class AAMSoftmax(KeepsDefaults):
    r"""Additive-angular-margin softmax head: class centres, loss and cosines in one module.

    ``forward`` is the mean of :func:`aam_softmax_loss`. The margin is in the buffer ``margin``, is
    saved, and changes by :meth:`update`, in a scripted head too. It has the head's dtype: after
    ``.double()``, :meth:`update` gives it all the digits.

    Args:
        nout: size D of the embeddings.
        nclasses: number of classes C.
        margin: m in radians.
        scale: s.
        easy_margin: leave cos θ as it is where it is not above 0.
        fallback: continuation beyond θ + m = π, ``sine`` or ``continuous``.

    Shape:
        - input: ``[B, D]``; label: ``[B]``, ``[B, 1]``, one-hot ``[B, C]``, or soft, floating-point
          ``[B, C]``; loss: scalar, nats.
        - ``loss_and_predictions``: loss, accuracy in [0, 1], class of each item ``[B]``.
        - ``predict``: class of each item, ``[B]``, int64.
        - ``score``: cosines to all classes, ``[B, C]`` in [−1, 1].

    Raises:
        ValueError: on a wrong shape, dtype, label or configuration.

    Reference:
        Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", arXiv
        1801.07698, the definition of the loss; ESPnet, ``espnet2.spk.loss.aamsoftmax``.

    Example:
        >>> head = AAMSoftmax(nout=2, nclasses=2, scale=10)
        >>> head.load_state_dict({"weight": torch.eye(2)})
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(5.8235)
        >>> head.predict(embeddings)
        tensor([1, 1])
        >>> head.update(0.0)
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(5.0635)
    """

    nout: Final[int]
    nclasses: Final[int]
    scale: Final[float]
    easy_margin: Final[bool]
    fallback: Final[str]
    margin: Tensor

    def __init__(
        self,
        nout: int,
        nclasses: int,
        margin: float = 0.3,
        scale: float = 15,
        easy_margin: bool = False,
        fallback: str = "sine",
    ) -> None:
        super().__init__()
        check_size("nout", nout)
        check_size("nclasses", nclasses)
        check_number("margin", margin)
        check_positive("scale", scale)
        check_flag("easy_margin", easy_margin)
        check_choice("fallback", fallback, ["sine", "continuous"])
        self.nout = nout
        self.nclasses = nclasses
        self.scale = float(scale)
        self.easy_margin = easy_margin
        self.fallback = fallback
        self.weight = nn.Parameter(torch.empty(nclasses, nout))
        nn.init.xavier_normal_(self.weight)
        self.register_buffer("margin", torch.zeros(()))
        self.update(margin)

    @torch.jit.export
    def update(self, margin: float = 0.3) -> None:
        """Set the margin, in radians, in [0, π]."""
        if not 0.0 <= margin <= math.pi:
            raise ValueError(f"margin: expected an angle in [0, pi], got {margin}")
        self.margin.fill_(margin)

    def forward(self, input: Tensor, label: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels → scalar."""
        loss = aam_softmax_loss(
            input,
            self.weight,
            label,
            self.margin,
            self.scale,
            self.easy_margin,
            self.fallback,
        )
        return mean_of(loss)

    @torch.jit.export
    def loss_and_predictions(self, input: Tensor, label: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Loss, accuracy and the class of each item: scalar, scalar, ``[B]``."""
        check_features("input", input, self.nout)
        loss, classes, target = _loss_and_classes(
            input,
            self.weight,
            label,
            self.margin,
            self.scale,
            self.easy_margin,
            self.fallback,
            True,
        )
        return mean_of(loss), accuracy_of(classes, target), classes

    @torch.jit.export
    def predict(self, input: Tensor) -> Tensor:
        """The class of each item: embeddings ``[B, D]`` → ``[B]``."""
        return torch.argmax(self.score(input), 1)

    @torch.jit.export
    def score(self, input: Tensor) -> Tensor:
        """Cosines to all classes: embeddings ``[B, D]`` → ``[B, C]``."""
        check_features("input", input, self.nout)
        return class_cosines(input, self.weight)


class Softmax(nn.Module):
    r"""Normalised softmax head: cross-entropy of the plain cosines, without scale or margin.

    .. math:: \ell = -\frac1B \sum_i \log \frac{e^{\cos\theta_{y_i}}}{\sum_j e^{\cos\theta_j}}

    Args:
        nout: size D of the embeddings.
        nclasses: number of classes C.

    Shape:
        - input: ``[B, D]``; label: ``[B]``, ``[B, 1]``, one-hot ``[B, C]``, or soft, floating-point
          ``[B, C]``; loss: scalar, nats.
        - ``loss_and_predictions``: loss, accuracy in [0, 1], class of each item ``[B]``.
        - ``predict``: class of each item, ``[B]``, int64.
        - ``score``: cosines to all classes, ``[B, C]`` in [−1, 1].

    Raises:
        ValueError: on a wrong shape, dtype, label or configuration.

    Reference:
        Wang et al., "NormFace: L2 Hypersphere Embedding for Face Verification", arXiv 1704.06369,
        with s = 1; ESPnet, ``espnet2.spk.loss.softmax``.

    Example:
        >>> head = Softmax(nout=2, nclasses=2)
        >>> head.load_state_dict({"weight": torch.eye(2)})
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(0.9557)
        >>> head.score(embeddings).detach()
        tensor([[ 0.6000,  0.8000],
                [-1.0000,  0.0000]])
    """

    nout: Final[int]
    nclasses: Final[int]

    def __init__(self, nout: int, nclasses: int) -> None:
        super().__init__()
        check_size("nout", nout)
        check_size("nclasses", nclasses)
        self.nout = nout
        self.nclasses = nclasses
        self.weight = nn.Parameter(torch.empty(nclasses, nout))
        nn.init.xavier_normal_(self.weight)

    def forward(self, input: Tensor, label: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels → scalar."""
        return self._loss_and_target(self._logits(input), label)[0]

    @torch.jit.export
    def loss_and_predictions(self, input: Tensor, label: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Loss, accuracy and the class of each item: scalar, scalar, ``[B]``."""
        logits = self._logits(input)
        loss, target = self._loss_and_target(logits, label)
        classes = torch.argmax(logits, 1)
        return loss, accuracy_of(classes, target), classes

    @torch.jit.export
    def predict(self, input: Tensor) -> Tensor:
        """The class of each item: embeddings ``[B, D]`` → ``[B]``."""
        return torch.argmax(self.score(input), 1)

    @torch.jit.export
    def score(self, input: Tensor) -> Tensor:
        """Cosines to all classes: embeddings ``[B, D]`` → ``[B, C]``."""
        return self._logits(input).clamp(-1.0, 1.0)

    def _logits(self, input: Tensor) -> Tensor:
        """Cosines that rounding may have taken past ±1, where nothing has to be in [−1, 1]."""
        check_features("input", input, self.nout)
        directions = unit(at_least_float32(input), 1)
        return at_least_float32(F.linear(directions, class_directions(self.weight)))

    def _loss_and_target(self, logits: Tensor, label: Tensor) -> Tuple[Tensor, Tensor]:
        """Mean loss, and the class of each item's label: scalar, ``[B]``."""
        if are_soft(label, logits.shape[0], self.nclasses):
            surprise = logits.logsumexp(1, keepdim=True) - logits
            loss = (label.to(logits.dtype) * surprise).sum(1)
            return mean_of(loss), torch.argmax(label, 1)
        target = class_indices(label, logits.shape[0], self.nclasses)
        return mean_of(cross_entropy(logits, target)), target
