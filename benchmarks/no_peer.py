"""Entries of the catalogue without a row of their own, and why."""

_NO_COUNTERPART = "no installed peer has it"
_SCORE = "a few operators on a handful of numbers: timed as an artefact, no peer has it"

NO_PEER = {
    "ASVSpoofAMSoftmaxLoss": "ESPnet's cannot be constructed",
    "ASVSpoofOCSoftmaxLoss": "ESPnet's cannot be constructed",
    "P2SGrad": _NO_COUNTERPART,
    "SphereFace2": _NO_COUNTERPART,
    "AngularPrototypical": _NO_COUNTERPART,
    "Prototypical": _NO_COUNTERPART,
    "MultiLoss": "the sum of heads that are timed",
    "MaxFeatureMap": "one operator",
    "AttentiveStatisticsPooling": "the peer's has another architecture",
    "LightCNN": "a small encoder of our own",
    "CausalLightCNN": "a small encoder of our own",
    "RunningStatisticsPooling": "timed in a scorer of streams: python -m benchmarks.stream",
    "StreamingScorePipeline": "python -m benchmarks.stream times it beside a window a hop",
    "StreamingEmbeddingPipeline": "made of parts that are timed",
    "ScorePipeline": "timed as an artefact: the scorer",
    "EmbeddingPipeline": "made of parts that are timed",
    "SASVPipeline": "made of parts that are timed",
    "cosine_score": _SCORE,
    "score_norm": _SCORE,
    "plda_score": "the peer's takes statistics objects in numpy, and has no gradient",
    "AffineCalibration": _SCORE,
    "Fusion": _SCORE,
    "posterior": _SCORE,
    "sasv_score": _SCORE,
}
