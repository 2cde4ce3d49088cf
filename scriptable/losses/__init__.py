"""Losses and errors over frames or utterances, with lengths and a reduction."""

from scriptable._core.reduction import REDUCTIONS
from scriptable.losses.bernoulli import BCELoss, bce_loss
from scriptable.losses.categorical import (
    ClassificationError,
    NLLLoss,
    classification_error,
    nll_loss,
)
from scriptable.losses.divergence import KLDivLoss, kldiv_loss

__all__ = [
    "REDUCTIONS",
    "BCELoss",
    "ClassificationError",
    "KLDivLoss",
    "NLLLoss",
    "bce_loss",
    "classification_error",
    "kldiv_loss",
    "nll_loss",
]
