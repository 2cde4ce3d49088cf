"""A scorer or a verifier from a configuration file: its modules, with random weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from export.jobs import config_keys, parts
from export.jobs.config_keys import (
    UNCALIBRATED,
    Calibration,
    Countermeasure,
    FusedScores,
    Keywords,
    Window,
    section,
)
from export.jobs.names import Rename
from export.jobs.probe import (
    check_behaviour,
    check_embedding,
    check_score,
    fitted_encoder,
)
from export.jobs.speaker_contract import About
from export.jobs.voice_scorer import VoiceScoring
from export.jobs.yaml_file import YamlFile
from export.runtime.contract import Decision, SpeakerDecision
from scriptable import (
    ConfigError,
    EmbeddingPipeline,
    SASVPipeline,
    SASVScore,
    ScorePipeline,
    build_loss,
)

Pipeline = ScorePipeline | EmbeddingPipeline | SASVPipeline


@dataclass(frozen=True)
class Scorer:
    """What the configuration describes; the weights are random."""

    task: str
    """Spoofing, verification or sasv."""
    pipeline: Pipeline
    about: About
    calibration: Calibration
    rename: Rename
    """From the names in a checkpoint to those of the pipeline."""
    file: YamlFile
    scoring: VoiceScoring
    countermeasure_calibration: Calibration = UNCALIBRATED
    """Of the countermeasure in a SASV verifier alone."""
    countermeasure_rename: Rename | None = None
    """From the names in a checkpoint of its own to those of the countermeasure."""

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.about.sample_rate

    @property
    def num_samples(self) -> int:
        """Of a window."""
        pipeline = self.pipeline
        return (pipeline.speaker if isinstance(pipeline, SASVPipeline) else pipeline).num_samples

    @property
    def calibrated(self) -> bool:
        """Whether the file says what the scores mean."""
        return self.calibration is not UNCALIBRATED

    @property
    def speaker_decision(self) -> SpeakerDecision:
        """What the configuration says of same and different."""
        return SpeakerDecision.model_validate(asdict(self.calibration))

    @property
    def spoofing_decision(self) -> Decision:
        """What it says of bona fide and spoof."""
        sasv = self.task == "sasv"
        said = self.countermeasure_calibration if sasv else self.calibration
        return Decision.model_validate(asdict(said))

    def check(self) -> tuple[str, ...]:
        """Remarks on what the model does with the weights that it has now.

        Raises:
            InputError: with file and line, if it does what no saved file could.
        """
        pipeline = self.pipeline
        try:
            if not isinstance(pipeline, SASVPipeline):
                return check_behaviour(pipeline, pipeline.num_samples)
            n = pipeline.speaker.num_samples
            remarks = check_behaviour(pipeline.speaker, n)
            with _of_countermeasure():
                return remarks + check_behaviour(pipeline.countermeasure, n)
        except ConfigError as error:
            raise self.file.refuse(error) from error


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
    keywords: Keywords = section(Keywords, "the configuration", file.value, ())
    config_keys.check_task(keywords)
    window: Window = section(Window, "window", keywords.window, ("window",))
    calibration = config_keys.calibration(keywords.calibration, ("calibration",))
    rename = config_keys.rename(keywords.rename, ("rename",))
    scoring: VoiceScoring = section(VoiceScoring, "scoring", keywords.scoring, ("scoring",))
    rate, n = keywords.sample_rate, window.num_samples
    about = About(
        sample_rate=rate,
        hop=window.hop or max(1, n // 2),
        name=keywords.name,
        guards=config_keys.guards(keywords.guards),
        averaging=scoring.averaging,
    )
    common: dict[str, Any] = {
        "task": keywords.task,
        "about": about,
        "calibration": calibration,
        "rename": rename,
        "file": file,
        "scoring": scoring,
    }
    if keywords.task == "spoofing":
        return Scorer(pipeline=_score_pipeline(keywords, rate, n), **common)
    speaker = _embedding_pipeline(keywords, rate, n)
    if keywords.task == "verification":
        return Scorer(pipeline=speaker, **common)
    fused: FusedScores = section(FusedScores, "fusion", keywords.fusion, ("fusion",))
    said: Countermeasure = section(
        Countermeasure, "countermeasure", keywords.countermeasure, ("countermeasure",)
    )
    with _of_countermeasure():
        countermeasure = _score_pipeline(said, rate, n)
        cm = config_keys.calibration(said.calibration, ("calibration",))
        cm_rename = config_keys.rename(said.rename, ("rename",))
    fusion = SASVScore(fused.asv_scale, fused.asv_offset, cm.scale, cm.offset, fused.spoof_prior)
    return Scorer(
        pipeline=SASVPipeline(speaker, countermeasure, fusion).eval(),
        countermeasure_calibration=cm,
        countermeasure_rename=cm_rename,
        **common,
    )


def _score_pipeline(
    said: Keywords | Countermeasure, sample_rate: int, num_samples: int
) -> ScorePipeline:
    frontend = parts.frontend(said.frontend, sample_rate).eval()
    encoder = fitted_encoder(frontend, parts.encoder(said.encoder).eval(), num_samples)
    try:
        pipeline = ScorePipeline(frontend, encoder, build_loss(said.loss), num_samples).eval()
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(("loss",), str(error)) from error
    check_score(pipeline, num_samples, ("loss",))
    return pipeline


def _embedding_pipeline(
    keywords: Keywords, sample_rate: int, num_samples: int
) -> EmbeddingPipeline:
    frontend = parts.frontend(keywords.frontend, sample_rate).eval()
    encoder = fitted_encoder(frontend, parts.encoder(keywords.encoder).eval(), num_samples)
    pipeline = EmbeddingPipeline(frontend, encoder, num_samples).eval()
    check_embedding(pipeline, num_samples)
    return pipeline


@contextmanager
def _of_countermeasure() -> Iterator[None]:
    """Errors at the keys of a countermeasure; the window is that of the whole file."""
    try:
        yield
    except ConfigError as error:
        if error.keys[:1] == ("window",):
            raise
        raise ConfigError(("countermeasure", *error.keys), error.problem) from error
