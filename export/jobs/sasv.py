"""``task: sasv``: a verifier that no spoof shall pass, from an embedder and a countermeasure.

Three fits: the speaker's scores on trials of live speech, the countermeasure's on recordings, and
the LLR of both together on all trials.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from export.errors import InputError
from export.jobs.calibration import What, fit
from export.jobs.config_file import Scorer
from export.jobs.options import Options
from export.jobs.publish import Product
from export.jobs.speaker_contract import About, speaker_contract
from export.jobs.speaker_product import product_of, with_trials
from export.jobs.speaker_trials import SpeakerTrials, compare_all, hear_all, raw_scores
from export.jobs.threshold import ThresholdChoice, calibrate
from export.jobs.trial_lists import read_trials
from export.progress import Progress
from export.runtime.contract import Decision, SpeakerDecision
from export.runtime.eager import EagerArtefact
from export.runtime.verifier import Heard, Verifier
from scriptable import SPOOFING_COSTS, VERIFICATION_COSTS, SASVPipeline, SASVScore

TRIALS = What(SpeakerDecision, "trials", "the speaker, live,", "the rest", VERIFICATION_COSTS)
_KINDS = ("target", "nontarget", "spoof")


@dataclass(frozen=True)
class Halves:
    """What each half says of trials, uncalibrated."""

    trials: SpeakerTrials
    heard: Mapping[int, Heard]
    """What the module made of each utterance, by index."""
    same: Tensor
    """The speaker's raw score of each trial, ``[T]``."""

    def only(self, chosen: Sequence[int]) -> "Halves":
        """The trials of these indices."""
        return Halves(self.trials.only(chosen), self.heard, self.same[list(chosen)])

    def live(self, utterances: Sequence[int]) -> Tensor:
        """The countermeasure's raw scores of the utterances of these indices, in float64."""
        found = [self.heard[i].spoofing_score for i in utterances]
        return torch.tensor(found, dtype=torch.float64)

    def fused(self, fusion: SASVScore) -> Tensor:
        """The LLR of each trial, ``[T]`` in float64, in the arithmetic of the file."""
        live = self.live([trial.test for trial in self.trials.trials])
        with torch.no_grad():
            scores: Tensor = fusion(self.same.float(), live.float())
        return scores.double()


def halves_of(module: SASVPipeline, about: About, trials: SpeakerTrials) -> Halves:
    """Both halves' scores of the trials; every utterance is heard once."""
    both, speaker = (
        Verifier(EagerArtefact(part), speaker_contract(part, about), name="the trained model")
        for part in (module, module.speaker)
    )
    heard = hear_all(both, trials)
    return Halves(trials, heard, raw_scores(compare_all(speaker, trials, heard)))


def fit_halves(
    halves: Halves, choice: ThresholdChoice, spoof_prior: float, unit: str = "recordings"
) -> tuple[SASVScore, Decision]:
    """The fusion with both calibrations, and what the spoofing score alone decides.

    Raises:
        InputError: if there are too few trials or recordings of a kind, or a half cannot be
            calibrated on them.
    """
    trials = halves.trials
    genuine, used = trials.only(trials.live), trials.used
    labels = torch.tensor([trials.utterances[i].label for i in used])
    for kind, count in (
        ("target trials", int(genuine.labels.sum())),
        ("nontarget trials", int((genuine.labels == 0).sum())),
        ("spoofed recordings", int((labels == 0).sum())),
    ):
        if count < 2:
            said = "in what is left to fit on, at least 2 are needed"
            raise InputError(f"calibrate: {count} {kind} {said}")
    same = choice.costs(VERIFICATION_COSTS).prior
    asv = calibrate(halves.same[trials.live], genuine.labels, same, "the same speaker")
    scores, prior = halves.live(used), choice.costs(SPOOFING_COSTS).prior
    cm = calibrate(scores, labels, prior, "bona fide")
    llrs = cm.scale * scores + cm.offset
    threshold, words = choice.choose(llrs, labels, unit, SPOOFING_COSTS)
    decision = Decision(
        scale=cm.scale, offset=cm.offset, prior=prior, threshold=threshold, operating_point=words
    )
    return SASVScore(*asv, *cm, spoof_prior), decision


def make_product(
    options: Options, scorer: Scorer, pipeline: SASVPipeline, progress: Progress
) -> Product:
    """The verifier with its contract, and with decisions where there is a trial list."""
    about, decision, alone = scorer.about, scorer.speaker_decision, scorer.spoofing_decision
    contract = speaker_contract(pipeline, about, decision, alone)
    if options.protocol is None or options.audio is None:
        return product_of(scorer, pipeline, contract, "sasv_verifier")
    trials, notes = read_trials(
        options.protocol, options.audio, scorer.sample_rate, progress, _KINDS, options.enrolment
    )
    start = time.monotonic()
    halves = halves_of(pipeline, about, trials)
    seconds, fitted = time.monotonic() - start, None
    if options.calibrate is not None:
        choice, prior = options.calibrate, pipeline.fusion.spoof_prior

        def fused(inside: Tensor) -> Tensor:
            part = halves.only(inside.nonzero().flatten().tolist())
            return halves.fused(fit_halves(part, choice, prior)[0])

        fitted = fit(trials.by_enrolment(), fused, choice, what=TRIALS)
        fusion, alone = fit_halves(halves.only(fitted.fitted_on), choice, prior)
        pipeline = SASVPipeline(pipeline.speaker, pipeline.countermeasure, fusion).eval()
        assert isinstance(fitted.decision, SpeakerDecision)
        contract = speaker_contract(pipeline, about, fitted.decision, alone)
    verifier = Verifier(EagerArtefact(pipeline), contract, name="the trained model")
    scored = compare_all(verifier, trials, halves.heard)
    product = product_of(scorer, pipeline, contract, "sasv_verifier")
    return with_trials(product, trials, scored, fitted, notes, seconds)
