"""The guard of files with fewer bits than float32: judged by decisions, not by a tolerance."""

from collections.abc import Sequence
from dataclasses import dataclass

from export.parity.decisions import Rung
from export.runtime.precision import PrecisionGuard


@dataclass(frozen=True)
class Bounds:
    """What is borne of a precision."""

    score_error: float
    """``|file − trained model| ≤ score_error · max(1, max|trained model|)``."""
    trials_a_flip: int
    """One other decision in so many trials; 0: none at all."""


BOUNDS = {"mixed16": Bounds(0.01, 0), "int8": Bounds(0.03, 60)}


def most_flips(precision: str, trials: int) -> int:
    """How many decisions may be unlike the trained model's.

    Example:
        >>> most_flips("int8", 59), most_flips("int8", 60), most_flips("mixed16", 600)
        (0, 1, 0)
    """
    each = BOUNDS[precision].trials_a_flip
    return trials // each if each else 0


def judge(
    precision: str, rung: Rung, largest: float, speech_error: float, calibration_windows: int
) -> PrecisionGuard:
    """Hold a file to its bounds.

    Args:
        precision: of the file.
        rung: its scores and decisions beside the trained model's.
        largest: absolute raw score of the trained model on these trials.
        speech_error: of its raw score on the recording of real speech; 0 where there was none.
        calibration_windows: that ranges of integers were chosen on.
    """
    change: Sequence[float] = ()
    if rung.delta_eer is not None and rung.delta_eer_ci is not None:
        change = (rung.delta_eer, *rung.delta_eer_ci)
    guard = PrecisionGuard(
        verdict="passed",
        trials=rung.trials,
        flips=rung.flips,
        most_flips=most_flips(precision, rung.trials),
        max_score_error=max(rung.max_score_error, speech_error),
        score_tolerance=BOUNDS[precision].score_error * max(1.0, largest),
        delta_eer=tuple(change),
        calibration_windows=calibration_windows,
    )
    return guard.model_copy(update={"verdict": "forced"}) if refusals(guard) else guard


def refusals(guard: PrecisionGuard) -> list[str]:
    """What of a file is not borne, each in words; none where it passes."""
    found = []
    if guard.flips > guard.most_flips:
        found.append(
            f"{guard.flips} of {guard.trials} decisions change, at most {guard.most_flips} may"
        )
    if not guard.max_score_error <= guard.score_tolerance:
        found.append(
            f"a score is off by {guard.max_score_error:.2g}, at most "
            f"{guard.score_tolerance:.2g} is borne"
        )
    if guard.delta_eer and guard.delta_eer[1] > 0:
        change, low, high = guard.delta_eer
        found.append(f"the equal error rate rises by {change:.2%} [{low:.2%}, {high:.2%}]")
    return found
