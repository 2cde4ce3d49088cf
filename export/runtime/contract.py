"""The score contract: one JSON document in every artefact that says what its score means.

The artefact returns the raw score of one window. Everything around it, from the microphone's
integers to the decision, is in the contract, so that implementations in other languages agree.

``task`` says which document it is: ``spoofing`` (:class:`Contract`), ``verification``
(:class:`VerificationContract`), ``sasv`` (:class:`SASVContract`), which answers both, or
``streaming`` (:class:`StreamingContract`).
"""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

import scriptable
from export.backends import UNSEALED, all_backends
from export.errors import ArtefactError
from export.runtime._part import Part, left_out, read_object
from export.runtime._weights import weights_sha256 as weights_sha256
from export.runtime.contract_parts import (
    Audio as Audio,
)
from export.runtime.contract_parts import (
    Averaging as Averaging,
)
from export.runtime.contract_parts import (
    Decision as Decision,
)
from export.runtime.contract_parts import (
    EmbeddingWindows as EmbeddingWindows,
)
from export.runtime.contract_parts import (
    Fusion as Fusion,
)
from export.runtime.contract_parts import (
    Scoring as Scoring,
)
from export.runtime.contract_parts import (
    SpeakerDecision as SpeakerDecision,
)
from export.runtime.contract_parts import (
    Windows as Windows,
)
from export.runtime.guards import Guards
from export.runtime.precision import PrecisionGuard
from export.runtime.stream_parts import Stream, StreamDecision

_SINCE_2 = ("guards", "precision", "notes", "file_sha256")
_OPTIONAL = frozenset({"caution", "precision_guard"})

AUTOCAST = "run a .pt or .ptl file outside torch.autocast: in half precision its scores differ"


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
    precision_guard: PrecisionGuard | None = Field(
        default=None, description="of mixed16 and int8 alone: what the file was held to"
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
        if self.precision_guard is not None and self.precision not in ("mixed16", "int8"):
            raise ValueError("precision_guard: is of mixed16 and int8 alone")
        return self

    @model_serializer(mode="wrap")
    def _without_idle(self, usual: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What other readers do not know, only where it says something."""
        fields: dict[str, Any] = usual(self)
        if fields.get("precision_guard") is None:
            fields.pop("precision_guard", None)
        return fields

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
        if None in [document.get(name, "") for name in _OPTIONAL]:
            raise ValueError("document: null stands for nothing here")
        contract = _TASKS[task].model_validate_json(text)
        if absent := left_out(contract, _OPTIONAL):
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
