"""The score contract: one JSON document in every artefact that says what its score means.

The artefact returns the raw score of one window. Everything around it, from the microphone's
integers to the decision, is in the contract, so that implementations in other languages agree.

``task`` says which document it is: ``spoofing`` (:class:`Contract`), ``verification``
(:class:`VerificationContract`), ``sasv`` (:class:`SASVContract`), which answers both, or
``streaming`` (:class:`StreamingContract`).
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

import scriptable
from export.backends import UNSEALED, all_backends
from export.errors import ArtefactError
from export.runtime._part import Part, left_out, read_object
from export.runtime._weights import weights_sha256 as weights_sha256
from export.runtime.guards import Guards
from export.runtime.stream_parts import Stream, StreamDecision

_SINCE_2 = ("guards", "precision", "notes", "file_sha256")

# A header that asks for more is damaged: nothing is allocated for it.
_MOST_HZ = 768_000
_MOST_SAMPLES = 1 << 24

Averaging = Literal["mean_of_unit_vectors", "mean"]

AUTOCAST = "run a .pt or .ptl file outside torch.autocast: in half precision its scores differ"


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


class _Document(Part):
    """What every task's document says."""

    schema_version: int = Field(
        default=2,
        ge=1,
        le=2,
        description="of this document; version 1 has none of the last four fields",
    )
    task: str = Field(description="what is decided")
    model: str = Field(description="front end, encoder and head, for people")
    audio: Audio
    versions: dict[str, str] = Field(description="of the packages that made the artefact")
    weights_sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="over the named tensors, see weights_sha256()"
    )
    guards: Guards | None = Field(
        default=Guards(), description="beneath which the decision is undecided"
    )
    precision: Literal["float32", "mixed16", "int8"] | None = Field(
        default="float32", description="of the arithmetic inside the file"
    )
    notes: tuple[str, ...] | None = Field(
        default=(AUTOCAST,), strict=False, description="for people"
    )
    file_sha256: str | None = Field(
        default=UNSEALED,
        pattern="^[0-9a-f]{64}$",
        description="over the whole file, this field blank; zeros in a zip archive, where "
        "the digest stands in the archive's comment",
    )

    @model_validator(mode="before")
    @classmethod
    def _of_its_version(cls, values: Any) -> Any:
        """Version 1 neither has nor gets what version 2 brought."""
        if isinstance(values, dict) and values.get("schema_version") == 1:
            if new := [name for name in _SINCE_2 if values.get(name) is not None]:
                raise ValueError(f"{new[0]}: is of schema version 2")
            return {**values, **dict.fromkeys(_SINCE_2)}
        return values

    @model_validator(mode="after")
    def _whole(self) -> "_Document":
        if self.schema_version == 2 and None in [getattr(self, name) for name in _SINCE_2]:
            raise ValueError("schema version 2 needs " + ", ".join(_SINCE_2))
        return self

    def document(self) -> dict[str, Any]:
        """What goes into JSON: of version 1 without the fields that it has not."""
        return self.model_dump(mode="json", exclude_none=True)


class Contract(_Document):
    """The whole document of a spoofing scorer: ``forward`` gives the raw score of a window."""

    task: Literal["spoofing"] = Field(default="spoofing", description="what is decided")
    windows: Windows
    decision: Decision

    def llr(self, score: float) -> float:
        """Raw score → log-likelihood ratio in nats."""
        return self.decision.scale * score + self.decision.offset

    def decide(self, llr: float) -> Literal["bonafide", "spoof"]:
        """LLR → decision."""
        return "bonafide" if llr >= self.decision.threshold else "spoof"

    def posterior(self, llr: float) -> float:
        """LLR → probability of bona fide at the contract's prior."""
        return scriptable.posterior(llr, self.decision.prior)


class _SpeakerDocument(_Document):
    """What the documents of the two tasks with an enrolment share."""

    windows: EmbeddingWindows
    scoring: Scoring
    decision: SpeakerDecision
    caution: str = Field(
        default="", description="for people: what the model must not be trusted with, if anything"
    )

    @model_validator(mode="after")
    def _averaged_alike(self) -> "_SpeakerDocument":
        if self.scoring.enrolment != self.windows.combine:
            raise ValueError(f"scoring.enrolment: expected {self.windows.combine}, as the windows")
        return self

    def llr(self, score: float) -> float:
        """Raw score → log-likelihood ratio in nats."""
        return self.decision.scale * score + self.decision.offset

    def decide(self, llr: float) -> Literal["same", "different"]:
        """LLR → decision."""
        return "same" if llr >= self.decision.threshold else "different"

    def posterior(self, llr: float) -> float:
        """LLR → probability of same at the contract's prior."""
        return scriptable.posterior(llr, self.decision.prior)


class VerificationContract(_SpeakerDocument):
    """The whole document of a speaker verifier.

    ``forward`` gives an embedding ``[1, D]`` of a window; ``verify`` takes the enrolment's and the
    test's embedding and gives the raw score ``[1, 1]``.
    """

    task: Literal["verification"] = Field(default="verification", description="what is decided")


class SASVContract(_SpeakerDocument):
    """The whole document of a verifier that no spoof shall pass: both questions in one number.

    ``forward`` gives an embedding and the raw spoofing score ``[1]`` of a window, which
    ``countermeasure`` is about; ``verify`` takes two embeddings and the test's spoofing score (the
    mean over its windows) and gives the raw score ``[1, 1]`` that ``decision`` is about: same means
    the enrolled speaker, live.
    """

    task: Literal["sasv"] = Field(default="sasv", description="what is decided")
    countermeasure: Decision
    fusion: Fusion

    def spoofing(self) -> Contract:
        """What the spoofing score alone means."""
        same = {name: getattr(self, name) for name in _Document.model_fields if name != "task"}
        windows = Windows(num_samples=self.windows.num_samples, hop=self.windows.hop)
        return Contract(**same, windows=windows, decision=self.countermeasure)


class StreamingContract(_Document):
    """The whole document of a scorer of streams.

    ``forward`` takes a chunk ``[1, C]`` and the state ``[1, S]`` and gives the raw score ``[1]`` of
    all that was heard since the stream began, and the new state.
    """

    task: Literal["streaming"] = Field(default="streaming", description="what is decided")
    stream: Stream
    decision: StreamDecision

    @model_validator(mode="after")
    def _of_this_stream(self) -> "StreamingContract":
        if self.schema_version < 2:
            raise ValueError("task: streaming is of schema version 2")
        first = self.decision.calibration[0].samples
        if first < self.stream.warmup_samples:
            raise ValueError(
                f"decision.calibration: expected to begin at {self.stream.warmup_samples} samples, "
                f"stream.warmup_samples, or later, got {first}"
            )
        return self

    def llr(self, score: float, samples: int | None = None) -> float:
        """Raw score after so many samples → LLR in nats; after None, by the table's last row."""
        row = self.decision.calibration[-1] if samples is None else self.decision.at(samples)
        if row is None:
            raise ValueError(f"samples: nothing is calibrated after {samples} samples")
        return row.scale * score + row.offset

    def decide(self, llr: float) -> Literal["bonafide", "spoof"]:
        """LLR → decision."""
        return "bonafide" if llr >= self.decision.threshold else "spoof"

    def posterior(self, llr: float) -> float:
        """LLR → probability of bona fide at the contract's prior."""
        return scriptable.posterior(llr, self.decision.prior)


SpeakerContract = VerificationContract | SASVContract
AnyContract = Contract | SpeakerContract | StreamingContract
_TASKS: dict[str, type[AnyContract]] = {
    "spoofing": Contract,
    "verification": VerificationContract,
    "sasv": SASVContract,
    "streaming": StreamingContract,
}


def parse(text: str, name: str) -> Contract:
    """Read a spoofing contract; ``name`` is the file that it came from, for the error."""
    contract = parse_any(text, name)
    if not isinstance(contract, Contract):
        raise ArtefactError(f"{name}: score contract: task: expected spoofing, got {contract.task}")
    return contract


def parse_any(text: str, name: str) -> AnyContract:
    """Read the contract of whichever task; ``name`` is the file that it came from.

    Raises:
        ArtefactError: if there is none, or it is not exactly a document of this schema: nothing
            unknown, nothing left out, nothing twice, no number as a text.
    """
    if not text:
        raise ArtefactError(f"{name}: has no score contract; export it with python -m export")
    try:
        document = read_object(text)
        task = document.get("task")
        if not isinstance(task, str) or task not in _TASKS:
            raise ValueError(f"task: expected one of {', '.join(_TASKS)}, got {task!r:.40}")
        contract = _TASKS[task].model_validate_json(text)
        if absent := left_out(contract, frozenset({"caution"})):
            raise ValueError(f"{absent}: Field required")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "document"
        raise ArtefactError(f"{name}: score contract: {place}: {first['msg']}") from error
    except ValueError as error:
        raise ArtefactError(f"{name}: score contract: {error}") from error
    return contract


def versions() -> dict[str, str]:
    """Installed versions of the packages that shape an artefact."""
    found = {"scriptable": scriptable.__version__}
    for package in sorted({"torch", "torchaudio", *(b.package for b in all_backends().values())}):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
