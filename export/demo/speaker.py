"""The demo's other two tasks: a speaker verifier, and one that no spoof shall pass.

The embedding is trained on a handful of speakers: it proves the path from training to a decision
on the device, and its error rates say nothing about speaker verification.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from export.catalog import Row, draw
from export.corpus import BONA_FIDE, Utterance, three_parts
from export.demo.options import HELD_OUT, Options, audio_for_parity, read_corpus
from export.demo.speaker_trials import trials_of
from export.demo.training import Settings, train, train_embedder
from export.errors import InputError
from export.jobs.publish import Product, publish
from export.jobs.speaker_trials import (
    SpeakerTrials,
    lines_of,
    raw_scores,
    run_trials,
    trial_list,
)
from export.jobs.steps import labels_of, score
from export.jobs.threshold import ThresholdChoice, calibrate
from export.metrics.score_files import write_scores
from export.progress import Progress
from export.report.result import Result
from export.runtime import contract as contracts
from export.runtime.contract import (
    Audio,
    Decision,
    EmbeddingWindows,
    Fusion,
    SASVContract,
    Scoring,
    SpeakerContract,
    SpeakerDecision,
    VerificationContract,
)
from export.runtime.eager import EagerArtefact
from export.runtime.guards import observed
from export.runtime.verifier import VerifiedFile, Verifier
from scriptable import (
    SPOOFING_COSTS,
    VERIFICATION_COSTS,
    EmbeddingPipeline,
    SASVPipeline,
    SASVScore,
    ScoreNorm,
    ScorePipeline,
    cut_windows,
)

PROOF_ONLY = (
    "the embedding was trained on {speakers} speakers by this demo: it proves the path from "
    "training to a decision, and no error rate here says anything about speaker verification"
)
_STEMS = {"verification": "speaker_verifier", "sasv": "sasv_verifier"}
_TITLES = {
    "verification": "Speaker verifier: parity with the trained model",
    "sasv": "Speaker verifier that knows spoofs: parity with the trained model",
}
_COHORT, _TOP = 60, 20
_SPOOF_PRIOR = 0.5


def run(options: Options, progress: Progress) -> Result:
    """Train, export, prove and report."""
    corpus = read_corpus(options, progress)
    parts = three_parts(corpus.utterances, HELD_OUT, options.settings.seed, fewest_speakers=2)
    live = [utterance for utterance in parts.train if utterance.label == BONA_FIDE]
    calibration = trials_of(parts.calibrate, options.task)
    test = trials_of(parts.test, options.task)
    caution = PROOF_ONLY.format(speakers=len({utterance.speaker for utterance in live}))
    speaker = train_speaker(options.settings, live, progress)
    if options.task == "verification":
        module: nn.Module = speaker
        contract, scored = verification(speaker, options, calibration, test, caution)
    else:
        countermeasure = train(options.settings, parts.train, progress)
        module, contract, scored = sasv(
            speaker, countermeasure, options, calibration, test, caution
        )
    guards = observed((u.waveform for u in parts.train), options.settings.sample_rate)
    contract = contract.model_copy(update={"guards": guards})
    product = Product(
        title=_TITLES[options.task],
        module=module,
        contract=contract,
        row=_row(options, module, _STEMS[options.task]),
        speech=audio_for_parity(options, parts.test),
        trials=trial_list(test, scored),
        write_scores=lambda path: write_scores(lines_of(test, scored), path, "csv"),
        notes=(caution, *corpus.notes, *parts.notes),
        unit="trials",
    )
    return publish(product, options.out, progress)


def train_speaker(
    settings: Settings, utterances: Sequence[Utterance], progress: Progress
) -> EmbeddingPipeline:
    """An embedder with its scorer: AS-norm against utterances that it was trained on."""
    if len({utterance.speaker for utterance in utterances}) < 2:
        raise InputError(
            "training part: expected at least 2 speakers; give recordings of more speakers"
        )
    trained = train_embedder(settings, utterances, progress)
    chosen = utterances[:: max(1, -(-len(utterances) // _COHORT))]
    with torch.no_grad():
        cohort = torch.cat([trained(_first(settings, u.waveform)) for u in chosen])
    try:
        scorer = ScoreNorm(cohort, "as", min(_TOP, len(cohort)))
    except ValueError as error:
        raise InputError(f"training part: {error}; train for more epochs") from error
    return EmbeddingPipeline(trained.frontend, trained.encoder, settings.num_samples, scorer).eval()


def verification(
    speaker: EmbeddingPipeline,
    options: Options,
    calibration: SpeakerTrials,
    test: SpeakerTrials,
    caution: str = "",
) -> tuple[SpeakerContract, list[VerifiedFile]]:
    """The contract of a verifier, and the eager module's results on the test part under it."""
    draft = VerificationContract(
        model=_name(speaker),
        audio=Audio(sample_rate=options.settings.sample_rate),
        windows=_windows(options.settings),
        scoring=_scoring(speaker, options.settings),
        decision=_identity(),
        caution=caution,
        versions=contracts.versions(),
        weights_sha256=contracts.weights_sha256(speaker.state_dict()),
    )
    return _decided(speaker, draft, options.threshold, calibration, test)


def sasv(
    speaker: EmbeddingPipeline,
    countermeasure: ScorePipeline,
    options: Options,
    calibration: SpeakerTrials,
    test: SpeakerTrials,
    caution: str = "",
) -> tuple[SASVPipeline, SpeakerContract, list[VerifiedFile]]:
    """Both models as one, its contract, and the eager module's results on the test part."""
    genuine = calibration.without_spoofs()
    _, alone = verification(speaker, options, genuine, genuine)
    same = options.threshold.costs(VERIFICATION_COSTS).prior
    asv = calibrate(raw_scores(alone), genuine.labels, same, "the same speaker")
    prior = options.threshold.costs(SPOOFING_COSTS).prior
    labels = labels_of(calibration.utterances)
    spoofing = score(countermeasure, options.settings.hop, calibration.utterances)
    cm = calibrate(spoofing, labels, prior, "bona fide")
    threshold, words = options.threshold.choose(
        cm.scale * spoofing + cm.offset, labels, "calibration recordings", SPOOFING_COSTS
    )
    module = SASVPipeline(speaker, countermeasure, SASVScore(*asv, *cm, _SPOOF_PRIOR)).eval()
    draft = SASVContract(
        model=f"{_name(speaker)}; {_name(countermeasure)} + {type(countermeasure.head).__name__}",
        audio=Audio(sample_rate=options.settings.sample_rate),
        windows=_windows(options.settings),
        scoring=_scoring(speaker, options.settings),
        decision=_identity(),
        caution=caution,
        countermeasure=Decision(
            scale=cm.scale,
            offset=cm.offset,
            prior=prior,
            threshold=threshold,
            operating_point=words,
        ),
        fusion=Fusion(spoof_prior=_SPOOF_PRIOR),
        versions=contracts.versions(),
        weights_sha256=contracts.weights_sha256(module.state_dict()),
    )
    contract, scored = _decided(module, draft, options.threshold, calibration, test)
    return module, contract, scored


def _decided(
    module: nn.Module,
    draft: SpeakerContract,
    choice: ThresholdChoice,
    calibration: SpeakerTrials,
    test: SpeakerTrials,
) -> tuple[SpeakerContract, list[VerifiedFile]]:
    """The draft with calibration and threshold, and what the test part is under it."""
    verifier = Verifier(EagerArtefact(module), draft, name="the trained model")
    scores, labels = raw_scores(run_trials(verifier, calibration)), calibration.labels
    prior = choice.costs(VERIFICATION_COSTS).prior
    scale, offset = calibrate(scores, labels, prior, "the same speaker")
    llrs = scale * scores + offset
    threshold, words = choice.choose(llrs, labels, "calibration trials", VERIFICATION_COSTS)
    decision = SpeakerDecision(
        scale=scale, offset=offset, prior=prior, threshold=threshold, operating_point=words
    )
    verifier.contract = draft.model_copy(update={"decision": decision})
    return verifier.contract, run_trials(verifier, test)


def _row(options: Options, module: nn.Module, stem: str) -> Row:
    """How the module's methods are drawn for parity."""
    n, dim = options.settings.num_samples, options.settings.embedding_dim
    spoofing = options.task == "sasv"
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


def _first(settings: Settings, waveform: Tensor) -> Tensor:
    return cut_windows(waveform, settings.num_samples, settings.hop)[:1]


def _name(pipeline: EmbeddingPipeline | ScorePipeline) -> str:
    return f"{type(pipeline.frontend).__name__} + {type(pipeline.encoder).__name__}"


def _windows(settings: Settings) -> EmbeddingWindows:
    return EmbeddingWindows(num_samples=settings.num_samples, hop=settings.hop)


def _scoring(speaker: EmbeddingPipeline, settings: Settings) -> Scoring:
    scorer = speaker.scorer
    if not isinstance(scorer, ScoreNorm):
        return Scoring(embedding_dim=settings.embedding_dim)
    return Scoring(
        embedding_dim=settings.embedding_dim,
        normalisation="as_norm",
        cohort_size=len(scorer.cohort),
        top_n=scorer.top,
    )


def _identity() -> SpeakerDecision:
    return SpeakerDecision(scale=1, offset=0, prior=0.5, threshold=0, operating_point="none yet")
