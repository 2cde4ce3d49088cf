"""Rows of the additive and the multiplicative margin over spoofing classes."""

import scriptable
from export.catalog.heads._kinds import DIM, spoofing

_FOCAL = "the focal weight takes no gradient"

ROWS = [
    spoofing("AMSoftmax", lambda: scriptable.AMSoftmax(DIM), also=("am_softmax_loss",)),
    spoofing(
        "AMSoftmax",
        lambda: scriptable.AMSoftmax(DIM, 3, m=0.2, weight=0.5, class_weights=[0.2, 0.3, 0.5]),
        "3 classes, weighted",
        classes=3,
    ),
    spoofing("AMSoftmax", lambda: scriptable.AMSoftmax(DIM, bonafide_label=0), "bona fide is 0"),
    spoofing(
        "ASoftmax",
        lambda: scriptable.ASoftmax(DIM),
        also=("a_softmax_loss",),
        detached=_FOCAL,
    ),
    spoofing("ASoftmax", lambda: scriptable.ASoftmax(DIM, gamma=0.0), "no focal weight"),
    spoofing(
        "ASoftmax",
        lambda: scriptable.ASoftmax(DIM, 3, m=3, lambda_max=10.0, gamma=2.0),
        "3 classes, m=3",
        classes=3,
        detached=_FOCAL,
    ),
]
