"""Speech losses and scores that train on a GPU and ship to a phone.

Every loss and score here can be scripted, traced, exported and lowered; ``forward`` and ``score``
take tensors by position, and shapes never depend on values. The public names, family by family:
"""

from scriptable._core.reduction import truncate
from scriptable.config import ConfigError, build_loss, register_loss
from scriptable.encoders.aasist import AASIST
from scriptable.encoders.adapted import AdaptedEncoder
from scriptable.encoders.light_cnn import LightCNN, MaxFeatureMap
from scriptable.encoders.pooling import AttentiveStatisticsPooling
from scriptable.frontend import LFCC, MFCC, LogMel
from scriptable.heads.aam_softmax import AAMSoftmax, Softmax, aam_softmax_loss
from scriptable.heads.am_softmax import AMSoftmax, ASoftmax, a_softmax_loss, am_softmax_loss
from scriptable.heads.cross_entropy import ASVSpoofBinaryLoss, CrossEntropy, asvspoof_binary_loss
from scriptable.heads.espnet_spoofing import ASVSpoofAMSoftmaxLoss, ASVSpoofOCSoftmaxLoss
from scriptable.heads.ge2e import GE2ELoss, ge2e_loss
from scriptable.heads.given_cosines import AdditiveAngularMargin, AngularMargin, LogSoftmaxWrapper
from scriptable.heads.given_logits import Logits, RawScore
from scriptable.heads.multi import MultiLoss
from scriptable.heads.oc_softmax import OCSoftmax, oc_softmax_loss
from scriptable.heads.p2sgrad import P2SGrad, p2sgrad_loss
from scriptable.heads.prototypical import (
    AngularPrototypical,
    Prototypical,
    angular_prototypical_loss,
    prototypical_loss,
)
from scriptable.heads.schedule import MarginScheduler
from scriptable.heads.sharded import ShardedArcMarginProduct, gathered_ge2e_loss
from scriptable.heads.sphereface2 import SphereFace2, sphereface2_loss
from scriptable.heads.subcenter import (
    ArcMarginProduct_intertopk_subcenter,
    subcenter_intertopk_loss,
)
from scriptable.losses.autoencoder import (
    AutoencoderLoss,
    AutoencoderLossDetails,
    AutoencoderOutput,
    VariationalAutoencoderLoss,
    VariationalAutoencoderLossDetails,
    VariationalAutoencoderOutput,
)
from scriptable.losses.bernoulli import BCELoss, bce_loss
from scriptable.losses.categorical import (
    ClassificationError,
    NLLLoss,
    classification_error,
    nll_loss,
)
from scriptable.losses.contrastive import ContrastiveLoss
from scriptable.losses.distillation import CrossEntropyKD, NLLLossKD, ce_kd, nll_loss_kd
from scriptable.losses.divergence import KLDivLoss, kldiv_loss
from scriptable.losses.image import Laplacian, LaplacianVarianceLoss
from scriptable.losses.masking import (
    MaskedLoss,
    compute_length_mask,
    compute_masked_loss,
    reduce_loss,
)
from scriptable.losses.regression import (
    DistanceDiffLoss,
    L1Loss,
    MSELoss,
    distance_diff_loss,
    l1_loss,
    mse_loss,
)
from scriptable.losses.separation import (
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
from scriptable.losses.sequence import (
    CTCLoss,
    CTCLossKD,
    TransducerLoss,
    ctc_loss,
    ctc_loss_kd,
    transducer_loss,
)
from scriptable.metrics import (
    ASVErrorRates,
    DetectionCost,
    EqualErrorRate,
    Interval,
    OperatingCurve,
    OperatingPoint,
    TandemCosts,
    actual_dcf,
    asv_error_rates,
    bayes_threshold,
    bootstrap_interval,
    check_trials,
    cllr,
    convex_hull_equal_error_rate,
    equal_error_rate,
    min_a_dcf,
    min_cllr,
    min_dcf,
    min_tdcf,
    operating_curve,
    roc_convex_hull,
    threshold_at,
)
from scriptable.pipeline import EmbeddingPipeline, SASVPipeline, ScorePipeline
from scriptable.scoring import (
    PLDA,
    AffineCalibration,
    Calibration,
    CosineScore,
    Fusion,
    FusionWeights,
    Posterior,
    SASVScore,
    ScoreNorm,
    TwoCovariance,
    check_embeddings,
    cosine_score,
    fit_affine_calibration,
    fit_fusion,
    fit_lda,
    fit_plda,
    fit_two_covariance,
    plda_score,
    posterior,
    sasv_score,
    score_norm,
    speaker_centroid,
)
from scriptable.windows import average_windows, cut_windows, window_starts

__version__ = "0.1.0"

__all__ = [
    "AASIST",
    "LFCC",
    "MFCC",
    "PLDA",
    "AAMSoftmax",
    "AMSoftmax",
    "ASVErrorRates",
    "ASVSpoofAMSoftmaxLoss",
    "ASVSpoofBinaryLoss",
    "ASVSpoofOCSoftmaxLoss",
    "ASoftmax",
    "AdaptedEncoder",
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
    "ConfigError",
    "ContrastiveLoss",
    "CosineScore",
    "CrossEntropy",
    "CrossEntropyKD",
    "DetectionCost",
    "DistanceDiffLoss",
    "EmbeddingPipeline",
    "EqualErrorRate",
    "Fusion",
    "FusionWeights",
    "GE2ELoss",
    "Interval",
    "KLDivLoss",
    "L1Loss",
    "Laplacian",
    "LaplacianVarianceLoss",
    "LightCNN",
    "LogMel",
    "LogSoftmaxWrapper",
    "Logits",
    "MSELoss",
    "MarginScheduler",
    "MaskedLoss",
    "MaxFeatureMap",
    "MultiLoss",
    "NLLLoss",
    "NLLLossKD",
    "OCSoftmax",
    "OperatingCurve",
    "OperatingPoint",
    "P2SGrad",
    "PITSISNRLoss",
    "PITSNRLoss",
    "PitWrapper",
    "Posterior",
    "Prototypical",
    "RawScore",
    "SASVPipeline",
    "SASVScore",
    "SISNRLoss",
    "SNRLoss",
    "ScoreNorm",
    "ScorePipeline",
    "ShardedArcMarginProduct",
    "Softmax",
    "SphereFace2",
    "TandemCosts",
    "TransducerLoss",
    "TwoCovariance",
    "VariationalAutoencoderLoss",
    "VariationalAutoencoderLossDetails",
    "VariationalAutoencoderOutput",
    "a_softmax_loss",
    "aam_softmax_loss",
    "actual_dcf",
    "am_softmax_loss",
    "angular_prototypical_loss",
    "asv_error_rates",
    "asvspoof_binary_loss",
    "average_windows",
    "bayes_threshold",
    "bce_loss",
    "bootstrap_interval",
    "build_loss",
    "cal_si_snr",
    "cal_snr",
    "ce_kd",
    "check_embeddings",
    "check_trials",
    "classification_error",
    "cllr",
    "compute_length_mask",
    "compute_masked_loss",
    "convex_hull_equal_error_rate",
    "cosine_score",
    "ctc_loss",
    "ctc_loss_kd",
    "cut_windows",
    "distance_diff_loss",
    "equal_error_rate",
    "fit_affine_calibration",
    "fit_fusion",
    "fit_lda",
    "fit_plda",
    "fit_two_covariance",
    "gathered_ge2e_loss",
    "ge2e_loss",
    "get_mask",
    "get_si_snr_with_pitwrapper",
    "get_snr_with_pitwrapper",
    "kldiv_loss",
    "l1_loss",
    "min_a_dcf",
    "min_cllr",
    "min_dcf",
    "min_tdcf",
    "mse_loss",
    "nll_loss",
    "nll_loss_kd",
    "oc_softmax_loss",
    "operating_curve",
    "p2sgrad_loss",
    "plda_score",
    "posterior",
    "prototypical_loss",
    "reduce_loss",
    "register_loss",
    "reorder_tensor",
    "roc_convex_hull",
    "sasv_score",
    "score_norm",
    "speaker_centroid",
    "sphereface2_loss",
    "subcenter_intertopk_loss",
    "threshold_at",
    "transducer_loss",
    "truncate",
    "window_starts",
]
