"""Speech losses and scores that train on a GPU and ship to a phone.

Every loss and score here can be scripted, traced, exported and lowered; ``forward`` and ``score``
take tensors by position, and shapes never depend on values. The public names, family by family:
"""

from scriptable._reduction import truncate
from scriptable.asvspoof import ASVSpoofAMSoftmaxLoss, ASVSpoofOCSoftmaxLoss
from scriptable.autoencoder import (
    AutoencoderLoss,
    AutoencoderLossDetails,
    AutoencoderOutput,
    VariationalAutoencoderLoss,
    VariationalAutoencoderLossDetails,
    VariationalAutoencoderOutput,
)
from scriptable.binary_margin import P2SGrad, SphereFace2, p2sgrad_loss, sphereface2_loss
from scriptable.classification import (
    ASVSpoofBinaryLoss,
    BCELoss,
    ClassificationError,
    CrossEntropy,
    KLDivLoss,
    NLLLoss,
    asvspoof_binary_loss,
    bce_loss,
    classification_error,
    kldiv_loss,
    nll_loss,
)
from scriptable.contrastive import ContrastiveLoss
from scriptable.distillation import CrossEntropyKD, NLLLossKD, ce_kd, nll_loss_kd
from scriptable.encoder import AttentiveStatisticsPooling, LightCNN, MaxFeatureMap
from scriptable.frontend import LFCC, MFCC, LogMel
from scriptable.image import Laplacian, LaplacianVarianceLoss
from scriptable.margin import (
    AdditiveAngularMargin,
    AMSoftmax,
    AngularMargin,
    ASoftmax,
    LogSoftmaxWrapper,
    a_softmax_loss,
    am_softmax_loss,
)
from scriptable.masking import MaskedLoss, compute_length_mask, compute_masked_loss, reduce_loss
from scriptable.metric import GE2ELoss, ge2e_loss
from scriptable.metrics import (
    EqualErrorRate,
    OperatingCurve,
    check_trials,
    equal_error_rate,
    operating_curve,
)
from scriptable.one_class import OCSoftmax, oc_softmax_loss
from scriptable.pipeline import ScorePipeline
from scriptable.prototypical import (
    AngularPrototypical,
    Prototypical,
    angular_prototypical_loss,
    prototypical_loss,
)
from scriptable.regression import (
    DistanceDiffLoss,
    L1Loss,
    MSELoss,
    distance_diff_loss,
    l1_loss,
    mse_loss,
)
from scriptable.schedule import MarginScheduler
from scriptable.scoring import AffineCalibration, Calibration, fit_affine_calibration, posterior
from scriptable.separation import (
    PITSISNRLoss,
    PITSNRLoss,
    PitWrapper,
    SISNRLoss,
    SNRLoss,
    cal_si_snr,
    cal_snr,
    get_mask,
    get_si_snr_with_pitwrapper,
    get_snr_with_pitwrapper,
    reorder_tensor,
)
from scriptable.sequence import (
    CTCLoss,
    CTCLossKD,
    TransducerLoss,
    ctc_loss,
    ctc_loss_kd,
    transducer_loss,
)
from scriptable.sharded import ShardedArcMarginProduct, gathered_ge2e_loss
from scriptable.speaker_margin import AAMSoftmax, Softmax, aam_softmax_loss
from scriptable.subcenter import ArcMarginProduct_intertopk_subcenter, subcenter_intertopk_loss
from scriptable.windows import average_windows, cut_windows, window_starts

__version__ = "0.1.0"

__all__ = [
    "LFCC",
    "MFCC",
    "AAMSoftmax",
    "AMSoftmax",
    "ASVSpoofAMSoftmaxLoss",
    "ASVSpoofBinaryLoss",
    "ASVSpoofOCSoftmaxLoss",
    "ASoftmax",
    "AdditiveAngularMargin",
    "AffineCalibration",
    "AngularMargin",
    "AngularPrototypical",
    "ArcMarginProduct_intertopk_subcenter",
    "AttentiveStatisticsPooling",
    "AutoencoderLoss",
    "AutoencoderLossDetails",
    "AutoencoderOutput",
    "BCELoss",
    "CTCLoss",
    "CTCLossKD",
    "Calibration",
    "ClassificationError",
    "ContrastiveLoss",
    "CrossEntropy",
    "CrossEntropyKD",
    "DistanceDiffLoss",
    "EqualErrorRate",
    "GE2ELoss",
    "KLDivLoss",
    "L1Loss",
    "Laplacian",
    "LaplacianVarianceLoss",
    "LightCNN",
    "LogMel",
    "LogSoftmaxWrapper",
    "MSELoss",
    "MarginScheduler",
    "MaskedLoss",
    "MaxFeatureMap",
    "NLLLoss",
    "NLLLossKD",
    "OCSoftmax",
    "OperatingCurve",
    "P2SGrad",
    "PITSISNRLoss",
    "PITSNRLoss",
    "PitWrapper",
    "Prototypical",
    "SISNRLoss",
    "SNRLoss",
    "ScorePipeline",
    "ShardedArcMarginProduct",
    "Softmax",
    "SphereFace2",
    "TransducerLoss",
    "VariationalAutoencoderLoss",
    "VariationalAutoencoderLossDetails",
    "VariationalAutoencoderOutput",
    "a_softmax_loss",
    "aam_softmax_loss",
    "am_softmax_loss",
    "angular_prototypical_loss",
    "asvspoof_binary_loss",
    "average_windows",
    "bce_loss",
    "cal_si_snr",
    "cal_snr",
    "ce_kd",
    "check_trials",
    "classification_error",
    "compute_length_mask",
    "compute_masked_loss",
    "ctc_loss",
    "ctc_loss_kd",
    "cut_windows",
    "distance_diff_loss",
    "equal_error_rate",
    "fit_affine_calibration",
    "gathered_ge2e_loss",
    "ge2e_loss",
    "get_mask",
    "get_si_snr_with_pitwrapper",
    "get_snr_with_pitwrapper",
    "kldiv_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "nll_loss_kd",
    "oc_softmax_loss",
    "operating_curve",
    "p2sgrad_loss",
    "posterior",
    "prototypical_loss",
    "reduce_loss",
    "reorder_tensor",
    "sphereface2_loss",
    "subcenter_intertopk_loss",
    "transducer_loss",
    "truncate",
    "window_starts",
]
