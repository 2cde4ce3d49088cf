"""Angular margins: softmax heads with class centres, and margins on given cosines."""

from scriptable.heads.am_softmax import AMSoftmax, ASoftmax, a_softmax_loss, am_softmax_loss
from scriptable.heads.given_cosines import AdditiveAngularMargin, AngularMargin, LogSoftmaxWrapper

__all__ = [
    "AMSoftmax",
    "ASoftmax",
    "AdditiveAngularMargin",
    "AngularMargin",
    "LogSoftmaxWrapper",
    "a_softmax_loss",
    "am_softmax_loss",
]
