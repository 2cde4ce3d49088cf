"""Front ends, beside torchaudio's FFT."""

from typing import Any

import torch

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, peer_module, work

_BATCH, _SAMPLES = 8, 64600
_FFT: dict[str, Any] = {"n_fft": 512, "win_length": 400, "hop_length": 160}


def _transforms() -> Any:
    return peer_module("torchaudio.transforms")


def _frontend(name: str, ours: Any, peer: Any) -> Case:
    def make(device: torch.device) -> Sides:
        waveform = (0.1 * torch.randn(_BATCH, _SAMPLES, generator=draw.generator())).to(device)
        waveform.requires_grad_()
        return Sides(
            work(ours().to(device), [waveform]),
            lambda: work(peer().to(device), [waveform]),
        )

    shape = f"B{_BATCH} N{_SAMPLES}, {_FFT['n_fft']}/{_FFT['hop_length']}"
    # The two transforms round differently, and logarithms of near-silent bins show it.
    return Case(name, shape, make, "torchaudio", tolerance=1e-3, forward_target=1.0)


class _LogMel(torch.nn.Module):
    """The logarithm that torchaudio leaves to the user."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = _transforms().MelSpectrogram(16000, n_mels=64, **_FFT)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        return torch.log(self.mel(waveform) + 1e-6)


CASES = [
    _frontend(
        "LogMel",
        lambda: scriptable.LogMel(n_mels=64, log_floor=1e-6, **_FFT),
        _LogMel,
    ),
    _frontend(
        "MFCC",
        lambda: scriptable.MFCC(n_mfcc=20, n_mels=40, log_mels=True, **_FFT),
        lambda: _transforms().MFCC(16000, 20, log_mels=True, melkwargs={"n_mels": 40, **_FFT}),
    ),
    _frontend(
        "LFCC",
        lambda: scriptable.LFCC(n_filter=20, n_lfcc=20, log_lf=True, **_FFT),
        lambda: _transforms().LFCC(16000, n_filter=20, n_lfcc=20, log_lf=True, speckwargs=_FFT),
    ),
]
