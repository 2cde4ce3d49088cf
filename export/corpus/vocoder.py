"""Vocoder copy-synthesis: spoofed speech made from bona fide speech.

A detector trained on vocoded copies of its bona fide recordings learns what resynthesis leaves
behind, because nothing else differs between a recording and its copy (Wang and Yamagishi, "Spoofed
training data for speech spoofing countermeasure can be efficiently created using neural vocoders",
arXiv 2210.10570). The copy here goes through a mel spectrogram, which is what nearly all speech
synthesis goes through, and back by Griffin-Lim, which needs no trained network.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from export.corpus._types import BONA_FIDE, NO_ATTACK, SPOOF, Utterance, as_pcm16, one_thread
from export.runtime.audio import load_torchaudio

_REFERENCE_RATE = 16000
_PEAK = 0.99


@dataclass(frozen=True)
class Vocoder:
    """How coarse a copy is: mel bands, Griffin-Lim iterations, and FFT length at 16 kHz."""

    n_mels: int
    n_iter: int
    n_fft: int

    @property
    def name(self) -> str:
        """The name of the attack, such as ``griffinlim-80mel-32it``."""
        return f"griffinlim-{self.n_mels}mel-{self.n_iter}it"

    def fft_length(self, sample_rate: int) -> int:
        """The FFT length that lasts about as long at another sample rate."""
        exact = math.log2(self.n_fft * sample_rate / _REFERENCE_RATE)
        return int(2 ** round(exact))


VOCODERS = (
    Vocoder(80, 32, 1024),
    Vocoder(40, 16, 512),
    Vocoder(64, 8, 1024),
    Vocoder(80, 16, 512),
    Vocoder(64, 32, 512),
    Vocoder(40, 8, 1024),
)


def copy_synthesis(waveform: Tensor, sample_rate: int, vocoder: Vocoder, seed: int = 0) -> Tensor:
    """Send a waveform (N,) through a mel spectrogram and back.

    The copy has the length, the mean and the RMS level of its source, so that none of them tells
    the two apart. Its peaks may be higher.

    Args:
        waveform: float32 samples of shape (N,), N more than half the FFT length.
        sample_rate: in Hz.
        vocoder: how coarse the copy is.
        seed: of the phases that Griffin-Lim starts from; the global random state stays as it is.
    """
    n_fft = vocoder.fft_length(sample_rate)
    if waveform.ndim != 1 or len(waveform) <= n_fft // 2:
        raise ValueError(
            f"waveform: expected shape [N] with N > {n_fft // 2}, got {list(waveform.shape)}"
        )
    with one_thread(), _private_random_state(seed):
        mean = waveform.mean()
        centred = waveform - mean
        copy = _through_mel(centred, sample_rate, vocoder)
        copy = copy - copy.mean()
        # A silent source has a silent copy, and nothing to be matched.
        gain = centred.norm() / copy.norm().clamp_min(torch.finfo(copy.dtype).tiny)
        return copy * gain + mean


def _through_mel(waveform: Tensor, sample_rate: int, vocoder: Vocoder) -> Tensor:
    n_fft = vocoder.fft_length(sample_rate)
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(waveform, n_fft, n_fft // 4, window=window, return_complex=True)
    to_mel, from_mel = _mel_filters(n_fft, vocoder.n_mels, sample_rate)
    smeared = (from_mel @ (to_mel @ spectrum.abs())).clamp_min(0.0)
    copy: Tensor = load_torchaudio().functional.griffinlim(
        smeared,
        window,
        n_fft,
        n_fft // 4,
        n_fft,
        power=1.0,
        n_iter=vocoder.n_iter,
        momentum=0.99,
        length=len(waveform),
        rand_init=True,
    )
    return copy


def as_pair(
    name: str, speaker: str, waveform: Tensor, copy: Tensor, vocoder: Vocoder
) -> tuple[Utterance, Utterance]:
    """A bona fide utterance and its vocoded copy, which differ in nothing but the vocoding.

    Both are scaled by the same factor where one of them would clip, and both are rounded to the
    steps of 16-bit audio.
    """
    peak = max(float(waveform.abs().max()), float(copy.abs().max()))
    gain = min(1.0, _PEAK / peak) if peak > 0 else 1.0
    return (
        Utterance(name, speaker, NO_ATTACK, BONA_FIDE, as_pcm16(waveform * gain)),
        Utterance(f"{name}+{vocoder.name}", speaker, vocoder.name, SPOOF, as_pcm16(copy * gain)),
    )


@cache
def _mel_filters(n_fft: int, n_mels: int, sample_rate: int) -> tuple[Tensor, Tensor]:
    with warnings.catch_warnings():
        # At low rates the lowest filters fall between two bins and torchaudio says so; the
        # pseudo-inverse leaves such a band out, and the copy is none the worse for it.
        warnings.simplefilter("ignore", UserWarning)
        filters = load_torchaudio().functional.melscale_fbanks(
            n_fft // 2 + 1, 0.0, _top_frequency(n_mels, sample_rate), n_mels, sample_rate
        )
    # The lowest filter starts from zero at 0 Hz, which would leave a hole there.
    filters[0] = filters[1]
    to_mel = filters.T.contiguous()
    return to_mel, torch.linalg.pinv(to_mel.double()).float()


def _top_frequency(n_mels: int, sample_rate: int) -> float:
    """Where the topmost filter ends if it is to peak at half the sample rate.

    Ending there, as usual, would empty the last bins of every copy: a mark that a detector finds
    at once and that says nothing of vocoding.
    """
    top = math.log10(1.0 + 0.5 * sample_rate / 700.0) * (n_mels + 1) / n_mels
    return 700.0 * (10.0**top - 1.0)


@contextmanager
def _private_random_state(seed: int) -> Iterator[None]:
    """Seed the CPU generator for a while; ``torch.manual_seed`` would disturb the GPU's as well."""
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(before)
