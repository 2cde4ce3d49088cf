"""Rows of the front ends that public networks were trained with."""

import scriptable
from export.catalog import draw
from export.catalog.audio import audio_row
from export.catalog.row import Row

ROWS = [
    audio_row("KaldiFbank", lambda: scriptable.KaldiFbank(num_mel_bins=24)),
    audio_row(
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
    audio_row("KaldiMFCC", lambda: scriptable.KaldiMFCC(subtract_mean=True)),
    audio_row(
        "KaldiMFCC",
        lambda: scriptable.KaldiMFCC(
            window_type="hanning", use_energy=True, raw_energy=False, htk_compat=True
        ),
        "energy last",
    ),
    audio_row("Fbank", lambda: scriptable.Fbank(n_mels=24, mean_norm=True)),
    audio_row(
        "Fbank",
        lambda: scriptable.Fbank(n_mels=16, deltas=True, context=True, std_norm=True),
        "deltas, context",
    ),
    audio_row(
        "AudioToMelSpectrogramPreprocessor",
        lambda: scriptable.AudioToMelSpectrogramPreprocessor(features=24),
    ),
    audio_row(
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
]
