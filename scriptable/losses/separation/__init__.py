"""Source separation: permutation-invariant training, SI-SNR and SNR."""

from scriptable.losses.separation.pit import PitWrapper, reorder_tensor
from scriptable.losses.separation.pit_snr import (
    PITSISNRLoss,
    PITSNRLoss,
    get_si_snr_with_pitwrapper,
    get_snr_with_pitwrapper,
)
from scriptable.losses.separation.snr import SISNRLoss, SNRLoss, cal_si_snr, cal_snr, get_mask

__all__ = [
    "PITSISNRLoss",
    "PITSNRLoss",
    "PitWrapper",
    "SISNRLoss",
    "SNRLoss",
    "cal_si_snr",
    "cal_snr",
    "get_mask",
    "get_si_snr_with_pitwrapper",
    "get_snr_with_pitwrapper",
    "reorder_tensor",
]
