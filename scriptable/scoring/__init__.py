"""Scores and what they mean: comparison of embeddings, normalisation, calibration, fusion.

A verification scorer is a module with ``forward(enrolled, test)``: enrolled ``[N, D]`` (one
embedding a speaker) or ``[N, M, D]`` (M of them), test ``[B, D]``, result ``[B, N]``, higher = more
the same speaker. :class:`CosineScore`, :class:`ScoreNorm` and :class:`PLDA` are such scorers.
"""

from scriptable.scoring.calibration import (
    AffineCalibration,
    Calibration,
    Posterior,
    fit_affine_calibration,
    posterior,
)
from scriptable.scoring.cosine import CosineScore, check_embeddings, cosine_score, speaker_centroid
from scriptable.scoring.fusion import (
    Fusion,
    FusionWeights,
    SASVScore,
    fit_fusion,
    sasv_score,
)
from scriptable.scoring.normalisation import ScoreNorm, check_cohort, score_norm
from scriptable.scoring.plda import PLDA, plda_score
from scriptable.scoring.plda_fit import TwoCovariance, fit_lda, fit_plda, fit_two_covariance

__all__ = [
    "PLDA",
    "AffineCalibration",
    "Calibration",
    "CosineScore",
    "Fusion",
    "FusionWeights",
    "Posterior",
    "SASVScore",
    "ScoreNorm",
    "TwoCovariance",
    "check_cohort",
    "check_embeddings",
    "cosine_score",
    "fit_affine_calibration",
    "fit_fusion",
    "fit_lda",
    "fit_plda",
    "fit_two_covariance",
    "plda_score",
    "posterior",
    "sasv_score",
    "score_norm",
    "speaker_centroid",
]
