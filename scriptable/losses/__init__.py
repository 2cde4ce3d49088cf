"""Classification: heads with cross-entropy, and losses and errors per frame or utterance."""

from scriptable.heads.cross_entropy import ASVSpoofBinaryLoss, CrossEntropy, asvspoof_binary_loss
from scriptable.losses.bernoulli import BCELoss, bce_loss
from scriptable.losses.categorical import (
    ClassificationError,
    NLLLoss,
    classification_error,
    nll_loss,
)
from scriptable.losses.divergence import KLDivLoss, kldiv_loss

__all__ = [
    "ASVSpoofBinaryLoss",
    "BCELoss",
    "ClassificationError",
    "CrossEntropy",
    "KLDivLoss",
    "NLLLoss",
    "asvspoof_binary_loss",
    "bce_loss",
    "classification_error",
    "kldiv_loss",
    "nll_loss",
]
