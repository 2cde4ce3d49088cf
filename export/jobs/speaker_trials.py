"""Trials of a verifier between utterances, and their results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from export.corpus import Utterance
from export.jobs.steps import TrialList
from export.metrics.score_files import Line
from export.runtime.verifier import Heard, VerifiedFile, Verifier, load_verifier


@dataclass(frozen=True)
class SpeakerTrial:
    """Indices of what is enrolled and of what is tested: a target, a nontarget or a spoof."""

    enrol: tuple[int, ...]
    test: int
    key: str
    model: str
    """The name of what is enrolled."""


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

    @property
    def live(self) -> list[int]:
        """Indices of the trials of live speech."""
        return [i for i, trial in enumerate(self.trials) if trial.key != "spoof"]

    @property
    def used(self) -> list[int]:
        """Indices of the utterances that trials name."""
        return sorted({i for trial in self.trials for i in (*trial.enrol, trial.test)})

    def by_enrolment(self) -> list[Utterance]:
        """A stand-in for each trial, under the name of its enrolment: what folds are made of."""
        return [
            Utterance(str(i), trial.model, "-", int(trial.key == "target"), torch.zeros(0))
            for i, trial in enumerate(self.trials)
        ]


def hear_all(verifier: Verifier, trials: SpeakerTrials) -> dict[int, Heard]:
    """What the verifier makes of every utterance in the trials, by index."""
    utterances = trials.utterances
    return {i: verifier.hear(utterances[i].name, utterances[i].waveform) for i in trials.used}


def compare_all(
    verifier: Verifier, trials: SpeakerTrials, heard: Mapping[int, Heard]
) -> list[VerifiedFile]:
    """All trials of utterances that have been heard."""
    enrolled = {
        files: verifier.enrol([heard[i] for i in files])
        for files in {trial.enrol for trial in trials.trials}
    }
    return [verifier.compare(enrolled[trial.enrol], heard[trial.test]) for trial in trials.trials]


def run_trials(verifier: Verifier, trials: SpeakerTrials) -> list[VerifiedFile]:
    """All trials; every utterance is embedded once."""
    return compare_all(verifier, trials, hear_all(verifier, trials))


def trial_list(trials: SpeakerTrials, scores: Tensor) -> TrialList:
    """The trials with the eager module's raw scores ``[T]``; every file runs all of them."""

    def run(path: Path, compared: Sequence[int]) -> Tensor:
        return raw_scores(run_trials(load_verifier(path), trials.only(compared)))

    names = [f"{trial.model} {trials.utterances[trial.test].name}" for trial in trials.trials]
    return TrialList(names, trials.labels, scores, run, range(len(names)))


def raw_scores(results: Sequence[VerifiedFile]) -> Tensor:
    """Raw scores ``[T]`` in float64."""
    return torch.tensor([result.score for result in results], dtype=torch.float64)


def lines_of(
    trials: SpeakerTrials, scored: Sequence[VerifiedFile], parts: Sequence[str] = ()
) -> list[Line]:
    """The lines of ``scores.csv``; all of the part ``held_out`` where none are given."""
    parts = parts or ["held_out"] * len(scored)
    return [
        Line(
            (trial.model, result.file),
            result.score,
            trial.key,
            trials.utterances[trial.test].attack,
            trials.utterances[trial.enrol[0]].speaker,
            result.llr,
            part,
        )
        for trial, result, part in zip(trials.trials, scored, parts, strict=True)
    ]
