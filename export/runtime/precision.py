"""What a contract says of a file with fewer bits than float32: the guard it was held to."""

from typing import Literal

from pydantic import Field, StrictFloat, field_validator

from export.runtime._part import Part

_MOST = 1 << 24


class PrecisionGuard(Part):
    """How the file's decisions compare with the trained model's, and what was borne.

    Passed: at most ``most_flips`` other decisions, no score further off than ``score_tolerance``,
    and no rise of the equal error rate whose interval lies above zero.
    """

    verdict: Literal["passed", "forced"] = Field(
        description="forced: refused by the guard, and written because it was asked for"
    )
    trials: int = Field(ge=1, le=_MOST, description="that the decisions were compared on")
    flips: int = Field(ge=0, le=_MOST, description="decisions unlike the trained model's")
    most_flips: int = Field(ge=0, le=_MOST, description="that are borne")
    max_score_error: float = Field(
        ge=0, description="of the raw score, over these trials and, where at hand, real speech"
    )
    score_tolerance: float = Field(
        gt=0,
        description="of the raw score: how far it may be from the trained model's, and the scores "
        "of one window from each other on two processors",
    )
    delta_eer: tuple[StrictFloat, ...] = Field(
        strict=False,
        description="rise of the equal error rate, and its 95 % interval; none where all trials "
        "are of one class",
    )
    calibration_windows: int = Field(
        ge=0, le=_MOST, description="of audio that the ranges of integers were chosen on"
    )

    @field_validator("delta_eer")
    @classmethod
    def _none_or_three(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) not in (0, 3):
            raise ValueError(f"expected no number or three, got {len(value)}")
        return value
