"""A scorer from a configuration file: front end, encoder, head, calibration, window."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import torch

from export.jobs import parts, verification
from export.jobs.names import Rename
from export.jobs.probe import (
    check_behaviour,
    check_embedding,
    check_score,
    fitted_encoder,
)
from export.jobs.spoofing_contract import model_name
from export.jobs.yaml_file import YamlFile
from export.runtime import contract as contracts
from export.runtime.contract import (
    Audio,
    Contract,
    Decision,
    EmbeddingWindows,
    SpeakerDecision,
    VerificationContract,
    Windows,
)
from scriptable import ConfigError, EmbeddingPipeline, ScorePipeline, build_loss
from scriptable.config import Keys, construct


@dataclass(frozen=True)
class Window:
    """The key ``window``, in samples."""

    num_samples: int = 64600
    hop: Optional[int] = None

    def __post_init__(self) -> None:
        for name, value in (("num_samples", self.num_samples), ("hop", self.hop)):
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")


@dataclass(frozen=True)
class Calibration:
    """The key ``calibration``: llr = scale·score + offset, bona fide at or above the threshold."""

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.0
    prior: float = 0.5
    operating_point: str = "as the configuration gives it"

    def __post_init__(self) -> None:
        for name in ("scale", "offset", "threshold"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name}: expected a finite number, got {getattr(self, name)}")
        if not self.scale > 0:
            raise ValueError(f"scale: expected a value above 0, got {self.scale}")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior: expected a probability inside (0, 1), got {self.prior}")


@dataclass(frozen=True)
class Cohort:
    """The key ``scoring`` of a verifier: AS-norm by a cohort, or none."""

    cohort: Optional[str] = None
    """A folder of recordings, or a file of embeddings ``[C, D]``, seen from the configuration."""
    top_n: int = 300

    def __post_init__(self) -> None:
        if self.top_n < 1:
            raise ValueError(f"top_n: expected 1 or more, got {self.top_n}")


@dataclass(frozen=True)
class Keywords:
    """The keys of the whole file."""

    encoder: Any
    loss: Any = None
    frontend: Any = None
    sample_rate: int = 16000
    window: Any = None
    calibration: Any = None
    name: str = ""
    rename: Any = None
    task: Literal["spoofing", "verification"] = "spoofing"
    scoring: Any = None

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise ValueError(f"sample_rate: expected 1 or more, got {self.sample_rate}")


@dataclass(frozen=True)
class Scorer:
    """What the configuration describes; the weights are random."""

    pipeline: ScorePipeline | EmbeddingPipeline
    sample_rate: int
    hop: int
    calibration: Calibration
    calibrated: bool
    name: str
    rename: Rename
    """From the names in a checkpoint to those of the pipeline."""
    file: YamlFile
    scoring: Cohort

    def check(self) -> tuple[str, ...]:
        """Remarks on what the model does with the weights that it has now.

        Raises:
            InputError: with file and line, if it does what no saved file could.
        """
        try:
            return check_behaviour(self.pipeline, self.pipeline.num_samples)
        except ConfigError as error:
            raise self.file.refuse(error) from error

    def contract(self) -> Contract | VerificationContract:
        """The contract of the pipeline with the weights that it has now."""
        uncalibrated = "not calibrated: the LLR is the raw score"
        pipeline = self.pipeline
        said = {
            "scale": self.calibration.scale,
            "offset": self.calibration.offset,
            "prior": self.calibration.prior,
            "threshold": self.calibration.threshold,
            "operating_point": self.calibration.operating_point
            if self.calibrated
            else uncalibrated,
        }
        common: dict[str, Any] = {
            "model": self.name or model_name(pipeline),
            "audio": Audio(sample_rate=self.sample_rate),
            "versions": contracts.versions(),
            "weights_sha256": contracts.weights_sha256(pipeline.state_dict()),
        }
        samples, hop = pipeline.num_samples, self.hop
        if isinstance(pipeline, ScorePipeline):
            return Contract(
                windows=Windows(num_samples=samples, hop=hop),
                decision=Decision.model_validate(said),
                **common,
            )
        return VerificationContract(
            windows=EmbeddingWindows(num_samples=samples, hop=hop),
            scoring=verification.scoring_of(pipeline),
            decision=SpeakerDecision.model_validate(said),
            **common,
        )


def read_config(path: Path) -> Scorer:
    """Build what a YAML file describes.

    Raises:
        InputError: with file and line, if a key is unknown, missing or of the wrong type, or the
            parts do not fit together.
    """
    file = YamlFile(path)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return _build(file)
    except ConfigError as error:
        raise file.refuse(error) from error


def _build(file: YamlFile) -> Scorer:
    keywords: Keywords = _section(Keywords, "the configuration", file.value, ())
    window: Window = _section(Window, "window", keywords.window, ("window",))
    calibration = _section(Calibration, "calibration", keywords.calibration, ("calibration",))
    rename = _rename(keywords.rename)
    frontend = parts.frontend(keywords.frontend, keywords.sample_rate).eval()
    encoder = parts.encoder(keywords.encoder).eval()
    scoring: Cohort = _section(Cohort, "scoring", keywords.scoring, ("scoring",))
    encoder = fitted_encoder(frontend, encoder, window.num_samples)
    pipeline: ScorePipeline | EmbeddingPipeline
    if keywords.task == "verification":
        _only_for("spoofing", "loss", keywords.loss)
        pipeline = EmbeddingPipeline(frontend, encoder, window.num_samples).eval()
        check_embedding(pipeline, window.num_samples)
    else:
        _only_for("verification", "scoring", keywords.scoring)
        if keywords.loss is None:
            raise ConfigError(("loss",), "missing argument of the configuration")
        try:
            pipeline = ScorePipeline(
                frontend, encoder, build_loss(keywords.loss), window.num_samples
            ).eval()
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(("loss",), str(error)) from error
        check_score(pipeline, window.num_samples, ("loss",))
    return Scorer(
        pipeline,
        keywords.sample_rate,
        window.hop or max(1, window.num_samples // 2),
        calibration,
        keywords.calibration is not None,
        keywords.name,
        rename,
        file,
        scoring,
    )


def _only_for(task: str, key: str, value: Any) -> None:
    if value is not None:
        raise ConfigError((key,), f"is for task: {task}")


def _rename(value: Any) -> Rename:
    """The key ``rename``: patterns that can be compiled, and what they become."""
    keys: Keys = ("rename",)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(keys, "expected a mapping of pattern to replacement")
    for pattern, replacement in value.items():
        try:
            if not isinstance(pattern, str) or not isinstance(replacement, (str, type(None))):
                raise ConfigError(
                    (*keys, str(pattern)), "expected a text for a pattern, or null to leave it out"
                )
            re.sub(pattern, replacement or "", "")
        except re.error as error:
            said = f"not a regular expression with its replacement: {error}"
            raise ConfigError((*keys, pattern), said) from error
    return dict(value)


def _section(kind: type, name: str, value: Any, keys: Keys) -> Any:
    if value is None and keys:
        value = {}
    if not isinstance(value, Mapping):
        raise ConfigError(keys, f"expected a mapping, got {type(value).__name__}")
    return construct(kind, name, value, keys)
