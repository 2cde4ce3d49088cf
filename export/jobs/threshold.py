"""Where a contract's threshold is put, and the words that say so."""

import warnings
from dataclasses import dataclass

from torch import Tensor

from export.errors import InputError
from scriptable import (
    VERIFICATION_COSTS,
    Calibration,
    DetectionCosts,
    fit_affine_calibration,
    threshold_at,
)

POINTS = ("eer", "min_dcf")


@dataclass(frozen=True)
class ThresholdChoice:
    """The equal error rate, or the smallest cost at a prior and the costs of the two errors.

    What is None is what is usual for the task: :class:`scriptable.DetectionCosts` says it.
    """

    point: str = "eer"
    prior: float | None = None
    """Of bona fide, or of same; the calibration is weighted to it, too."""
    cost_miss: float | None = None
    cost_false_alarm: float | None = None

    def __post_init__(self) -> None:
        if self.point not in POINTS:
            raise InputError(f"threshold: expected one of {', '.join(POINTS)}, got {self.point}")
        if self.prior is not None and not 0 < self.prior < 1:
            raise InputError(f"prior: expected a probability inside (0, 1), got {self.prior}")
        for name, cost in (("miss", self.cost_miss), ("false alarm", self.cost_false_alarm)):
            if cost is not None and not 0 < cost < float("inf"):
                raise InputError(f"cost of a {name}: expected a number above 0, got {cost}")

    def costs(self, task: DetectionCosts) -> DetectionCosts:
        """Prior and costs, those of the task where none are given."""
        given = (self.prior, self.cost_miss, self.cost_false_alarm)
        return DetectionCosts(
            *(usual if own is None else own for own, usual in zip(given, task, strict=True))
        )

    def choose(
        self,
        llrs: Tensor,
        labels: Tensor,
        trials: str,
        task: DetectionCosts = VERIFICATION_COSTS,
    ) -> tuple[float, str]:
        """The threshold on the LLRs ``[T]``, and the contract's words about it."""
        costs = self.costs(task)
        threshold, _, _ = threshold_at(llrs, labels, self.point, *costs)
        if self.point == "eer":
            return threshold, f"equal error rate on {len(llrs)} {trials}"
        words = (
            f"costs {costs.cost_miss:g} of a miss and {costs.cost_false_alarm:g} of a false alarm"
        )
        return threshold, f"minimum DCF at prior {costs.prior:g}, {words}, on {len(llrs)} {trials}"


def calibrate(scores: Tensor, labels: Tensor, prior: float, positive: str) -> Calibration:
    """Scale and offset from held-out scores ``[T]``; ``positive`` names label 1 for the error."""
    try:
        with warnings.catch_warnings():
            # Inverted scores are an error here, below.
            warnings.simplefilter("ignore", UserWarning)
            calibration = fit_affine_calibration(scores, labels, prior)
    except ValueError as error:
        raise InputError(f"held-out {error}; train on other recordings or more epochs") from error
    if calibration.scale <= 0:
        raise InputError(
            f"held-out scores: {positive} does not score higher than the rest; "
            "train on more recordings or for more epochs"
        )
    return calibration
