"""Rows of the divergence from smoothed labels."""

import scriptable
from export.catalog.losses._log_probabilities import frames, padded, utterances
from export.catalog.row import Draw, Padding, Row
from scriptable.losses import REDUCTIONS


def _kldiv(variant: str, reduction: str, inputs: Draw, smoothing: float = 0.1) -> Row:
    return Row(
        entry="kldiv_loss",
        variant=variant,
        module=lambda: scriptable.KLDivLoss(label_smoothing=smoothing, reduction=reduction),
        methods={"forward": inputs},
        also=("KLDivLoss",),
        padding=Padding(length=2, inputs=(0,)) if inputs is padded else None,
    )


ROWS = [
    *[_kldiv(f"{name}, lengths, smoothed", name, padded) for name in REDUCTIONS],
    _kldiv("mean, lengths", "mean", padded, 0.0),
    _kldiv("mean, no lengths, smoothed", "mean", frames),
    _kldiv("batch, utterances", "batch", utterances, 0.0),
]
