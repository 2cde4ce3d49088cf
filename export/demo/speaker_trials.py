"""Trials of the demo's verifiers, from held-out utterances, and their results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from export.backends import all_backends
from export.corpus import BONA_FIDE, Progress, Utterance
from export.errors import InputError
from export.jobs.steps import runnable
from export.metrics.score_files import Line
from export.parity.decisions import Rung, compare
from export.runtime.contract import (
    SpeakerContract,
)
from export.runtime.verifier import VerifiedFile, Verifier, load_verifier

_UTTERANCES = 30


@dataclass(frozen=True)
class SpeakerTrial:
    """Indices of two held-out utterances, and what they are: target, nontarget or spoof."""

    enrol: int
    test: int
    key: str


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


def run_trials(
    verifier: Verifier, held_out: Sequence[Utterance], trials: Sequence[SpeakerTrial]
) -> list[VerifiedFile]:
    """All trials; every utterance is embedded once."""
    used = {index for trial in trials for index in (trial.enrol, trial.test)}
    heard = {i: verifier.hear(held_out[i].name, held_out[i].waveform) for i in sorted(used)}
    enrolled = {i: verifier.enrol([heard[i]]) for i in {trial.enrol for trial in trials}}
    return [verifier.compare(enrolled[trial.enrol], heard[trial.test]) for trial in trials]


def climb(
    paths: Mapping[str, Path],
    contract: SpeakerContract,
    held_out: Sequence[Utterance],
    trials: Sequence[SpeakerTrial],
    expected: Sequence[VerifiedFile],
    progress: Progress,
) -> list[Rung]:
    """Run the trials with each runnable file and compare the decisions."""
    names = [f"{result.enrol[0]} {result.file}" for result in expected]
    rungs = []
    for done, name in enumerate(runnable(paths)):
        progress("verifying with every file", done, len(paths))
        actual = raw_scores(run_trials(load_verifier(paths[name]), held_out, trials))
        rungs.append(
            compare(
                paths[name].name,
                name,
                all_backends()[name].tolerance,
                contract,
                names,
                labels_of_trials(trials),
                raw_scores(expected),
                actual,
            )
        )
    progress("verifying with every file", len(paths), len(paths))
    return rungs


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


def labels_of_trials(trials: Sequence[SpeakerTrial]) -> Tensor:
    """Labels ``[T]``, 1 for trials of one speaker."""
    return torch.tensor([int(trial.key == "target") for trial in trials])


def lines_of(
    held_out: Sequence[Utterance], trials: Sequence[SpeakerTrial], scored: Sequence[VerifiedFile]
) -> list[Line]:
    """The lines of ``scores.csv``."""
    return [
        Line(
            (result.enrol[0], result.file),
            result.score,
            trial.key,
            held_out[trial.test].attack,
            held_out[trial.enrol].speaker,
            result.llr,
            "held_out",
        )
        for trial, result in zip(trials, scored, strict=True)
    ]
