"""``task: verification``: a speaker verifier, on pairs of recordings."""

import time
from dataclasses import replace

from export.jobs.calibration import What, fit
from export.jobs.config_file import Scorer
from export.jobs.options import Options
from export.jobs.publish import Product
from export.jobs.speaker_contract import speaker_contract
from export.jobs.speaker_product import product_of, with_trials
from export.jobs.speaker_trials import compare_all, hear_all, raw_scores
from export.jobs.trial_lists import read_trials
from export.progress import Progress
from export.runtime.contract import SpeakerDecision
from export.runtime.eager import EagerArtefact
from export.runtime.verifier import Verifier
from scriptable import VERIFICATION_COSTS, EmbeddingPipeline

TRIALS = What(SpeakerDecision, "trials", "the same speaker", "another speaker", VERIFICATION_COSTS)


def make_product(
    options: Options, scorer: Scorer, pipeline: EmbeddingPipeline, progress: Progress
) -> Product:
    """The verifier with its contract, and with decisions where there is a trial list."""
    contract = speaker_contract(pipeline, scorer.about, scorer.speaker_decision)
    product = product_of(scorer, pipeline, contract, "verifier")
    if options.protocol is None or options.audio is None:
        return product
    trials, notes = read_trials(
        options.protocol, options.audio, scorer.sample_rate, progress, enrolment=options.enrolment
    )
    start = time.monotonic()
    verifier = Verifier(EagerArtefact(pipeline), contract, name="the trained model")
    heard = hear_all(verifier, trials)
    seconds, fitted = time.monotonic() - start, None
    if options.calibrate is not None:
        scores = raw_scores(compare_all(verifier, trials, heard))
        fitted = fit(trials.by_enrolment(), scores, options.calibrate, what=TRIALS)
        verifier.contract = contract.model_copy(update={"decision": fitted.decision})
    scored = compare_all(verifier, trials, heard)
    product = replace(product, contract=verifier.contract)
    return with_trials(product, trials, scored, fitted, notes, seconds)
