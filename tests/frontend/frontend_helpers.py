"""Pairs of a static front end and its torchaudio counterpart, and signals to compare them on."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from scriptable.frontend import LFCC, MFCC, LogMel

transforms = pytest.importorskip("torchaudio.transforms")

SAMPLES = 4000

SPECTROGRAMS: dict[str, dict[str, Any]] = {
    "default": {},
    "asvspoof": {"n_fft": 512, "win_length": 320, "hop_length": 160},
    "no_center": {"n_fft": 512, "win_length": 400, "hop_length": 160, "center": False},
    "no_center_odd": {"n_fft": 400, "win_length": 257, "hop_length": 101, "center": False},
    "long": {"n_fft": 1024, "hop_length": 256, "normalized": True},
    "long_short_window": {"n_fft": 1024, "win_length": 400, "normalized": "frame_length"},
    "magnitude": {"n_fft": 512, "win_length": 400, "hop_length": 160, "power": 1.0},
    "magnitude_no_center": {"n_fft": 512, "power": 1.0, "center": False, "normalized": "window"},
    "constant": {"n_fft": 512, "win_length": 400, "pad_mode": "constant"},
    "replicate": {"n_fft": 512, "win_length": 401, "hop_length": 100, "pad_mode": "replicate"},
    "hamming": {"n_fft": 512, "win_length": 400, "window_fn": torch.hamming_window},
    "odd_fft": {"n_fft": 401, "win_length": 300, "hop_length": 111},
}
MELS: dict[str, dict[str, Any]] = {
    "htk40": {"n_mels": 40},
    "slaney80": {"n_mels": 80, "norm": "slaney", "mel_scale": "slaney"},
    "band": {"n_mels": 24, "f_min": 60.0, "f_max": 7000.0, "norm": "slaney"},
}
LINEARS: dict[str, dict[str, Any]] = {
    "asvspoof": {"n_filter": 20, "n_lfcc": 20},
    "band": {"n_filter": 70, "n_lfcc": 30, "f_min": 100.0, "f_max": 4000.0, "norm": None},
}


class LogMelReference(nn.Module):
    """The logarithm that torchaudio leaves to the user."""

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__()
        self.mel = transforms.MelSpectrogram(**options)

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.log(self.mel(waveform) + 1e-6)


Pair = tuple[nn.Module, nn.Module]


def log_mel(spec: str, bank: str) -> Pair:
    options = SPECTROGRAMS[spec] | MELS[bank]
    reference = dict(options)
    kind = reference.pop("normalized", False)
    model = LogMelReference(reference)
    model.mel.spectrogram.normalized = kind
    return LogMel(**options), model


def mfcc(spec: str, bank: str, log: bool) -> Pair:
    spectrogram, mel = SPECTROGRAMS[spec], MELS[bank]
    ours = {"mel_norm" if key == "norm" else key: value for key, value in mel.items()}
    reference = transforms.MFCC(n_mfcc=20, log_mels=log, melkwargs=spectrogram | mel)
    return MFCC(n_mfcc=20, log_mels=log, **ours, **spectrogram), reference


def lfcc(spec: str, bank: str, log: bool) -> Pair:
    spectrogram, linear = SPECTROGRAMS[spec], LINEARS[bank]
    reference = transforms.LFCC(log_lf=log, speckwargs=spectrogram, **linear)
    return LFCC(log_lf=log, **linear, **spectrogram), reference


def pairs() -> dict[str, Callable[[], Pair]]:
    """Every spectrogram with every front end; the filterbanks take turns."""
    found: dict[str, Callable[[], Pair]] = {}
    mels, linears = list(MELS), list(LINEARS)
    for turn, spec in enumerate(SPECTROGRAMS):
        first, second, third = (mels[(turn + shift) % len(mels)] for shift in range(3))
        linear = linears[turn % len(linears)]
        found[f"logmel-{spec}-{first}"] = partial(log_mel, spec, first)
        found[f"mfcc-db-{spec}-{second}"] = partial(mfcc, spec, second, False)
        found[f"mfcc-log-{spec}-{third}"] = partial(mfcc, spec, third, True)
        found[f"lfcc-db-{spec}-{linear}"] = partial(lfcc, spec, linear, False)
        found[f"lfcc-log-{spec}-{linear}"] = partial(lfcc, spec, linear, True)
    for bank in mels:
        found[f"logmel-asvspoof-{bank}"] = partial(log_mel, "asvspoof", bank)
    return found


PAIRS = pairs()


def noise(batch: int = 2, samples: int = SAMPLES, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, samples, generator=generator) * 2 - 1


def tones() -> Tensor:
    time = torch.arange(SAMPLES, dtype=torch.float64) / 16000
    waves = [torch.sin(2 * torch.pi * f * time) for f in (440.0, 1000.0, 3333.3)]
    return torch.stack(waves).float()


def broadband() -> Tensor:
    """Full-scale and quiet noise, noise with a silent half, an impulse, silence."""
    gap = noise(1, seed=2)
    gap[:, SAMPLES // 2 :] = 0.0
    impulse = torch.zeros(1, SAMPLES)
    impulse[0, SAMPLES // 3] = 1.0
    return torch.cat([noise(), 1e-3 * noise(1, seed=1), gap, impulse, torch.zeros(1, SAMPLES)])


def periodic() -> Tensor:
    """Full-scale tones, square waves and a constant: most bins hold nothing but rounding."""
    waves = tones()
    return torch.cat([waves, torch.where(waves < 0, -1.0, 1.0), torch.ones(1, SAMPLES)])


def per_item(reference: nn.Module, waveform: Tensor) -> Tensor:
    """Run torchaudio with a decibel floor for each item: the waveform as ``[B, 1, N]``."""
    return reference(waveform.unsqueeze(1)).squeeze(1)


def deviation(actual: Tensor, expected: Tensor) -> float:
    """Largest difference over max(1, largest reference value), the worst item's."""
    assert actual.shape == expected.shape
    scale = expected.double().abs().amax(dim=(1, 2)).clamp(min=1.0)
    difference = (actual.double() - expected.double()).abs().amax(dim=(1, 2))
    return float((difference / scale).max())


def in_float64(pair: Pair, waveform: Tensor) -> tuple[Tensor, Tensor]:
    ours, reference = (copy.deepcopy(module).double() for module in pair)
    return ours(waveform.double()), per_item(reference, waveform.double())


def family() -> dict[str, nn.Module]:
    """One of each kind, small enough to lower to every runtime."""
    common: dict[str, Any] = {"n_fft": 512, "win_length": 400, "hop_length": 160}
    return {
        "logmel": LogMel(n_mels=40, **common),
        "logmel-deltas-no_center": LogMel(n_mels=40, deltas=2, center=False, **common),
        "logmel-magnitude-replicate": LogMel(n_mels=40, power=1.0, pad_mode="replicate", **common),
        "mfcc-db-no_center": MFCC(n_mfcc=20, n_mels=40, center=False, **common),
        "mfcc-log-deltas-constant": MFCC(
            n_mfcc=20, n_mels=40, log_mels=True, deltas=1, pad_mode="constant", **common
        ),
        "lfcc-db-deltas": LFCC(n_filter=20, n_lfcc=20, deltas=2, **common),
        "lfcc-log-no_center": LFCC(n_filter=20, n_lfcc=20, log_lf=True, center=False, **common),
    }


FAMILY = list(family())


def build(name: str) -> nn.Module:
    return family()[name].eval()
