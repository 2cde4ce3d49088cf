"""Margins on given cosines, and the softmax that follows them."""

import math
from collections.abc import Callable
from typing import Final, Optional

import torch
from torch import Tensor, nn

from scriptable._core.callables import as_module, takes_two
from scriptable._core.checks import (
    check_broadcast,
    check_flag,
    check_number,
    check_positive,
    check_shape,
)
from scriptable._core.labels import (
    legal_index,
)
from scriptable._core.numeric import (
    at_least_float32,
    cross_entropy,
    mean_of,
)
from scriptable._core.reduction import frame_mask


class AngularMargin(nn.Module):
    r"""Angular margin (AM): subtract a margin from the target's cosine, then scale all cosines.

    .. math:: z_{nc} = s\,(\cos\theta_{nc} - m\, y_{nc})

    Args:
        margin: m.
        scale: s.

    Shape:
        - outputs: cosines, ``[N, C]``; targets: one-hot, broadcasts to ``[N, C]``; logits:
          ``[N, C]``.

    Raises:
        ValueError: if the targets do not broadcast to the outputs.

    Reference:
        Xiang et al., "Margin Matters", arXiv 1906.07317, the AM-softmax.

    Example:
        >>> pred = AngularMargin()
        >>> outputs = torch.tensor([ [1., -1.], [-1., 1.], [0.9, 0.1], [0.1, 0.9] ])
        >>> targets = torch.tensor([ [1., 0.], [0., 1.], [ 1., 0.], [0.,  1.] ])
        >>> predictions = pred(outputs, targets)
        >>> predictions[:,0] > predictions[:,1]
        tensor([ True, False,  True, False])
    """

    margin: Final[float]
    scale: Final[float]

    def __init__(self, margin: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        check_number("margin", margin)
        check_positive("scale", scale)
        self.margin = float(margin)
        self.scale = float(scale)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Logits of cosines ``[N, C]`` and one-hot targets ``[N, C]`` → ``[N, C]``."""
        check_broadcast("targets", targets, list(outputs.shape))
        cosine = at_least_float32(outputs)
        return self.scale * (cosine - self.margin * targets.to(cosine.dtype))


class AdditiveAngularMargin(AngularMargin):
    r"""Additive angular margin (AAM): add a margin to the target's angle, then scale all cosines.

    .. math:: z_{nc} = s\,(y_{nc}\,\varphi(\theta_{nc}) + (1 - y_{nc}) \cos\theta_{nc}), \qquad
        \varphi(\theta) = \begin{cases} \cos(\theta + m) & \cos\theta > \cos(\pi - m) \\
        \cos\theta - m \sin(\pi - m) & \text{else} \end{cases}

    With ``easy_margin``, :math:`\varphi` is :math:`\cos(\theta + m)` where cos θ > 0, and cos θ
    else. Cosines are held 1e-7 off ±1, where the slope of the sine is infinite.

    Args:
        margin: m in radians.
        scale: s.
        easy_margin: whether angles above a right one go without a margin.

    Shape:
        - outputs: cosines, ``[N, C]``; targets: one-hot, broadcasts to ``[N, C]``; logits:
          ``[N, C]``.

    Raises:
        ValueError: if the targets do not broadcast to the outputs.

    Reference:
        Xiang et al., "Margin Matters", arXiv 1906.07317, the AAM-softmax; Deng et al., "ArcFace",
        arXiv 1801.07698, the definition of the loss.

    Example:
        >>> outputs = torch.tensor([ [1., -1.], [-1., 1.], [0.9, 0.1], [0.1, 0.9] ])
        >>> targets = torch.tensor([ [1., 0.], [0., 1.], [ 1., 0.], [0.,  1.] ])
        >>> pred = AdditiveAngularMargin()
        >>> predictions = pred(outputs, targets)
        >>> predictions[:,0] > predictions[:,1]
        tensor([ True, False,  True, False])
    """

    easy_margin: Final[bool]
    cos_m: Final[float]
    sin_m: Final[float]
    th: Final[float]
    mm: Final[float]

    def __init__(self, margin: float = 0.0, scale: float = 1.0, easy_margin: bool = False) -> None:
        super().__init__(margin, scale)
        check_flag("easy_margin", easy_margin)
        self.easy_margin = bool(easy_margin)
        self.cos_m = math.cos(self.margin)
        self.sin_m = math.sin(self.margin)
        self.th = math.cos(math.pi - self.margin)
        self.mm = math.sin(math.pi - self.margin) * self.margin

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Logits of cosines ``[N, C]`` and one-hot targets ``[N, C]`` → ``[N, C]``."""
        check_broadcast("targets", targets, list(outputs.shape))
        cosine = at_least_float32(outputs).clamp(-1.0 + 1e-7, 1.0 - 1e-7)
        sine = torch.sqrt(1.0 - cosine * cosine)
        phi = cosine * self.cos_m - sine * self.sin_m
        if self.easy_margin:
            phi = torch.where(cosine > 0, phi, cosine)
        else:
            phi = torch.where(cosine > self.th, phi, cosine - self.mm)
        targets = targets.to(cosine.dtype)
        return self.scale * (targets * phi + (1.0 - targets) * cosine)


class LogSoftmaxWrapper(nn.Module):
    r"""Mean cross-entropy of the logits that ``loss_fn`` computes from the outputs.

    .. math:: \ell = \frac1N \sum_n \left( \log\sum_c e^{z_{nc}} - z_{n y_n} \right), \qquad
        z = f(x, \mathrm{onehot}(y)) \ \text{or}\ f(x)

    Args:
        loss_fn: takes outputs ``[N, C]`` and one-hot targets ``[N, C]``, as
            :class:`AngularMargin`, or the outputs alone, as ``nn.Identity``; which of the two is
            read from its signature here. A plain callable works in eager mode only, and
            scripting it is an error that says so.

    Shape:
        - outputs: ``[B, 1, C]``, ``[B, T, C]`` or ``[B, C]``; targets: ``[B, 1]``, ``[B, T]`` or
          ``[B]``; length: relative lengths ``[B]`` or None; loss: scalar, in nats.

        Outputs beyond the length are left out; a single one stands for the whole of its item, and
        is left out where the length is 0 only.

    Raises:
        ValueError: on mismatched shapes, a target that is not a class, or a ``loss_fn`` that takes
            neither one nor two tensors.

    Reference:
        ``speechbrain.nnet.losses.LogSoftmaxWrapper``.

    Example:
        >>> outputs = torch.tensor([ [1., -1.], [-1., 1.], [0.9, 0.1], [0.1, 0.9] ])
        >>> outputs = outputs.unsqueeze(1)
        >>> targets = torch.tensor([ [0], [1], [0], [1] ])
        >>> log_prob = LogSoftmaxWrapper(nn.Identity())
        >>> loss = log_prob(outputs, targets)
        >>> 0 <= loss < 1
        tensor(True)
        >>> log_prob = LogSoftmaxWrapper(AngularMargin(margin=0.2, scale=32))
        >>> loss = log_prob(outputs, targets)
        >>> 0 <= loss < 1
        tensor(True)
        >>> outputs = torch.tensor([ [1., -1.], [-1., 1.], [0.9, 0.1], [0.1, 0.9] ])
        >>> log_prob = LogSoftmaxWrapper(AdditiveAngularMargin(margin=0.3, scale=32))
        >>> loss = log_prob(outputs, targets)
        >>> 0 <= loss < 1
        tensor(True)
        >>> LogSoftmaxWrapper(AngularMargin(margin=0.5, scale=2.0))(outputs, targets)
        tensor(0.2430)
    """

    takes_targets: Final[bool]

    def __init__(self, loss_fn: Callable[..., Tensor]) -> None:
        super().__init__()
        self.takes_targets = takes_two("loss_fn", loss_fn)
        self.loss_fn = as_module("loss_fn", loss_fn)

    def forward(self, outputs: Tensor, targets: Tensor, length: Optional[Tensor] = None) -> Tensor:
        """Loss of a batch: outputs ``[B, 1, C]``, targets ``[B, 1]``, length ``[B]`` → scalar."""
        if outputs.dim() == 2:
            outputs = outputs.unsqueeze(1)
        if outputs.dim() != 3:
            raise ValueError(f"outputs: expected shape [B, 1, C], got {list(outputs.shape)}")
        batch, frames, classes = outputs.shape
        if targets.dim() == 1:
            targets = targets.unsqueeze(1)
        check_shape("targets", targets, [batch, frames])
        outputs = at_least_float32(outputs).reshape(batch * frames, classes)
        labels = targets.reshape(batch * frames)
        valid: Optional[Tensor] = None
        if length is not None:
            valid = frame_mask(length, batch, frames).reshape(batch * frames)
            outputs = torch.where(valid.unsqueeze(1), outputs, torch.zeros_like(outputs))
            labels = torch.where(valid, labels, torch.zeros_like(labels))
        labels = legal_index("targets", labels, classes)
        if self.takes_targets:
            one_hot = labels.unsqueeze(1) == torch.arange(classes, device=labels.device)
            logits = self.loss_fn(outputs, one_hot.to(outputs.dtype))
        else:
            logits = self.loss_fn(outputs)
        loss = cross_entropy(at_least_float32(logits), labels)
        if valid is None:
            return mean_of(loss)
        loss = torch.where(valid, loss, torch.zeros_like(loss))
        return loss.sum() / valid.sum().clamp(min=1).to(loss.dtype)
