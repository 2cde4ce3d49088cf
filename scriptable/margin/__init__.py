"""Angular margins: softmax heads that hold their class centres, and margins on given cosines."""

from scriptable.margin.angular import AdditiveAngularMargin, AngularMargin, LogSoftmaxWrapper
from scriptable.margin.softmax import AMSoftmax, ASoftmax, a_softmax_loss, am_softmax_loss

__all__ = [
    "AMSoftmax",
    "ASoftmax",
    "AdditiveAngularMargin",
    "AngularMargin",
    "LogSoftmaxWrapper",
    "a_softmax_loss",
    "am_softmax_loss",
]
