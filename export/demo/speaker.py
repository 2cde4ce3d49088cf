"""The demo's other two tasks: a speaker verifier, and one that no spoof shall pass.

The embedding is trained on a handful of speakers: it proves the path from training to a decision
on the device, and its error rates say nothing about speaker verification.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from export.corpus import BONA_FIDE, Utterance, three_parts
from export.demo.options import HELD_OUT, Options, audio_for_parity, read_corpus, reduction
from export.demo.speaker_trials import trials_of
from export.demo.training import Settings, train, train_embedder
from export.errors import InputError
from export.jobs.publish import Product, publish
from export.jobs.sasv import fit_halves, halves_of
from export.jobs.speaker_contract import About, decided, speaker_contract, verifier_row
from export.jobs.speaker_trials import (
    SpeakerTrials,
    lines_of,
    raw_scores,
    run_trials,
    trial_list,
)
from export.jobs.threshold import ThresholdChoice
from export.metrics.score_files import write_scores
from export.progress import Progress
from export.report.result import Result
from export.runtime.contract import SpeakerContract
from export.runtime.eager import EagerArtefact
from export.runtime.guards import observed
from export.runtime.verifier import Verifier
from scriptable import (
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
_TRIALS = "calibration trials"


def run(options: Options, progress: Progress) -> Result:
    """Train, export, prove and report."""
    corpus = read_corpus(options, progress)
    parts = three_parts(corpus.utterances, HELD_OUT, options.settings.seed, fewest_speakers=2)
    live = [utterance for utterance in parts.train if utterance.label == BONA_FIDE]
    calibration = trials_of(parts.calibrate, options.task)
    test = trials_of(parts.test, options.task)
    caution = PROOF_ONLY.format(speakers=len({utterance.speaker for utterance in live}))
    settings = options.settings
    guards = observed((u.waveform for u in parts.train), settings.sample_rate)
    about = About(settings.sample_rate, settings.hop, guards=guards, caution=caution)
    # Before the training: its audio may be unreadable.
    reduced = reduction(options, parts.train)
    speaker = train_speaker(settings, live, progress)
    module: EmbeddingPipeline | SASVPipeline
    if options.task == "verification":
        module = speaker
        contract = verification(speaker, about, options.threshold, calibration)
    else:
        countermeasure = train(settings, parts.train, progress)
        module, contract = sasv(speaker, countermeasure, about, options.threshold, calibration)
    verifier = Verifier(EagerArtefact(module), contract, name="the trained model")
    scored = run_trials(verifier, test)
    product = Product(
        title=_TITLES[options.task],
        module=module,
        contract=contract,
        row=verifier_row(module, _STEMS[options.task]),
        speech=audio_for_parity(options, parts.test),
        reduction=reduced,
        trials=trial_list(test, raw_scores(scored)),
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
    speaker: EmbeddingPipeline, about: About, choice: ThresholdChoice, calibration: SpeakerTrials
) -> SpeakerContract:
    """The contract of a verifier."""
    draft = speaker_contract(speaker, about)
    verifier = Verifier(EagerArtefact(speaker), draft, name="the trained model")
    scores = raw_scores(run_trials(verifier, calibration))
    decision = decided(scores, calibration.labels, choice, _TRIALS)
    return draft.model_copy(update={"decision": decision})


def sasv(
    speaker: EmbeddingPipeline,
    countermeasure: ScorePipeline,
    about: About,
    choice: ThresholdChoice,
    calibration: SpeakerTrials,
) -> tuple[SASVPipeline, SpeakerContract]:
    """Both models as one, and its contract."""
    module = SASVPipeline(speaker, countermeasure, SASVScore(spoof_prior=_SPOOF_PRIOR)).eval()
    halves = halves_of(module, about, calibration)
    fusion, alone = fit_halves(halves, choice, _SPOOF_PRIOR, "calibration recordings")
    decision = decided(halves.fused(fusion), calibration.labels, choice, _TRIALS)
    module = SASVPipeline(speaker, countermeasure, fusion).eval()
    return module, speaker_contract(module, about, decision, alone)


def _first(settings: Settings, waveform: Tensor) -> Tensor:
    return cut_windows(waveform, settings.num_samples, settings.hop)[:1]
