"""Speech losses and scores that train on a GPU and ship to a phone.

Every loss and score here can be scripted, traced, exported and lowered; ``forward`` and ``score``
take tensors by position, and shapes never depend on values. The public names, family by family:
"""

from scriptable._reduction import truncate
from scriptable.asvspoof import ASVSpoofAMSoftmaxLoss, ASVSpoofOCSoftmaxLoss
from scriptable.binary_margin import P2SGrad, SphereFace2, p2sgrad_loss, sphereface2_loss
from scriptable.classification import ASVSpoofBinaryLoss, CrossEntropy, asvspoof_binary_loss
from scriptable.encoder import AttentiveStatisticsPooling, LightCNN, MaxFeatureMap
from scriptable.frontend import LFCC, MFCC, LogMel
from scriptable.margin import AMSoftmax, ASoftmax, a_softmax_loss, am_softmax_loss
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
from scriptable.regression import L1Loss, MSELoss, l1_loss, mse_loss
from scriptable.schedule import MarginScheduler
from scriptable.scoring import AffineCalibration, Calibration, fit_affine_calibration, posterior
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
    "AffineCalibration",
    "AngularPrototypical",
    "ArcMarginProduct_intertopk_subcenter",
    "AttentiveStatisticsPooling",
    "Calibration",
    "CrossEntropy",
    "EqualErrorRate",
    "GE2ELoss",
    "L1Loss",
    "LightCNN",
    "LogMel",
    "MSELoss",
    "MarginScheduler",
    "MaxFeatureMap",
    "OCSoftmax",
    "OperatingCurve",
    "P2SGrad",
    "Prototypical",
    "ScorePipeline",
    "ShardedArcMarginProduct",
    "Softmax",
    "SphereFace2",
    "a_softmax_loss",
    "aam_softmax_loss",
    "am_softmax_loss",
    "angular_prototypical_loss",
    "asvspoof_binary_loss",
    "average_windows",
    "check_trials",
    "cut_windows",
    "equal_error_rate",
    "fit_affine_calibration",
    "gathered_ge2e_loss",
    "ge2e_loss",
    "l1_loss",
    "mse_loss",
    "oc_softmax_loss",
    "operating_curve",
    "p2sgrad_loss",
    "posterior",
    "prototypical_loss",
    "sphereface2_loss",
    "subcenter_intertopk_loss",
    "truncate",
    "window_starts",
]
