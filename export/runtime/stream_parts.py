"""The parts of the score contract that only a stream has."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from export.runtime._part import Part

_MOST_SAMPLES = 1 << 24
# Ten years at 48 kHz, and exact in a double.
_MOST_HEARD = 1 << 44


class Stream(Part):
    """From samples as they come to calls of the model, and what is kept between two."""

    chunk_samples: int = Field(gt=0, le=_MOST_SAMPLES, description="samples C of a chunk")
    state_size: int = Field(gt=0, le=_MOST_SAMPLES, description="numbers S in the state, float32")
    initial_state: Literal["zeros"] = Field(
        default="zeros", description="what a stream begins with, and again after a reset"
    )
    warmup_samples: int = Field(
        ge=0, le=_MOST_SAMPLES, description="heard before which no score says anything"
    )
    tail: Literal["drop"] = Field(
        default="drop", description="samples that fill no chunk when the stream stops: not scored"
    )
    refused: Literal["keep_state"] = Field(
        default="keep_state",
        description="a chunk with a sample, or with a result, that is not finite: not counted, the "
        "state stays as it was before it",
    )
    longest_gap: int = Field(
        ge=0,
        le=_MOST_SAMPLES,
        description="samples that may be missing between two; after more the stream begins anew",
    )


class ElapsedCalibration(Part):
    """Scale and offset of scores from so many samples on."""

    samples: int = Field(ge=0, le=_MOST_HEARD, description="heard since the stream began, at least")
    scale: float = Field(gt=0, description="llr = scale·score + offset, in nats")
    offset: float = Field(description="in nats")


class StreamDecision(Part):
    """From the raw score after n samples to a decision, by the last row whose samples are ≤ n."""

    polarity: Literal["higher_is_bonafide"] = Field(
        default="higher_is_bonafide", description="of the raw score"
    )
    calibration: tuple[ElapsedCalibration, ...] = Field(
        strict=False,
        min_length=1,
        max_length=64,
        description="by rising samples; before the first row's there is no decision",
    )
    prior: float = Field(gt=0, lt=1, description="probability of bona fide, for the posterior")
    threshold: float = Field(description="on the LLR; bona fide at or above it")
    operating_point: str = Field(description="what the threshold was chosen at, and on what")

    @model_validator(mode="after")
    def _rising(self) -> "StreamDecision":
        counts = [row.samples for row in self.calibration]
        if any(later <= earlier for earlier, later in pairwise(counts)):
            raise ValueError(f"calibration: expected rising samples, got {counts}")
        return self

    def at(self, samples: int) -> ElapsedCalibration | None:
        """The row that holds after so many samples; None before the first."""
        held = [row for row in self.calibration if row.samples <= samples]
        return held[-1] if held else None

    @property
    def scale(self) -> float:
        """Of the last row, which holds of long recordings."""
        return self.calibration[-1].scale

    @property
    def offset(self) -> float:
        """Of the last row."""
        return self.calibration[-1].offset
