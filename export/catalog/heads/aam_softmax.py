"""Rows of softmax and of the additive angular margin over speakers."""

import scriptable
from export.catalog.heads._kinds import DIM, SPEAKERS, labelled, one_hot, speaker

ROWS = [
    speaker("Softmax", lambda: scriptable.Softmax(DIM, SPEAKERS)),
    speaker("Softmax", lambda: scriptable.Softmax(DIM, SPEAKERS), "column of labels", labelled(1)),
    speaker("AAMSoftmax", lambda: scriptable.AAMSoftmax(DIM, SPEAKERS), also=("aam_softmax_loss",)),
    speaker(
        "AAMSoftmax",
        lambda: scriptable.AAMSoftmax(DIM, SPEAKERS, fallback="continuous", margin=1.5),
        "continuous fallback, one-hot",
        one_hot,
    ),
    speaker(
        "AAMSoftmax",
        lambda: scriptable.AAMSoftmax(DIM, SPEAKERS, easy_margin=True),
        "easy margin, column of labels",
        labelled(1),
    ),
]
