"""Rows of the front ends."""

from collections.abc import Callable

import torch
from torch import nn

import scriptable
from export.catalog import draw
from export.catalog.row import Row

_SAMPLES = 4000


def _features(entry: str, module: Callable[[], nn.Module], variant: str = "") -> Row:
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": lambda g: (draw.waveform(g, 2, _SAMPLES),)},
        speech={"forward": draw.speech(_SAMPLES)},
    )


ROWS = [
    _features("LogMel", lambda: scriptable.LogMel(n_mels=32)),
    _features("LogMel", lambda: scriptable.LogMel(n_mels=32, center=False, deltas=1), "no centre"),
    _features("MFCC", lambda: scriptable.MFCC(n_mfcc=13, n_mels=32)),
    _features(
        "MFCC", lambda: scriptable.MFCC(n_mfcc=13, n_mels=32, log_mels=True, center=False), "log"
    ),
    _features("LFCC", lambda: scriptable.LFCC(n_filter=20, n_lfcc=20)),
    _features(
        "LFCC",
        lambda: scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True, center=False, deltas=2),
        "log, deltas",
    ),
    _features("LFCC", scriptable.LFCC.asvspoof2021, "ASVspoof 2021"),
    _features("KaldiFbank", lambda: scriptable.KaldiFbank(num_mel_bins=24)),
    _features(
        "KaldiFbank",
        lambda: scriptable.KaldiFbank(
            num_mel_bins=24,
            window_type="hamming",
            use_energy=True,
            snip_edges=False,
            subtract_mean=True,
            scale=32768.0,
        ),
        "energy, mirrored, mean",
    ),
    _features("KaldiMFCC", lambda: scriptable.KaldiMFCC(subtract_mean=True)),
    _features(
        "KaldiMFCC",
        lambda: scriptable.KaldiMFCC(
            window_type="hanning", use_energy=True, raw_energy=False, htk_compat=True
        ),
        "energy last",
    ),
    _features("Fbank", lambda: scriptable.Fbank(n_mels=24, mean_norm=True)),
    _features(
        "Fbank",
        lambda: scriptable.Fbank(n_mels=16, deltas=True, context=True, std_norm=True),
        "deltas, context",
    ),
    _features(
        "AudioToMelSpectrogramPreprocessor",
        lambda: scriptable.AudioToMelSpectrogramPreprocessor(features=24),
    ),
    _features(
        "AudioToMelSpectrogramPreprocessor",
        lambda: scriptable.AudioToMelSpectrogramPreprocessor(
            features=24, normalize="all_features", pad_mode="reflect", count_last=True
        ),
        "all, older",
    ),
    Row(
        entry="CepstralNorm",
        module=lambda: scriptable.CepstralNorm(std_norm=True),
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 9),)},
    ),
    Row(
        entry="FeatureNorm",
        module=lambda: scriptable.FeatureNorm(6).fit(3.0 + 2.0 * torch.randn(4, 6, 30)),
        methods={"forward": lambda g: (draw.normal(g, 2, 6, 9),)},
    ),
]
