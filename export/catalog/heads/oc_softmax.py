"""Rows of the one-class softmax."""

import scriptable
from export.catalog.heads._kinds import DIM, spoofing

ROWS = [
    spoofing("OCSoftmax", lambda: scriptable.OCSoftmax(DIM), also=("oc_softmax_loss",)),
    spoofing("OCSoftmax", lambda: scriptable.OCSoftmax(DIM, bonafide_label=0), "bona fide is 0"),
]
