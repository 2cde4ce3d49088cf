"""The contract of a speaker verifier, with or without a countermeasure, and how it is drawn."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from export.catalog import Row, draw
from export.jobs.spoofing_contract import model_name
from export.jobs.threshold import ThresholdChoice, calibrate
from export.jobs.voice_scorer import averaging_of, embedding_dim
from export.runtime import contract as contracts
from export.runtime.contract import (
    Audio,
    Averaging,
    Decision,
    EmbeddingWindows,
    Fusion,
    SASVContract,
    Scoring,
    SpeakerContract,
    SpeakerDecision,
    VerificationContract,
)
from export.runtime.guards import Guards
from scriptable import (
    PLDA,
    VERIFICATION_COSTS,
    EmbeddingPipeline,
    SASVPipeline,
    ScoreNorm,
    cut_windows,
)

_IDENTITY: dict[str, Any] = {"scale": 1, "offset": 0, "prior": 0.5, "threshold": 0}
NOT_DECIDED = SpeakerDecision(**_IDENTITY, operating_point="none yet")
SPOOF_NOT_DECIDED = Decision(**_IDENTITY, operating_point="none yet")


@dataclass(frozen=True)
class About:
    """What a contract says beside its scoring and its decisions."""

    sample_rate: int
    hop: int
    name: str = ""
    """Of the model; by default the names of its parts."""
    guards: Guards = field(default_factory=Guards)
    caution: str = ""
    averaging: Averaging | None = None
    """Of windows and recordings; None: as the scorer expects."""


def decided(
    scores: Tensor, labels: Tensor, choice: ThresholdChoice, trials: str
) -> SpeakerDecision:
    """Calibration and threshold from the raw scores ``[T]`` of trials; ``trials`` names them."""
    prior = choice.costs(VERIFICATION_COSTS).prior
    scale, offset = calibrate(scores, labels, prior, "the same speaker")
    threshold, words = choice.choose(scale * scores + offset, labels, trials, VERIFICATION_COSTS)
    return SpeakerDecision(
        scale=scale, offset=offset, prior=prior, threshold=threshold, operating_point=words
    )


def speaker_contract(
    module: EmbeddingPipeline | SASVPipeline,
    about: About,
    decision: SpeakerDecision = NOT_DECIDED,
    countermeasure: Decision = SPOOF_NOT_DECIDED,
) -> SpeakerContract:
    """The contract of a module with the weights that it has now.

    ``countermeasure`` is for a :class:`scriptable.SASVPipeline`: what its spoofing score means.
    """
    speaker = speaker_of(module)
    model = model_name(speaker)
    if isinstance(module, SASVPipeline):
        model += f"; {model_name(module.countermeasure)}"
    scoring = scoring_of(speaker, about.averaging)
    windows = EmbeddingWindows(
        num_samples=speaker.num_samples, hop=about.hop, combine=scoring.enrolment
    )
    common: dict[str, Any] = {
        "model": about.name or model,
        "audio": Audio(sample_rate=about.sample_rate),
        "windows": windows,
        "scoring": scoring,
        "decision": decision,
        "caution": about.caution,
        "guards": about.guards,
        "versions": contracts.versions(),
        "weights_sha256": contracts.weights_sha256(module.state_dict()),
    }
    if not isinstance(module, SASVPipeline):
        return VerificationContract(**common)
    fusion = Fusion(spoof_prior=module.fusion.spoof_prior)
    return SASVContract(**common, countermeasure=countermeasure, fusion=fusion)


def scoring_of(pipeline: EmbeddingPipeline, averaging: Averaging | None = None) -> Scoring:
    """What the contract says of the pipeline's scorer."""
    scorer, dim = pipeline.scorer, embedding_dim(pipeline)
    how = averaging or averaging_of(scorer)
    if isinstance(scorer, ScoreNorm):
        return Scoring(
            embedding_dim=dim,
            enrolment=how,
            normalisation="as_norm",
            cohort_size=len(scorer.cohort),
            top_n=scorer.top,
        )
    if isinstance(scorer, PLDA):
        return Scoring(embedding_dim=dim, backend="plda", enrolment=how)
    return Scoring(embedding_dim=dim, enrolment=how)


def speaker_of(module: EmbeddingPipeline | SASVPipeline) -> EmbeddingPipeline:
    """The part that embeds."""
    return module.speaker if isinstance(module, SASVPipeline) else module


def verifier_row(module: EmbeddingPipeline | SASVPipeline, stem: str) -> Row:
    """How a verifier is drawn for parity: one window, and two embeddings with a spoofing score."""
    speaker = speaker_of(module)
    spoofing = isinstance(module, SASVPipeline)
    n, dim = speaker.num_samples, embedding_dim(speaker)
    return Row(
        entry=type(module).__name__,
        variant=stem,
        module=lambda: module,
        methods={
            "forward": lambda g: (draw.waveform(g, 1, n),),
            "verify": lambda g: (
                draw.normal(g, 1, dim),
                draw.normal(g, 1, dim),
                *((draw.normal(g, 1),) if spoofing else ()),
            ),
        },
        speech={"forward": lambda waveform: (cut_windows(waveform, n, n)[:1],)},
        on_device=True,
    )
