"""Rows of the margin over sub-centres with inter-class top k."""

import scriptable
from export.catalog.heads._kinds import DIM, SPEAKERS, labelled, one_hot, speaker

_ARC = scriptable.ArcMarginProduct_intertopk_subcenter
_NAME = "ArcMarginProduct_intertopk_subcenter"

ROWS = [
    speaker(_NAME, lambda: _ARC(DIM, SPEAKERS), also=("subcenter_intertopk_loss",)),
    speaker(
        _NAME,
        lambda: _ARC(DIM, SPEAKERS, K=1, k_top=10, fallback="sine", margin=0.5),
        "one centre, more top than classes, one-hot",
        one_hot,
    ),
    speaker(
        _NAME,
        lambda: _ARC(DIM, SPEAKERS, do_lm=True, easy_margin=True),
        "large margin, easy, column of labels",
        labelled(1),
    ),
]
