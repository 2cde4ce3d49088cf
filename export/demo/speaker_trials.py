"""Trials of the demo's verifiers, from held-out utterances, and their results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from export.corpus import BONA_FIDE, Utterance
from export.errors import InputError
from export.jobs.steps import TrialList
from export.metrics.score_files import Line
from export.runtime.verifier import VerifiedFile, Verifier, load_verifier

_UTTERANCES = 30


@dataclass(frozen=True)
class SpeakerTrial:
    """Indices of two utterances, and what they are: target, nontarget or spoof."""

    enrol: int
    test: int
    key: str


@dataclass(frozen=True)
class SpeakerTrials:
    """Utterances, and the trials between them."""

    utterances: Sequence[Utterance]
    trials: Sequence[SpeakerTrial]

    @property
    def labels(self) -> Tensor:
        """Labels ``[T]``, 1 for trials of one speaker."""
        return torch.tensor([int(trial.key == "target") for trial in self.trials])

    def only(self, chosen: Sequence[int]) -> "SpeakerTrials":
        """The trials of these indices."""
        return SpeakerTrials(self.utterances, [self.trials[i] for i in chosen])

    def without_spoofs(self) -> "SpeakerTrials":
        """The trials of live speech."""
        live = [i for i, trial in enumerate(self.trials) if trial.key != "spoof"]
        return self.only(live)


def trials_of(utterances: Sequence[Utterance], task: str) -> SpeakerTrials:
    """Trials of some of the utterances, so many that it stays quick."""
    few = chosen(utterances, task)
    return SpeakerTrials(few, make_trials(few))


def make_trials(held_out: Sequence[Utterance]) -> list[SpeakerTrial]:
    """Every pair of live utterances once, and every spoof against its speaker's live utterances."""
    trials = []
    for enrol, speaker in enumerate(held_out):
        for test, other in enumerate(held_out):
            if speaker.label != BONA_FIDE or test == enrol:
                continue
            same = speaker.speaker == other.speaker
            if other.label == BONA_FIDE and enrol < test:
                trials.append(SpeakerTrial(enrol, test, "target" if same else "nontarget"))
            elif other.label != BONA_FIDE and same:
                trials.append(SpeakerTrial(enrol, test, "spoof"))
    missing = {"target", "nontarget"} - {trial.key for trial in trials}
    if missing:
        raise InputError(
            f"held-out part: no {' and no '.join(sorted(missing))} trial; it needs at least "
            "2 speakers with 2 recordings each: give recordings of more speakers"
        )
    return trials


def run_trials(verifier: Verifier, trials: SpeakerTrials) -> list[VerifiedFile]:
    """All trials; every utterance is embedded once."""
    utterances = trials.utterances
    used = {index for trial in trials.trials for index in (trial.enrol, trial.test)}
    heard = {i: verifier.hear(utterances[i].name, utterances[i].waveform) for i in sorted(used)}
    enrolled = {i: verifier.enrol([heard[i]]) for i in {trial.enrol for trial in trials.trials}}
    return [verifier.compare(enrolled[trial.enrol], heard[trial.test]) for trial in trials.trials]


def trial_list(trials: SpeakerTrials, scored: Sequence[VerifiedFile]) -> TrialList:
    """The trials as the eager module scored them; every file runs all of them."""

    def run(path: Path, compared: Sequence[int]) -> Tensor:
        return raw_scores(run_trials(load_verifier(path), trials.only(compared)))

    names = [f"{result.enrol[0]} {result.file}" for result in scored]
    return TrialList(names, trials.labels, raw_scores(scored), run, range(len(scored)))


def chosen(held_out: Sequence[Utterance], task: str) -> list[Utterance]:
    """Held-out utterances, the same number of each speaker in turn, so many that it stays quick."""
    live = [u for u in held_out if u.label == BONA_FIDE]
    speakers = sorted({u.speaker for u in live})
    each = max(2, _UTTERANCES // max(1, len(speakers)))
    picked = [u for s in speakers for u in [u for u in live if u.speaker == s][:each]]
    if task == "verification":
        return picked
    spoofs = [u for u in held_out if u.label != BONA_FIDE]
    return picked + [u for s in speakers for u in [u for u in spoofs if u.speaker == s][:each]]


def raw_scores(results: Sequence[VerifiedFile]) -> Tensor:
    """Raw scores ``[T]`` in float64."""
    return torch.tensor([result.score for result in results], dtype=torch.float64)


def lines_of(trials: SpeakerTrials, scored: Sequence[VerifiedFile]) -> list[Line]:
    """The lines of ``scores.csv``."""
    return [
        Line(
            (result.enrol[0], result.file),
            result.score,
            trial.key,
            trials.utterances[trial.test].attack,
            trials.utterances[trial.enrol].speaker,
            result.llr,
            "held_out",
        )
        for trial, result in zip(trials.trials, scored, strict=True)
    ]
