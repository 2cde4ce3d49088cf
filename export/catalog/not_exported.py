"""Public names that are not exported, each with its reason."""

_HOST = "runs on the host, outside the graph"
_RESULT = "a result type"
_TRAINING = "training only: its gathered ordinary head is a row"

NOT_EXPORTED = {
    "AutoencoderLossDetails": _RESULT,
    "AutoencoderOutput": "an input type",
    "Calibration": _RESULT,
    "EqualErrorRate": _RESULT,
    "MarginScheduler": "sets the margin of heads while they train",
    "OperatingCurve": _RESULT,
    "VariationalAutoencoderLossDetails": _RESULT,
    "VariationalAutoencoderOutput": "an input type",
    "ShardedArcMarginProduct": _TRAINING,
    "average_windows": _HOST,
    "check_trials": _HOST,
    "cut_windows": _HOST,
    "equal_error_rate": _HOST,
    "fit_affine_calibration": _HOST,
    "gathered_ge2e_loss": "training over several processes: GE2ELoss is a row",
    "operating_curve": _HOST,
    "posterior": _HOST,
    "truncate": "shapes only: every loss that calls it is a row",
    "window_starts": _HOST,
}
