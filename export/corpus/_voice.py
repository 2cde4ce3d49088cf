"""A source-filter voice: speech-like sound from a sequence of phones.

Time-varying controls (pitch, formants, amounts of voice, breath and friction) stand on a grid of
5 ms. A glottal pulse train and noise follow them sample by sample, and the vocal tract shapes their
short-time spectra. The result is no intelligible language, but it has what a countermeasure looks
at in speech: harmonics with the phase relations of a real pulse, moving formants, pauses.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from export.corpus._phones import (
    ACCENT,
    BREATH,
    CENTRE,
    FORMANTS,
    FRICTION,
    VOICE,
    WIDTH,
    phone_tracks,
)

FRAME_SECONDS = 0.005
_PULSE_OVERSAMPLING = 4


@dataclass(frozen=True)
class Voice:
    """What makes a speaker: pitch and its range (octaves), tract length, how clean it is.

    ``tract`` scales the formants, ``open_quotient`` is the open share of a glottal cycle, ``tilt``
    the corner (Hz) above which the voice loses another 6 dB an octave, ``jitter`` and ``shimmer``
    are relative deviations from cycle to cycle, ``rate`` scales the speed of speaking.
    """

    pitch: float
    pitch_range: float
    tract: float
    open_quotient: float
    tilt: float
    jitter: float
    shimmer: float
    breath: float
    rate: float


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """One number drawn evenly between two."""
    return low + (high - low) * float(torch.rand((), generator=generator))


def draw_voice(generator: torch.Generator) -> Voice:
    """Draw a speaker; higher voices tend to have shorter tracts, as people do."""
    height = uniform(0.0, 1.0, generator)
    return Voice(
        pitch=90.0 * 2 ** (1.35 * height + uniform(-0.1, 0.1, generator)),
        pitch_range=uniform(0.15, 0.4, generator),
        tract=0.92 + 0.24 * height + uniform(-0.04, 0.04, generator),
        open_quotient=uniform(0.5, 0.75, generator),
        tilt=uniform(1500.0, 4500.0, generator),
        jitter=uniform(0.004, 0.012, generator),
        shimmer=uniform(0.02, 0.07, generator),
        breath=uniform(0.02, 0.08, generator),
        rate=uniform(0.85, 1.2, generator),
    )


def speak(voice: Voice, seconds: float, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Speech-like sound of shape (N,), dry and without background noise, RMS 1."""
    length = round(seconds * sample_rate)
    frames = math.ceil(seconds / FRAME_SECONDS) + 1
    tracks = phone_tracks(frames, FRAME_SECONDS / voice.rate, generator)
    source = _source(voice, tracks, length, sample_rate, generator)
    noise = torch.randn(length, generator=generator) * _at_samples(tracks[:, FRICTION], length)
    n_fft = 2 ** round(math.log2(0.032 * sample_rate))
    hop = n_fft // 8
    window = torch.hann_window(n_fft)
    voiced = torch.stft(source, n_fft, hop, window=window, return_complex=True)
    hissed = torch.stft(noise, n_fft, hop, window=window, return_complex=True)
    tracks = _at_samples(tracks, voiced.shape[1])
    frequencies = torch.linspace(0.0, sample_rate / 2, n_fft // 2 + 1)
    spectrum = voiced * _tract(voice, tracks, frequencies, sample_rate)
    spectrum = spectrum + hissed * _friction(tracks, frequencies)
    speech = torch.istft(spectrum, n_fft, hop, window=window, length=length)
    speech = speech - speech.mean()
    return speech / speech.square().mean().sqrt()


def _at_samples(track: Tensor, length: int) -> Tensor:
    """Interpolate (frames,) or (frames, columns) linearly to ``length`` points."""
    columns = track.reshape(len(track), -1).T[None]
    stretched = torch.nn.functional.interpolate(
        columns, size=length, mode="linear", align_corners=True
    )
    return stretched[0].T.reshape(length, *track.shape[1:])


def _pitch(voice: Voice, accents: Tensor, generator: torch.Generator) -> Tensor:
    """The pitch track in Hz: accents, a slow wander, jitter from frame to frame."""
    frames = len(accents)
    knots = torch.randn(max(2, frames // 60), generator=generator)
    wander = _at_samples(knots, frames)
    flutter = torch.randn(frames, generator=generator)
    octaves = voice.pitch_range * (accents + 0.25 * wander)
    return voice.pitch * 2**octaves * (1 + voice.jitter * flutter)


def _source(
    voice: Voice, tracks: Tensor, length: int, sample_rate: int, generator: torch.Generator
) -> Tensor:
    """Glottal pulses and the breath that comes with them, which is strongest while open."""
    fine = length * _PULSE_OVERSAMPLING
    pitch = _at_samples(_pitch(voice, tracks[:, ACCENT], generator), fine)
    # A float32 running sum would lose the pitch to rounding within a second.
    cycles = torch.cumsum(pitch.double() / (sample_rate * _PULSE_OVERSAMPLING), dim=0)
    position = (cycles % 1.0).float()
    loudness = 1 + voice.shimmer * torch.randn(int(cycles[-1]) + 1, generator=generator)
    pulses = _glottal_pulse(position, voice.open_quotient) * loudness[cycles.long()]
    pulses = _decimated(pulses)
    opening = position[::_PULSE_OVERSAMPLING] / voice.open_quotient
    openness = torch.where(opening < 1, torch.sin(math.pi * opening.clamp(0, 1)), 0.0)
    amount = _at_samples(tracks[:, [VOICE, BREATH]], length)
    whispered = torch.randn(length, generator=generator)
    breath = voice.breath * amount[:, 0] * (0.2 + 0.8 * openness) + amount[:, 1]
    return amount[:, 0] * pulses + breath * whispered


def _glottal_pulse(position: Tensor, open_quotient: float) -> Tensor:
    """The derivative of the glottal flow after Rosenberg at a position in [0, 1) of the cycle."""
    peak = 0.68 * open_quotient
    fall = open_quotient - peak
    rising = torch.sin(math.pi * position / peak) / peak
    falling = -torch.sin(0.5 * math.pi * (position - peak) / fall) / fall
    return torch.where(position < peak, rising, falling) * (position < open_quotient) * peak


def _decimated(fine: Tensor) -> Tensor:
    """Every fourth sample after a low-pass: pulses computed at the low rate would alias."""
    taps = 16 * _PULSE_OVERSAMPLING
    times = torch.arange(-taps, taps + 1) / _PULSE_OVERSAMPLING
    kernel = torch.sinc(0.95 * times) * torch.hann_window(2 * taps + 1, periodic=False)
    kernel = kernel / kernel.sum()
    low = torch.nn.functional.conv1d(
        fine[None, None], kernel[None, None], stride=_PULSE_OVERSAMPLING, padding=taps
    )
    return low[0, 0]


def _tract(voice: Voice, tracks: Tensor, frequencies: Tensor, sample_rate: int) -> Tensor:
    """The complex response (frequencies, frames) of formant resonators in a row, and the tilt."""
    moving = tracks[:, FORMANTS] * voice.tract
    highest = max(3500.0, 0.95 * sample_rate / 2 / voice.tract)
    fixed = torch.arange(3500.0, highest, 1000.0) * voice.tract
    formants = torch.cat([moving, fixed.expand(len(tracks), -1)], dim=1)
    radius = torch.exp(-math.pi * (40.0 + 0.03 * formants) / sample_rate)
    angle = 2 * math.pi * formants / sample_rate
    first, second = -2 * radius * torch.cos(angle), radius.square()
    delay = torch.exp(-2j * math.pi * frequencies / sample_rate)[:, None]
    response = torch.ones(len(frequencies), len(tracks), dtype=delay.dtype)
    for index in range(formants.shape[1]):
        a, b = first[:, index], second[:, index]
        response = response * (1 + a + b) / (1 + delay * (a + b * delay))
    return response / (1 + 1j * frequencies[:, None] / voice.tilt)


def _friction(tracks: Tensor, frequencies: Tensor) -> Tensor:
    """The magnitude response (frequencies, frames) of the constriction behind friction noise."""
    distance = (frequencies[:, None] - tracks[:, CENTRE]) / tracks[:, WIDTH]
    return torch.exp(-0.5 * distance.square()) + 0.03
