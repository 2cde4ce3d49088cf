"""Classification heads and losses: cross-entropy and binary cross-entropy."""

from collections.abc import Sequence
from typing import Final, Optional, Union

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scriptable._core.checks import (
    check_features,
    check_number,
    check_shape,
    check_size,
)
from scriptable._core.labels import (
    class_labels,
)
from scriptable._core.numeric import at_least_float32
from scriptable.heads._centres import ClassWeights, bonafide_minus_spoof, check_classes


def asvspoof_binary_loss(pred: Tensor, label: Tensor) -> Tensor:
    r"""Mean binary cross-entropy of logits.

    .. math:: \ell = \frac1n \sum_i \log(1 + e^{x_i}) - x_i y_i

    Args:
        pred: logits, any shape, usually ``[B, 2]``.
        label: targets in [0, 1], same shape, any dtype.

    Returns:
        The mean loss in nats, a scalar; 0 for nothing.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> pred = torch.tensor([[0.8, 0.2], [0.1, 0.9]])
        >>> asvspoof_binary_loss(pred, torch.tensor([[1, 0], [0, 1]]))
        tensor(0.5637)
    """
    check_shape("label", label, list(pred.shape))
    logits = at_least_float32(pred)
    reduction = "mean" if logits.numel() > 0 else "sum"
    return F.binary_cross_entropy_with_logits(logits, label.to(logits.dtype), reduction=reduction)


class ASVSpoofBinaryLoss(nn.Module):
    r"""Binary cross-entropy with logits for anti-spoofing.

    .. math:: \ell = \frac{w}{BK} \sum_{i,c} \log(1 + e^{x_{ic}}) - x_{ic} y_{ic}

    K is two columns, genuine and spoof, or one, the logit of genuine, whose label 1 is genuine.

    Args:
        weight: factor on the loss.

    Shape:
        - pred: logits, ``[B, 2]`` or ``[B, 1]``; label: the same shape, in [0, 1]; loss: scalar, in
          nats.
        - ``score``: ``pred`` as it is.
        - ``bonafide_score``: genuine (column 0) − spoof, or the one column: ``[B]``, higher = more
          bona fide.

    Raises:
        ValueError: if the shape of ``pred`` does not match the shape of ``label``.

    Reference:
        ESPnet, ``espnet2.asvspoof.loss.binary_loss``.

    Example:
        >>> loss_fn = ASVSpoofBinaryLoss(weight=0.5)
        >>> predictions = torch.tensor([[0.8, 0.2], [0.1, 0.9]])
        >>> labels = torch.tensor([[1, 0], [0, 1]])
        >>> loss_fn(predictions, labels)
        tensor(0.2818)
        >>> loss_fn.score(predictions)
        tensor([[0.8000, 0.2000], [0.1000, 0.9000]])
        >>> loss_fn.bonafide_score(predictions)
        tensor([ 0.6000, -0.8000])
    """

    weight: Final[float]

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        check_number("weight", weight)
        self.weight = float(weight)

    def forward(self, pred: Tensor, label: Tensor) -> Tensor:
        """Loss of a batch: logits and labels ``[B, 2]`` or ``[B, 1]`` → scalar."""
        loss = self._unweighted(pred, label)
        return loss if self.weight == 1.0 else self.weight * loss

    @torch.jit.export
    def score(self, pred: Tensor) -> Tensor:
        """The predictions as they are: ``[B, 2]`` or ``[B, 1]`` → the same."""
        _check_columns(pred)
        return pred

    @torch.jit.export
    def bonafide_score(self, pred: Tensor) -> Tensor:
        """Genuine − spoof, or the one column: ``[B, 2]`` or ``[B, 1]`` → ``[B]``."""
        _check_columns(pred)
        if pred.shape[1] == 1:
            return pred[:, 0]
        return bonafide_minus_spoof(pred, 0)

    def _unweighted(self, pred: Tensor, label: Tensor) -> Tensor:
        _check_columns(pred)
        return asvspoof_binary_loss(pred, label)


def _check_columns(pred: Tensor) -> None:
    """Raise unless the predictions are ``[B, 1]`` or ``[B, 2]``."""
    if pred.dim() != 2 or pred.shape[1] < 1 or pred.shape[1] > 2:
        raise ValueError(f"pred: expected shape [B, 2] or [B, 1], got {list(pred.shape)}")


class CrossEntropy(nn.Module):
    r"""Linear classifier with cross-entropy: projection, loss and score in one module.

    .. math:: \ell = w \frac{\sum_i c_{y_i} (\log\sum_j e^{z_{ij}} - z_{iy_i})}{\sum_i c_{y_i}},
        \qquad z = W x + b

    Args:
        embedding_dim: size D of the embeddings.
        n_classes: number of classes C.
        class_weights: one weight per class; None weighs all alike.
        weight: factor on the loss, for sums of several losses.
        bonafide_label: the class that means bona fide.

    Shape:
        - embeddings: ``[B, D]``; labels: ``[B]``, integer; loss: scalar, in nats.
        - ``score``: ``[B]``, logit of bona fide − logit of spoof, higher = more bona fide; with
          more than two classes all logits, ``[B, C]``.

    Raises:
        ValueError: on a wrong shape, dtype, label or configuration.

    Reference:
        Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 4.108.

    Example:
        >>> head = CrossEntropy(embedding_dim=2)
        >>> head.load_state_dict({"fc.weight": torch.eye(2), "fc.bias": torch.zeros(2)})
        <All keys matched successfully>
        >>> embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
        >>> head(embeddings, torch.tensor([1, 0])).detach()
        tensor(0.8133)
        >>> head.score(embeddings).detach()
        tensor([1., 1.])
    """

    weight: Final[float]
    embedding_dim: Final[int]
    bonafide_label: Final[int]

    def __init__(
        self,
        embedding_dim: int,
        n_classes: int = 2,
        class_weights: Optional[Union[Sequence[float], Tensor]] = None,
        weight: float = 1.0,
        bonafide_label: int = 1,
    ) -> None:
        super().__init__()
        check_size("embedding_dim", embedding_dim)
        check_classes(n_classes, bonafide_label)
        check_number("weight", weight)
        self.weight = float(weight)
        self.embedding_dim = embedding_dim
        self.bonafide_label = bonafide_label
        self.fc = nn.Linear(embedding_dim, n_classes)
        self.criterion = ClassWeights(n_classes, class_weights)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings ``[B, D]``, labels ``[B]`` → scalar."""
        check_features("embeddings", embeddings, self.embedding_dim)
        logits = at_least_float32(self.fc(embeddings))
        labels = class_labels(labels, logits.shape[0], logits.shape[1])
        weights = self.criterion.weight.to(logits.dtype)
        total = F.cross_entropy(logits, labels, weights, reduction="sum")
        mean = total / self.criterion(labels).sum().clamp(min=1e-12)
        return mean if self.weight == 1.0 else self.weight * mean

    @torch.jit.export
    def score(self, embeddings: Tensor) -> Tensor:
        """Score of each item: embeddings ``[B, D]`` → ``[B]``, or ``[B, C]`` for C > 2."""
        check_features("embeddings", embeddings, self.embedding_dim)
        return bonafide_minus_spoof(at_least_float32(self.fc(embeddings)), self.bonafide_label)
