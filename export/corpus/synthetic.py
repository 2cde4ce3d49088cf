"""A corpus out of nothing: a synthetic voice as bona fide speech, vocoded copies as spoofs.

It lets the demo run without any data. It shows that training, export and scoring work; an error
rate on it says nothing about speech.
"""

import torch
from torch import Tensor

from export.corpus._types import Corpus, Utterance, one_thread
from export.corpus._voice import draw_voice, speak, uniform
from export.corpus.vocoder import VOCODERS, as_pair, copy_synthesis
from export.errors import InputError
from export.progress import Progress, silent, tracked

_NOTE = (
    "synthetic speech, made by a source-filter voice: it only shows that the pipeline works; error "
    "rates on it say nothing about real speech"
)


def synthetic_corpus(
    seed: int,
    *,
    speakers: int = 16,
    utterances_per_speaker: int = 6,
    seconds: tuple[float, float] = (2.5, 4.5),
    sample_rate: int = 16000,
    progress: Progress = silent,
) -> Corpus:
    """Make speech-like utterances of several speakers, and a vocoded copy of each as its spoof.

    The same arguments give the same samples; an utterance does not depend on how many others are
    made. The global random state stays as it is.

    Args:
        seed: of everything drawn.
        speakers: how many, named ``syn00`` and so on.
        utterances_per_speaker: bona fide ones; there are as many spoofs.
        seconds: the shortest and the longest duration.
        sample_rate: in Hz.
        progress: told about every utterance made.

    Raises:
        InputError: for a number that makes no corpus.
    """
    if speakers < 1 or utterances_per_speaker < 1:
        raise InputError(
            "synthetic corpus: expected at least one speaker and one utterance of each, got "
            f"{speakers} and {utterances_per_speaker}"
        )
    # The pauses at both ends are 0.8 s at the most: less than this may hold no speech at all.
    if not 1.0 <= seconds[0] <= seconds[1] or sample_rate < 4000:
        raise InputError(
            "synthetic corpus: expected 1.0 <= shortest <= longest duration and at least 4000 Hz, "
            f"got {seconds[0]} s, {seconds[1]} s and {sample_rate} Hz"
        )
    voices = [draw_voice(_generator(seed, speaker, 0)) for speaker in range(speakers)]
    sentences = [(s, number) for s in range(speakers) for number in range(utterances_per_speaker)]
    utterances: list[Utterance] = []
    for speaker, number in tracked(sentences, "making synthetic speech", progress):
        # A step of one between speakers gives each of them, and each sentence, all vocoders.
        vocoder = VOCODERS[(speaker + number) % len(VOCODERS)]
        generator = _generator(seed, speaker, number + 1)
        with one_thread():
            dry = speak(voices[speaker], uniform(*seconds, generator), sample_rate, generator)
            phases = int(torch.randint(2**31, (), generator=generator))
            copy = copy_synthesis(dry, sample_rate, vocoder, seed=phases)
            waveform, copy = _recorded(torch.stack([dry, copy]), sample_rate, generator)
        name = f"syn{speaker:02d}_{number:03d}"
        utterances += as_pair(name, f"syn{speaker:02d}", waveform, copy, vocoder)
    return Corpus(tuple(utterances), sample_rate, (_NOTE,))


def _generator(seed: int, speaker: int, utterance: int) -> torch.Generator:
    return torch.Generator().manual_seed(((seed * 10007 + speaker) * 10007 + utterance) % 2**63)


def _recorded(dry: Tensor, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Record several sounds (K, N) in one room, over one background noise, at one level.

    The noise is not vocoded: between the words a recording and its copy are the same, and only
    speech can tell them apart.
    """
    length = dry.shape[-1]
    response = _room(sample_rate, generator)
    size = length + len(response)
    spectrum = torch.fft.rfft(dry, n=size) * torch.fft.rfft(response, n=size)
    wet = torch.fft.irfft(spectrum, n=size)[:, :length]
    wet = wet / _rms(wet)
    # From a studio to a busy street: in quiet rooms alone no detector would ever be wrong.
    level = 10 ** (uniform(-45.0, -8.0, generator) / 20)
    mixed = wet + level * _background(length, sample_rate, generator)
    mixed = mixed - mixed.mean(dim=-1, keepdim=True)
    return mixed / _rms(mixed) * 10 ** (uniform(-32.0, -23.0, generator) / 20)


def _rms(waveform: Tensor) -> Tensor:
    return waveform.square().mean(dim=-1, keepdim=True).sqrt()


def _room(sample_rate: int, generator: torch.Generator) -> Tensor:
    """A direct path and a tail of noise that decays by 60 dB in the reverberation time."""
    reverberation = uniform(0.15, 0.45, generator)
    ratio = uniform(4.0, 14.0, generator)
    times = torch.arange(round(reverberation * sample_rate)) / sample_rate
    tail = torch.randn(len(times), generator=generator) * 10 ** (-3 * times / reverberation)
    # The first reflection comes a little after the direct sound.
    tail[: round(0.003 * sample_rate)] = 0.0
    tail = tail / tail.norm() * 10 ** (-ratio / 20)
    tail[0] = 1.0
    return tail


def _background(length: int, sample_rate: int, generator: torch.Generator) -> Tensor:
    """Noise of RMS 1 that falls with frequency, more in rooms and less in microphones."""
    spectrum = torch.fft.rfft(torch.randn(length, generator=generator))
    frequencies = torch.linspace(0.0, sample_rate / 2, len(spectrum))
    slope = (1 + frequencies / 300.0) ** uniform(0.2, 1.0, generator)
    noise = torch.fft.irfft(spectrum / slope, n=length)
    return noise / _rms(noise)
