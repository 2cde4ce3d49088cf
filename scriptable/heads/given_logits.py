"""Heads without parameters, for networks that end in logits or in a score of their own."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scriptable._core.checks import check_choice, check_kinds, check_labels
from scriptable._core.numeric import at_least_float32


class Logits(nn.Module):
    r"""Cross-entropy and score of logits that the network computes itself; no parameters.

    .. math:: \ell = \frac1B \sum_i \log\sum_j e^{z_{ij}} - z_{iy_i}, \qquad
        s = z_b - \log\sum_{j \ne b} e^{z_j}

    With two columns the score is bona fide − spoof; with more it is the log-odds of bona fide
    against all the rest.

    Args:
        bonafide_column: the column b, and so the label, that means bona fide.

    Shape:
        - logits: ``[B, C]``, C ≥ 2; labels: ``[B]``, integer, a label is a column; loss: scalar, in
          nats.
        - ``score``: ``[B]`` in nats, higher = more bona fide.

    Raises:
        ValueError: if the logits have fewer than two columns, or no column ``bonafide_column``.

    Reference:
        Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 4.108.

    Example:
        >>> head = Logits(bonafide_column=1)
        >>> logits = torch.tensor([[0.5, 2.0], [1.0, -1.0]])
        >>> head.score(logits)
        tensor([ 1.5000, -2.0000])
        >>> head(logits, torch.tensor([1, 0]))
        tensor(0.1642)
        >>> Logits(0).score(torch.tensor([[1.0, 0.0, 0.0]]))
        tensor([0.3069])
    """

    bonafide_column: Final[int]

    def __init__(self, bonafide_column: int = 1) -> None:
        check_kinds(Logits.__init__, locals())
        super().__init__()
        if bonafide_column < 0:
            raise ValueError(f"bonafide_column: expected 0 or more, got {bonafide_column}")
        self.bonafide_column = bonafide_column

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: logits ``[B, C]``, labels ``[B]`` → scalar."""
        self.check(logits)
        check_labels(labels, logits.shape[0])
        return F.cross_entropy(at_least_float32(logits), labels.long())

    @torch.jit.export
    def score(self, logits: Tensor) -> Tensor:
        """Score of each item: logits ``[B, C]`` → ``[B]``."""
        self.check(logits)
        logits = at_least_float32(logits)
        before = logits[:, : self.bonafide_column]
        after = logits[:, self.bonafide_column + 1 :]
        rest = torch.cat([before, after], dim=1)
        against = rest[:, 0] if rest.shape[1] == 1 else rest.logsumexp(1)
        return logits[:, self.bonafide_column] - against

    def check(self, logits: Tensor) -> None:
        """Raise unless there are two columns or more, and the bona fide one is among them."""
        if logits.dim() != 2 or logits.shape[1] < 2:
            raise ValueError(
                f"logits: expected shape [B, C] with C of 2 or more, got {list(logits.shape)}"
            )
        if self.bonafide_column >= logits.shape[1]:
            raise ValueError(
                f"bonafide_column: expected a column of the {logits.shape[1]} logits, "
                f"0 to {logits.shape[1] - 1}, got {self.bonafide_column}"
            )


class RawScore(nn.Module):
    r"""Binary cross-entropy and score of one number that the network computes; no parameters.

    .. math:: \ell = \frac1B \sum_i \log(1 + e^{s_i}) - s_i y_i, \qquad s = \pm x

    Args:
        higher: what a higher number means: ``"bonafide"`` leaves it, ``"spoof"`` turns its sign.
        bonafide_label: the label, 0 or 1, that means bona fide; y is 1 there, and 0 elsewhere.

    Shape:
        - values: ``[B]`` or ``[B, 1]``; labels: ``[B]``, integer; loss: scalar, in nats.
        - ``score``: ``[B]``, higher = more bona fide.

    Raises:
        ValueError: on a wrong shape, dtype or configuration.

    Reference:
        Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 4.90.

    Example:
        >>> head = RawScore(higher="spoof")
        >>> values = torch.tensor([[-2.0], [1.0]])
        >>> head.score(values)
        tensor([ 2., -1.])
        >>> head(values, torch.tensor([1, 0]))
        tensor(0.2201)
    """

    turned: Final[bool]
    bonafide_label: Final[int]

    def __init__(self, higher: str = "bonafide", bonafide_label: int = 1) -> None:
        check_kinds(RawScore.__init__, locals())
        super().__init__()
        check_choice("higher", higher, ["bonafide", "spoof"])
        if bonafide_label not in (0, 1):
            raise ValueError(f"bonafide_label: expected 0 or 1, got {bonafide_label}")
        self.turned = higher == "spoof"
        self.bonafide_label = bonafide_label

    def forward(self, values: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: values ``[B]`` or ``[B, 1]``, labels ``[B]`` → scalar."""
        scores = self.score(values)
        check_labels(labels, scores.shape[0])
        bonafide = (labels == self.bonafide_label).to(scores.dtype)
        return F.binary_cross_entropy_with_logits(scores, bonafide)

    @torch.jit.export
    def score(self, values: Tensor) -> Tensor:
        """Score of each item: values ``[B]`` or ``[B, 1]`` → ``[B]``."""
        column = values.dim() == 2 and values.shape[1] == 1
        if values.dim() != 1 and not column:
            raise ValueError(f"values: expected shape [B] or [B, 1], got {list(values.shape)}")
        scores = at_least_float32(values.squeeze(1) if column else values)
        return -scores if self.turned else scores
