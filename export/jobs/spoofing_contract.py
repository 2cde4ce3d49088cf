"""The contract of a spoofing scorer, from its held-out scores."""

from torch import Tensor

from export.jobs.threshold import ThresholdChoice, calibrate
from export.runtime import contract as contracts
from export.runtime.contract import Audio, Contract, Decision, Windows
from scriptable import EmbeddingPipeline, ScorePipeline


def make_contract(
    pipeline: ScorePipeline,
    sample_rate: int,
    hop: int,
    scores: Tensor,
    labels: Tensor,
    threshold: ThresholdChoice | None = None,
) -> Contract:
    """Calibrate on the held-out part and put the threshold at the operating point."""
    point = threshold or ThresholdChoice()
    calibration = calibrate(scores, labels, point.prior, "bona fide")
    llrs = calibration.scale * scores + calibration.offset
    level, words = point.choose(llrs, labels, "held-out recordings")
    return Contract(
        model=model_name(pipeline),
        audio=Audio(sample_rate=sample_rate),
        windows=Windows(num_samples=pipeline.num_samples, hop=hop),
        decision=Decision(
            scale=calibration.scale,
            offset=calibration.offset,
            prior=point.prior,
            threshold=level,
            operating_point=words,
        ),
        versions=contracts.versions(),
        weights_sha256=contracts.weights_sha256(pipeline.state_dict()),
    )


def model_name(pipeline: ScorePipeline | EmbeddingPipeline) -> str:
    """Front end, encoder, and head or scorer, for people."""
    last = pipeline.head if isinstance(pipeline, ScorePipeline) else pipeline.scorer
    parts = (pipeline.frontend, pipeline.encoder, last)
    return " + ".join(type(part).__name__ for part in parts)
