"""Losses between a sequence of frames and a sequence of labels, with every alignment summed out.

Lengths are relative, as for every loss: round-half-up(length·T) frames and round-half-up(length·S)
labels. The reductions of the losses ℓ of the items, S_b being the labels of item b:

============  ==========================  ==========================  ======
reduction     CTC                         transducer
============  ==========================  ==========================  ======
``mean``      mean over b of ℓ / max(S,1)  mean over b of ℓ            scalar
``batch``     ℓ / max(S, 1)               ℓ                           ``[B]``
``batchmean`` Σℓ / B                      Σℓ / B                      scalar
``sum``       Σℓ                          Σℓ                          scalar
``none``      ℓ                           ℓ                           ``[B]``
============  ==========================  ==========================  ======

An item that no alignment fits (no frames, more labels than frames) contributes 0.
"""

from scriptable.losses.sequence.ctc import CTCLoss, ctc_loss
from scriptable.losses.sequence.ctc_distillation import CTCLossKD, ctc_loss_kd
from scriptable.losses.sequence.transducer import TransducerLoss, transducer_loss

__all__ = [
    "CTCLoss",
    "CTCLossKD",
    "TransducerLoss",
    "ctc_loss",
    "ctc_loss_kd",
    "transducer_loss",
]
