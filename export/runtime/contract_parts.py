"""The parts of a contract: audio, windows, decisions, and how embeddings are compared."""

from typing import Literal

from pydantic import Field, model_validator

from export.runtime._part import Part

# A header that asks for more is damaged: nothing is allocated for it.
_MOST_HZ = 768_000
_MOST_SAMPLES = 1 << 24

Averaging = Literal["mean_of_unit_vectors", "mean"]


class Audio(Part):
    r"""From a file's samples to one mono waveform, in this order: scale, mix down, resample.

    Integer samples of B bits are divided by 2^(B−1) (8-bit WAV, which is unsigned, after 128 is
    subtracted); floating-point samples are taken as they are. Nothing is ever clipped.

    Resampling :math:`x_0 … x_{L-1}` from the file's rate to ``sample_rate`` is skipped where the
    two are equal. Else, with o and n the two rates divided by their greatest common divisor,
    w = ``resampler_lowpass_filter_width`` and :math:`b = \min(o, n)` · ``resampler_rolloff``,

    .. math::

        y_j = \frac{b}{o} \sum_{i=0}^{L-1} x_i \, h\!\left(b\left(\frac{i}{o} -
        \frac{j}{n}\right)\right), \qquad
        h(t) = \frac{\sin πt}{πt} \cos^2\!\frac{πt}{2w}
        \text{ for } |t| < w, \quad h(0) = 1, \quad 0 \text{ elsewhere,}

    for j = 0 … ⌈L·n/o⌉ − 1, a length in exact integers. There is no delay to make up for, and
    beyond both ends x is zero. In float64, rounded to float32 at the end.
    """

    sample_rate: int = Field(
        gt=0, le=_MOST_HZ, description="Hz, of the waveform that the model takes"
    )
    # Not Literal: to it 6.0 is as good as 6, and other readers take another view.
    pcm16_divisor: int = Field(
        default=32768, ge=32768, le=32768, description="16-bit samples are divided by this"
    )
    mixdown: Literal["mean"] = Field(default="mean", description="of the channels, first")
    resampler: Literal["sinc_interp_hann"] = Field(
        default="sinc_interp_hann",
        description="second: Hann-windowed sinc, as torchaudio.functional.resample names it",
    )
    resampler_lowpass_filter_width: int = Field(
        default=6, ge=6, le=6, description="zero crossings a side"
    )
    resampler_rolloff: float = Field(
        default=0.99, ge=0.99, le=0.99, description="cut-off over the lower Nyquist"
    )


class _Windows(Part):
    """From a waveform to the model's input."""

    num_samples: int = Field(gt=0, le=_MOST_SAMPLES, description="samples N in a window")
    hop: int = Field(
        gt=0, le=_MOST_SAMPLES, description="samples from one window's start to the next's"
    )
    tail: Literal["align_end"] = Field(
        default="align_end",
        description="samples left after the last whole window: one more window, ending with them",
    )
    short: Literal["repeat"] = Field(
        default="repeat", description="audio shorter than N: repeated from its start until N"
    )


class Windows(_Windows):
    """From a waveform to the model's input, and from the windows' scores to one."""

    combine: Literal["mean"] = Field(default="mean", description="of the windows' raw scores")


_UNIT: Averaging = "mean_of_unit_vectors"


class EmbeddingWindows(_Windows):
    """From a waveform to the model's input, and from the windows' embeddings to one."""

    combine: Averaging = Field(
        default=_UNIT,
        description="mean_of_unit_vectors: each window's embedding is divided by its length, and "
        "the mean again; mean: of the embeddings as they are",
    )


class Decision(Part):
    """From the raw score to a decision: accept when scale·score + offset ≥ threshold."""

    polarity: Literal["higher_is_bonafide"] = Field(
        default="higher_is_bonafide", description="of the raw score"
    )
    scale: float = Field(gt=0, description="llr = scale·score + offset, in nats")
    offset: float = Field(description="in nats")
    prior: float = Field(gt=0, lt=1, description="probability of bona fide, for the posterior")
    threshold: float = Field(description="on the LLR; bona fide at or above it")
    operating_point: str = Field(description="what the threshold was chosen at, and on what")


class SpeakerDecision(Part):
    """From the raw score to a decision: same when scale·score + offset ≥ threshold."""

    polarity: Literal["higher_is_same"] = Field(
        default="higher_is_same", description="of the raw score"
    )
    scale: float = Field(gt=0, description="llr = scale·score + offset, in nats")
    offset: float = Field(description="in nats")
    prior: float = Field(gt=0, lt=1, description="probability of same, for the posterior")
    threshold: float = Field(description="on the LLR; same at or above it")
    operating_point: str = Field(description="what the threshold was chosen at, and on what")


class Scoring(Part):
    """From two recordings' embeddings to the raw score, by the artefact's method ``verify``.

    A cosine does not see lengths: its embeddings are unit vectors. A PLDA has its own centring and
    length normalisation inside ``verify``, so embeddings reach it as those that it was fitted on:
    as they are (``mean``), or as unit vectors.
    """

    backend: Literal["cosine", "plda"] = Field(
        default="cosine", description="of the enrolment's and the test's embedding"
    )
    embedding_dim: int = Field(
        gt=0, le=_MOST_SAMPLES, description="D; forward gives [1, D], verify takes two"
    )
    enrolment: Averaging = Field(
        default=_UNIT,
        description="several enrolment recordings: mean of their embeddings, divided by its length "
        "where it is mean_of_unit_vectors; the same as of the windows",
    )
    normalisation: Literal["none", "as_norm"] = Field(
        default="none", description="of the cosine, inside verify, by the artefact's own cohort"
    )
    cohort_size: int = Field(
        default=0, ge=0, le=_MOST_SAMPLES, description="embeddings in the cohort"
    )
    top_n: int = Field(
        default=0,
        ge=0,
        le=_MOST_SAMPLES,
        description="cohort scores that each side is normalised by",
    )

    @model_validator(mode="after")
    def _of_its_backend(self) -> "Scoring":
        if self.backend == "cosine" and self.enrolment != _UNIT:
            raise ValueError(f"enrolment: expected {_UNIT} for a cosine")
        if self.backend == "plda" and self.normalisation != "none":
            raise ValueError("normalisation: expected none for a PLDA")
        return self


class Fusion(Part):
    """From the speaker's and the spoofing score to the raw score, inside the method ``verify``."""

    form: Literal["sasv_llr"] = Field(
        default="sasv_llr",
        description="−log((1−ρ)·exp(−speaker LLR) + ρ·exp(−bona fide LLR)), arXiv 2406.10836",
    )
    spoof_prior: float = Field(
        gt=0, lt=1, description="ρ: of what is to be rejected, the share that is spoofed"
    )
