"""Splitting a corpus in two so that no speaker is heard in both parts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from export.corpus._types import BONA_FIDE, SPOOF, Utterance
from export.errors import InputError

_NAMES = {BONA_FIDE: "bona fide", SPOOF: "spoofed"}


@dataclass(frozen=True, eq=False)
class Split:
    """The two parts of a corpus, and remarks on what could not be split by speaker."""

    train: tuple[Utterance, ...]
    held_out: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()


def split_by_speaker(utterances: Sequence[Utterance], held_out_fraction: float, seed: int) -> Split:
    """Hold out some speakers with all their utterances; both parts get both classes.

    Speakers heard in one class only (as in ASVspoof) and in both (as in vocoded copies) are split
    apart from each other, each by the fraction. Where a class has a single speaker, that speaker's
    utterances are split instead, and a note says so.

    Args:
        utterances: of both classes.
        held_out_fraction: the share of utterances to hold out, met as nearly as whole speakers
            allow; between 0 and 1.
        seed: which speakers are held out.

    Raises:
        InputError: if the fraction is not in (0, 1) or a class has fewer than two utterances.
    """
    if not 0.0 < held_out_fraction < 1.0:
        raise InputError(f"held-out fraction: expected between 0 and 1, got {held_out_fraction}")
    for label, class_name in _NAMES.items():
        count = sum(utterance.label == label for utterance in utterances)
        if count < 2:
            raise InputError(
                f"{count} {class_name} utterance{'s' * (count != 1)}: at least 2 are needed, one "
                "to train on and one to hold out"
            )
    generator = torch.Generator().manual_seed(seed)
    lone = _lone_speakers(utterances)
    held = _held_speakers(utterances, set(lone), held_out_fraction, generator)
    held_indices = {i for i, u in enumerate(utterances) if u.speaker in held}
    for speaker in lone:
        held_indices |= _held_utterances(utterances, speaker, held_out_fraction, generator)
    return Split(
        tuple(u for i, u in enumerate(utterances) if i not in held_indices),
        tuple(u for i, u in enumerate(utterances) if i in held_indices),
        tuple(
            f"all {classes} utterances are of one speaker, {speaker}: split by utterance, so this "
            "speaker is heard in both parts"
            for speaker, classes in lone.items()
        ),
    )


def _lone_speakers(utterances: Iterable[Utterance]) -> dict[str, str]:
    """The speakers who have a class for themselves, with the names of these classes."""
    lone: dict[str, str] = {}
    for label, class_name in _NAMES.items():
        speakers = {u.speaker for u in utterances if u.label == label}
        if len(speakers) == 1:
            speaker = speakers.pop()
            lone[speaker] = f"{lone[speaker]} and {class_name}" if speaker in lone else class_name
    return lone


def _held_speakers(
    utterances: Sequence[Utterance],
    excluded: set[str],
    fraction: float,
    generator: torch.Generator,
) -> set[str]:
    groups: dict[frozenset[int], dict[str, int]] = {}
    labels: dict[str, set[int]] = {}
    for utterance in utterances:
        labels.setdefault(utterance.speaker, set()).add(utterance.label)
    for utterance in utterances:
        if utterance.speaker not in excluded:
            group = groups.setdefault(frozenset(labels[utterance.speaker]), {})
            group[utterance.speaker] = group.get(utterance.speaker, 0) + 1
    held: set[str] = set()
    shared = groups.pop(frozenset(_NAMES), {})
    held |= _choose(shared, fraction, generator)
    # Below two shared speakers nobody heard in both classes is held out: the others must be.
    for group in groups.values():
        held |= _choose(group, fraction, generator, at_least_one=len(shared) < 2)
    return held


def _choose(
    counts: dict[str, int],
    fraction: float,
    generator: torch.Generator,
    at_least_one: bool = False,
) -> set[str]:
    """Speakers whose utterances come nearest the fraction; at least one is left to train on."""
    speakers = sorted(counts)
    if len(speakers) < 2:
        return set(speakers) if at_least_one else set()
    order = [speakers[i] for i in torch.randperm(len(speakers), generator=generator).tolist()]
    target = fraction * sum(counts.values())
    held: list[str] = []
    size = 0
    for speaker in order:
        if abs(size + counts[speaker] - target) < abs(size - target):
            held.append(speaker)
            size += counts[speaker]
    if not held:
        held = [min(order, key=lambda speaker: counts[speaker])]
    return set(held[:-1] if len(held) == len(order) else held)


def _held_utterances(
    utterances: Sequence[Utterance], speaker: str, fraction: float, generator: torch.Generator
) -> set[int]:
    held: set[int] = set()
    for label in _NAMES:
        mine = [i for i, u in enumerate(utterances) if u.speaker == speaker and u.label == label]
        if len(mine) < 2:
            continue
        number = min(max(round(fraction * len(mine)), 1), len(mine) - 1)
        order = torch.randperm(len(mine), generator=generator).tolist()
        held |= {mine[i] for i in order[:number]}
    return held


@dataclass(frozen=True, eq=False)
class Parts:
    """A corpus in three: to train on, to calibrate on, and for the figures."""

    train: tuple[Utterance, ...]
    calibrate: tuple[Utterance, ...]
    test: tuple[Utterance, ...]
    notes: tuple[str, ...] = ()


def three_parts(
    utterances: Sequence[Utterance], held_out_fraction: float, seed: int, fewest_speakers: int = 0
) -> Parts:
    """Hold out some speakers, and split these once more: half to calibrate on, half for figures.

    Where a half would be left with fewer than ``fewest_speakers`` speakers of two recordings, or a
    class has one speaker, both halves are all that is held out, and a note says so.

    Raises:
        InputError: as :func:`split_by_speaker`.
    """
    split = split_by_speaker(utterances, held_out_fraction, seed)
    try:
        again = split_by_speaker(split.held_out, 0.5, seed)
    except InputError:
        again = None
    if (
        again is None
        or again.notes
        or min(_speakers(again.train), _speakers(again.held_out)) < fewest_speakers
    ):
        note = (
            "too few speakers were held out to split them once more: calibration, threshold and "
            "figures are from the same recordings, so expect worse on new ones"
        )
        return Parts(split.train, split.held_out, split.held_out, (*split.notes, note))
    return Parts(split.train, again.train, again.held_out, split.notes)


def _speakers(utterances: Sequence[Utterance]) -> int:
    """How many have two bona fide utterances or more, as a trial of one speaker needs."""
    live = [u.speaker for u in utterances if u.label == BONA_FIDE]
    return len({speaker for speaker in live if live.count(speaker) > 1})


def folds_by_speaker(utterances: Sequence[Utterance], most: int, seed: int) -> list[int]:
    """The fold of each utterance: no speaker in two, both classes outside of each.

    A class of a single speaker is spread by utterance. There are ``most`` folds, or as many as the
    rarer class has speakers.

    Raises:
        InputError: if a class has fewer than two utterances.
    """
    for label, name in _NAMES.items():
        if sum(u.label == label for u in utterances) < 2:
            raise InputError(f"fewer than 2 {name} recordings: calibration needs at least 2")
    lone = set(_lone_speakers(utterances))
    units = [
        (u.speaker, i if u.speaker in lone else -1)  # a lone speaker's utterances go alone
        for i, u in enumerate(utterances)
    ]
    counts: dict[tuple[str, int], dict[int, int]] = {}
    for unit, utterance in zip(units, utterances, strict=True):
        of_label = counts.setdefault(unit, dict.fromkeys(_NAMES, 0))
        of_label[utterance.label] += 1
    rarest = min(sum(1 for found in counts.values() if found[label]) for label in _NAMES)
    number = max(2, min(most, rarest))
    totals = [dict.fromkeys(_NAMES, 0) for _ in range(number)]
    generator = torch.Generator().manual_seed(seed)
    order = sorted(counts)
    shuffled = [order[i] for i in torch.randperm(len(order), generator=generator).tolist()]
    fold: dict[tuple[str, int], int] = {}
    for unit in sorted(shuffled, key=lambda unit: -sum(counts[unit].values())):
        found = counts[unit]
        load = [sum(total[label] for label in _NAMES if found[label]) for total in totals]
        fold[unit] = load.index(min(load))
        for label in _NAMES:
            totals[fold[unit]][label] += found[label]
    return [fold[unit] for unit in units]
