"""Trials for the demo's verifiers, from utterances that were held out."""

from collections.abc import Sequence

from export.corpus import BONA_FIDE, Utterance
from export.errors import InputError
from export.jobs.speaker_trials import SpeakerTrial, SpeakerTrials

_UTTERANCES = 30


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
                trials.append(_trial(speaker, enrol, test, "target" if same else "nontarget"))
            elif other.label != BONA_FIDE and same:
                trials.append(_trial(speaker, enrol, test, "spoof"))
    missing = {"target", "nontarget"} - {trial.key for trial in trials}
    if missing:
        raise InputError(
            f"held-out part: no {' and no '.join(sorted(missing))} trial; it needs at least "
            "2 speakers with 2 recordings each: give recordings of more speakers"
        )
    return trials


def _trial(enrolled: Utterance, enrol: int, test: int, key: str) -> SpeakerTrial:
    return SpeakerTrial((enrol,), test, key, enrolled.name)


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
