"""Phones and how they follow each other: the control tracks of the synthetic voice."""

from dataclasses import dataclass

import torch
from torch import Tensor

# Columns of a track.
FORMANTS = slice(0, 3)
VOICE, BREATH, FRICTION, CENTRE, WIDTH, ACCENT = range(3, 9)
_AMOUNTS = slice(VOICE, FRICTION + 1)

_NEUTRAL = (500.0, 1500.0, 2500.0)


@dataclass(frozen=True)
class _Segment:
    """A stretch of constant targets: seconds, formants, amounts, and the band of the friction."""

    seconds: float
    formants: tuple[float, float, float]
    voice: float = 0.0
    breath: float = 0.0
    friction: float = 0.0
    centre: float = 3000.0
    width: float = 1000.0

    def row(self, accent: float) -> list[float]:
        amounts = [self.voice, self.breath, self.friction]
        return [*self.formants, *amounts, self.centre, self.width, accent]


# Formants in Hz of an adult male, roughly; the speaker's tract scales them.
_VOWELS = (
    (280.0, 2250.0, 2900.0),
    (400.0, 1950.0, 2550.0),
    (530.0, 1840.0, 2480.0),
    (660.0, 1700.0, 2400.0),
    (730.0, 1100.0, 2450.0),
    (570.0, 850.0, 2400.0),
    (440.0, 1030.0, 2250.0),
    (310.0, 870.0, 2250.0),
    (640.0, 1200.0, 2400.0),
    (490.0, 1350.0, 1700.0),
)

_LABIAL, _ALVEOLAR, _VELAR = (
    (300.0, 900.0, 2300.0),
    (300.0, 1750.0, 2650.0),
    (300.0, 1900.0, 2350.0),
)

_SONORANTS = (
    (_Segment(0.07, (270.0, 1000.0, 2200.0), voice=0.3),),
    (_Segment(0.06, (270.0, 1600.0, 2600.0), voice=0.3),),
    (_Segment(0.06, (360.0, 1100.0, 2600.0), voice=0.5),),
    (_Segment(0.06, (420.0, 1200.0, 1650.0), voice=0.5),),
    (_Segment(0.06, (300.0, 650.0, 2200.0), voice=0.45),),
    (_Segment(0.06, (280.0, 2200.0, 3000.0), voice=0.45),),
)

_FRICATIVES = (
    (_Segment(0.11, _ALVEOLAR, friction=0.5, centre=6000.0, width=1300.0),),
    (_Segment(0.11, _ALVEOLAR, friction=0.5, centre=3400.0, width=900.0),),
    (_Segment(0.10, _LABIAL, friction=0.12, centre=5000.0, width=4000.0),),
    (_Segment(0.06, _NEUTRAL, breath=0.25),),
    (_Segment(0.08, _ALVEOLAR, voice=0.2, friction=0.25, centre=6000.0, width=1300.0),),
    (_Segment(0.07, _LABIAL, voice=0.3, friction=0.05, centre=5000.0, width=4000.0),),
)


def _plosive(
    locus: tuple[float, float, float], centre: float, width: float, voiced: bool
) -> tuple[_Segment, ...]:
    closure = _Segment(0.06, locus, voice=0.06 if voiced else 0.0)
    burst = _Segment(0.012, locus, friction=0.5, centre=centre, width=width)
    release = _Segment(0.01 if voiced else 0.035, locus, breath=0.12)
    return closure, burst, release


_PLOSIVES = tuple(
    _plosive(locus, centre, width, voiced)
    for voiced in (False, True)
    for locus, centre, width in (
        (_LABIAL, 1000.0, 1500.0),
        (_ALVEOLAR, 4500.0, 1500.0),
        (_VELAR, 2000.0, 700.0),
    )
)

_CONSONANTS = (*_SONORANTS, *_FRICATIVES, *_PLOSIVES)


class _Dice:
    """Draws from one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=self._generator))

    def chance(self, probability: float) -> bool:
        return self.between(0.0, 1.0) < probability

    def index(self, number: int) -> int:
        return int(torch.randint(number, (), generator=self._generator))


def phone_tracks(frames: int, frame_seconds: float, generator: torch.Generator) -> Tensor:
    """Control tracks of shape (frames, 9): phrases of syllables with pauses around them.

    Args:
        frames: how many.
        frame_seconds: how much of the phones' time a frame takes; more is faster speech.
        generator: what is said.
    """
    dice = _Dice(generator)
    rows: list[list[float]] = []
    counts: list[int] = []

    def add(segment: _Segment, accent: float) -> None:
        stretched = segment.seconds * dice.between(0.8, 1.25)
        rows.append(segment.row(accent))
        counts.append(max(1, round(stretched / frame_seconds)))

    tail = round(dice.between(0.1, 0.3) / frame_seconds)
    add(_Segment(dice.between(0.1, 0.3), _NEUTRAL), 0.0)
    while sum(counts) < frames - tail:
        for segment, accent in _phrase(dice):
            add(segment, accent)
        add(_Segment(dice.between(0.12, 0.4), _NEUTRAL), 0.0)
    track = torch.tensor(rows).repeat_interleave(torch.tensor(counts), dim=0)[:frames]
    track[frames - tail :, _AMOUNTS] = 0.0
    return _smoothed(track)


def _phrase(dice: _Dice) -> list[tuple[_Segment, float]]:
    syllables = 4 + dice.index(6)
    segments = []
    for number in range(syllables):
        stressed = dice.chance(0.4)
        # Pitch falls over a phrase, and stress lifts it.
        accent = 0.5 - number / syllables + 0.8 * stressed
        segments += [(segment, accent) for segment in _syllable(dice, stressed)]
    return segments


def _syllable(dice: _Dice, stressed: bool) -> list[_Segment]:
    segments: list[_Segment] = []
    if dice.chance(0.85):
        segments += _CONSONANTS[dice.index(len(_CONSONANTS))]
    seconds, voice = (0.15, 1.0) if stressed else (0.08, 0.7)
    segments.append(_Segment(seconds, _VOWELS[dice.index(len(_VOWELS))], voice=voice))
    if dice.chance(0.35):
        segments += _CONSONANTS[dice.index(len(_CONSONANTS))]
    return segments


def _smoothed(track: Tensor) -> Tensor:
    """Let every column glide: the tongue takes longer than the voice takes to start."""
    result = track.clone()
    for columns, width in ((FORMANTS, 13), (_AMOUNTS, 5), (slice(ACCENT, ACCENT + 1), 31)):
        kernel = torch.hann_window(width + 2, periodic=False)[1:-1]
        kernel = (kernel / kernel.sum())[None, None]
        ends = track[:, columns].T[:, None]
        padded = torch.nn.functional.pad(ends, (width // 2, width // 2), mode="replicate")
        result[:, columns] = torch.nn.functional.conv1d(padded, kernel)[:, 0].T
    return result
