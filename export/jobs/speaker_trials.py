"""Trials of a verifier between utterances, and their results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from export.corpus import Utterance
from export.jobs.steps import TrialList
from export.metrics.score_files import Line
from export.runtime.verifier import VerifiedFile, Verifier, load_verifier


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
            (result.enrol[0], result.file),
            result.score,
            trial.key,
            trials.utterances[trial.test].attack,
            trials.utterances[trial.enrol].speaker,
            result.llr,
            part,
        )
        for trial, result, part in zip(trials.trials, scored, parts, strict=True)
    ]
