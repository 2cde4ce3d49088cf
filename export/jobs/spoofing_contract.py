"""The contract of a spoofing scorer, from its held-out scores."""

from torch import Tensor, nn

from export.jobs.threshold import ThresholdChoice, calibrate
from export.runtime import contract as contracts
from export.runtime.contract import Audio, Contract, Decision, Windows
from export.runtime.guards import Guards
from scriptable import SPOOFING_COSTS, EmbeddingPipeline, ScorePipeline


def make_contract(
    pipeline: ScorePipeline,
    sample_rate: int,
    hop: int,
    scores: Tensor,
    labels: Tensor,
    threshold: ThresholdChoice | None = None,
    guards: Guards | None = None,
) -> Contract:
    """Calibrate on the held-out part and put the threshold at the operating point.

    ``guards`` come from what the training part was, see :func:`export.runtime.guards.observed`.
    """
    point = threshold or ThresholdChoice()
    prior = point.costs(SPOOFING_COSTS).prior
    calibration = calibrate(scores, labels, prior, "bona fide")
    llrs = calibration.scale * scores + calibration.offset
    level, words = point.choose(llrs, labels, "held-out recordings", SPOOFING_COSTS)
    decision = Decision(
        scale=calibration.scale,
        offset=calibration.offset,
        prior=prior,
        threshold=level,
        operating_point=words,
    )
    return contract_of(pipeline, sample_rate, hop, decision, guards or Guards())


def contract_of(
    pipeline: ScorePipeline,
    sample_rate: int,
    hop: int,
    decision: Decision,
    guards: Guards,
    name: str = "",
) -> Contract:
    """The contract of a pipeline with the weights that it has now; its name is by default ours."""
    return Contract(
        model=name or model_name(pipeline),
        audio=Audio(sample_rate=sample_rate),
        windows=Windows(num_samples=pipeline.num_samples, hop=hop),
        decision=decision,
        guards=guards,
        versions=contracts.versions(),
        weights_sha256=contracts.weights_sha256(pipeline.state_dict()),
    )


def model_name(pipeline: ScorePipeline | EmbeddingPipeline) -> str:
    """Front end, encoder, and head or scorer, for people."""
    last = pipeline.head if isinstance(pipeline, ScorePipeline) else pipeline.scorer
    front = pipeline.frontend
    fronts = front if isinstance(front, nn.Sequential) else (front,)
    parts = (*fronts, pipeline.encoder, last)
    return " + ".join(type(part).__name__ for part in parts)
