"""Public names that are not exported, each with its reason."""

_HOST = "runs on the host, outside the graph"
_RESULT = "a result type"

NOT_EXPORTED = {
    "AutoencoderLossDetails": _RESULT,
    "AutoencoderOutput": "an input type",
    "Calibration": _RESULT,
    "EqualErrorRate": _RESULT,
    "OperatingCurve": _RESULT,
    "VariationalAutoencoderLossDetails": _RESULT,
    "VariationalAutoencoderOutput": "an input type",
    "average_windows": _HOST,
    "check_trials": _HOST,
    "cut_windows": _HOST,
    "equal_error_rate": _HOST,
    "fit_affine_calibration": _HOST,
    "operating_curve": _HOST,
    "posterior": _HOST,
    "truncate": "shapes only: every loss that calls it is a row",
    "window_starts": _HOST,
}
