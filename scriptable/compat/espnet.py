"""Heads for ESPnet's models: ``ESPnetSpeakerModel`` and ``ESPnetASVSpoofModel``.

ESPnet's models check a loss for their own base class; the speaker model takes a triple apart, and
the spoofing model multiplies by ``loss.weight`` once more. The heads here are those of the same
name in ``scriptable`` with exactly that changed. Arguments, defaults and state dicts are the same:
what ``scriptable.compat.espnet.AAMSoftmax`` has trained, ``scriptable.AAMSoftmax`` loads and ships.
Importing this module needs ESPnet.
"""

from typing import Optional, Tuple

import torch
from espnet2.asvspoof.loss.abs_loss import AbsASVSpoofLoss
from espnet2.spk.loss.abs_loss import AbsLoss
from torch import Tensor, nn

from scriptable._core.labels import accuracy_of
from scriptable.heads import aam_softmax, cross_entropy, espnet_spoofing, subcenter
from scriptable.heads.multi import labels_first

Triple = Tuple[Optional[Tensor], Optional[Tensor], Tensor]
"""Loss, accuracy and the class of each item, as ESPnet's speaker losses return them."""


class _SpeakerBase(AbsLoss):
    """The class that ``ESPnetSpeakerModel`` checks for; last in line, it wants no argument."""

    def __init__(self) -> None:
        nn.Module.__init__(self)


class _SpoofingBase(AbsASVSpoofLoss):
    """The class that ``ESPnetASVSpoofModel`` checks for."""


def _per_item(label: Tensor, batch: int) -> Tensor:
    """The model squeezes the labels of a batch of one to a scalar."""
    return label.reshape(1) if batch == 1 and label.dim() == 0 else label


class _GivesTriple:
    """``forward`` as ESPnet's speaker losses have it; without labels the classes alone."""

    def forward(self, input: Tensor, label: Optional[Tensor] = None) -> Triple:
        """Embeddings ``[B, D]``, labels → loss, accuracy, classes ``[B]``."""
        if label is None:
            return None, None, self.predict(input)  # type: ignore[attr-defined]
        label = _per_item(label, input.shape[0])
        loss, accuracy, classes = self.loss_and_predictions(input, label)  # type: ignore[attr-defined]
        return loss, accuracy, classes


class AAMSoftmax(_GivesTriple, aam_softmax.AAMSoftmax, _SpeakerBase):  # type: ignore[misc]
    """:class:`scriptable.AAMSoftmax` for ``ESPnetSpeakerModel``."""


class Softmax(_GivesTriple, aam_softmax.Softmax, _SpeakerBase):  # type: ignore[misc]
    """:class:`scriptable.Softmax` for ``ESPnetSpeakerModel``."""


class ArcMarginProduct_intertopk_subcenter(  # type: ignore[misc]
    _GivesTriple, subcenter.ArcMarginProduct_intertopk_subcenter, _SpeakerBase
):
    """:class:`scriptable.ArcMarginProduct_intertopk_subcenter` for ``ESPnetSpeakerModel``."""


class SpeakerLoss(_SpeakerBase):
    """Any other head for ``ESPnetSpeakerModel``, as :class:`scriptable.SphereFace2`.

    Args:
        head: ``forward(embeddings, labels) -> loss``, ``score(embeddings) -> [B, C]``.

    Raises:
        ValueError: if the head has no ``score``, or takes its labels first.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        if not callable(getattr(head, "score", None)) or labels_first(head):
            raise ValueError(
                "head: expected a head with score and forward(embeddings, labels), "
                f"got {type(head).__name__}"
            )
        self.head = head

    def forward(self, x: Tensor, label: Optional[Tensor] = None) -> Triple:
        """Embeddings ``[B, D]``, labels ``[B]`` → loss, accuracy, classes ``[B]``."""
        with torch.no_grad():
            classes = torch.argmax(self.head.score(x), 1)  # type: ignore[operator]
        if label is None:
            return None, None, classes
        label = _per_item(label, x.shape[0])
        return self.head(x, label), accuracy_of(classes, label), classes


class _LeavesWeight:
    """``forward`` without the weight, which ESPnet's spoofing model multiplies by itself."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """What the head gives for ``weight=1``."""
        loss: Tensor = self._unweighted(first, second)  # type: ignore[attr-defined]
        return loss


class ASVSpoofBinaryLoss(  # type: ignore[misc]
    _LeavesWeight, cross_entropy.ASVSpoofBinaryLoss, _SpoofingBase
):
    """:class:`scriptable.ASVSpoofBinaryLoss` for ``ESPnetASVSpoofModel``, ``"binary_loss"``."""


class ASVSpoofAMSoftmaxLoss(  # type: ignore[misc]
    _LeavesWeight, espnet_spoofing.ASVSpoofAMSoftmaxLoss, _SpoofingBase
):
    """:class:`scriptable.ASVSpoofAMSoftmaxLoss`, the model's ``"am_softmax_loss"``."""


class ASVSpoofOCSoftmaxLoss(  # type: ignore[misc]
    _LeavesWeight, espnet_spoofing.ASVSpoofOCSoftmaxLoss, _SpoofingBase
):
    """:class:`scriptable.ASVSpoofOCSoftmaxLoss`, the model's ``"oc_softmax_loss"``.

    The model scores by its ``"am_softmax_loss"`` even so: give it this head under both names.
    """
