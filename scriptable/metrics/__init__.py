"""Error rates, detection costs and calibration losses of scores: exact on ties, in float64.

All of them take ``scores [T]`` (higher = more target) and ``labels [T]`` (1 for target or bona
fide, 0 for non-target or spoof; where the three classes meet, 2 for spoof), and start from one
sort. They run on the host, outside the graph.
"""

from scriptable.metrics._trials import check_trials
from scriptable.metrics.bootstrap import Interval, bootstrap_interval
from scriptable.metrics.cllr import cllr, min_cllr
from scriptable.metrics.cost import (
    SPOOFING_COSTS,
    VERIFICATION_COSTS,
    DetectionCost,
    DetectionCosts,
    OperatingPoint,
    actual_dcf,
    bayes_threshold,
    min_dcf,
    threshold_at,
)
from scriptable.metrics.error_rates import (
    EqualErrorRate,
    OperatingCurve,
    convex_hull_equal_error_rate,
    equal_error_rate,
    operating_curve,
    roc_convex_hull,
)
from scriptable.metrics.tandem import (
    ASVSPOOF5_ADCF,
    ASVSPOOF5_ASV,
    ADCFCosts,
    ASVErrorRates,
    TandemCosts,
    asv_error_rates,
    min_a_dcf,
    min_tdcf,
)
from scriptable.metrics.tandem_eer import tandem_equal_error_rate

__all__ = [
    "ASVSPOOF5_ADCF",
    "ASVSPOOF5_ASV",
    "SPOOFING_COSTS",
    "VERIFICATION_COSTS",
    "ADCFCosts",
    "ASVErrorRates",
    "DetectionCost",
    "DetectionCosts",
    "EqualErrorRate",
    "Interval",
    "OperatingCurve",
    "OperatingPoint",
    "TandemCosts",
    "actual_dcf",
    "asv_error_rates",
    "bayes_threshold",
    "bootstrap_interval",
    "check_trials",
    "cllr",
    "convex_hull_equal_error_rate",
    "equal_error_rate",
    "min_a_dcf",
    "min_cllr",
    "min_dcf",
    "min_tdcf",
    "operating_curve",
    "roc_convex_hull",
    "tandem_equal_error_rate",
    "threshold_at",
]
