"""Filterbanks, the cosine transform, and the logarithm before it, as torchaudio has them."""

from types import ModuleType
from typing import Optional

import torch
from torch import Tensor, nn

from scriptable._core.checks import (
    check_choice,
    check_flag,
    check_not_negative,
    check_positive,
    check_size,
)
from scriptable.frontend._layers import (
    Decibel,
    Log,
    check_at_most,
    check_member,
)

CEPSTRUM_LOG_FLOOR = 1e-6
CEPSTRUM_POWER_FLOOR = 1e-10
CEPSTRUM_TOP_DB = 80.0


def torchaudio_functional() -> ModuleType:
    """Import torchaudio's functional module, or raise an error that says what to install."""
    try:
        import torchaudio.functional
    except (ImportError, OSError) as error:
        raise ImportError(
            f"torchaudio cannot be imported ({error}). A front end takes its filterbank from "
            "torchaudio: install the build that matches your torch. The Linux x86-64 wheels on "
            "PyPI need torch with CUDA; download.pytorch.org/whl/cpu has CPU builds of both"
        ) from error
    return torchaudio.functional


def band(sample_rate: int, f_min: float, f_max: Optional[float]) -> tuple[float, float]:
    """The filterbank's edges in Hz; the upper one defaults to half the sample rate."""
    check_size("sample_rate", sample_rate)
    check_not_negative("f_min", f_min)
    if f_max is not None:
        check_positive("f_max", f_max)
    high = float(sample_rate // 2) if f_max is None else float(f_max)
    check_at_most("f_min", f_min, "f_max", high)
    return float(f_min), high


def mel_filterbank(
    sample_rate: int,
    n_bins: int,
    f_min: float,
    f_max: Optional[float],
    n_mels: int,
    norm: Optional[str],
    mel_scale: str,
) -> Tensor:
    """Triangular filters ``[n_bins, n_mels]`` on the mel scale."""
    low, high = band(sample_rate, f_min, f_max)
    check_size("n_mels", n_mels)
    check_member("norm of the mel filterbank", norm, (None, "slaney"))
    check_choice("mel_scale", mel_scale, ["htk", "slaney"])
    functional = torchaudio_functional()
    return functional.melscale_fbanks(n_bins, low, high, n_mels, sample_rate, norm, mel_scale)


def cosine_transform(n_out: int, n_in: int, dct_type: int, norm: Optional[str]) -> Tensor:
    """The matrix ``[n_in, n_out]`` of the discrete cosine transform."""
    check_member("dct_type", dct_type, (2,))
    check_member("norm", norm, (None, "ortho"))
    return torchaudio_functional().create_dct(n_out, n_in, norm)


def cepstrum_log(name: str, natural: bool) -> nn.Module:
    """The two logarithms torchaudio offers before a cosine transform."""
    check_flag(name, natural)
    if natural:
        return Log(CEPSTRUM_LOG_FLOOR)
    return Decibel(CEPSTRUM_POWER_FLOOR, CEPSTRUM_TOP_DB)


def band_bins(n_bins: int, sample_rate: int, low: float, high: float) -> tuple[int, int]:
    """The first bin of a band, and the one after its last."""
    return int(2.0 * low / sample_rate * n_bins), int(2.0 * high / sample_rate * n_bins)


def even_filterbank(
    n_bins: int, first: int, last: int, low: float, high: float, n_filter: int
) -> Tensor:
    """Triangular filters ``[n_bins, n_filter]`` over bins that count as spread evenly."""
    width = int(high - low)
    filters = torchaudio_functional().linear_fbanks(last - first, 0.0, width, n_filter, 2 * width)
    return torch.nn.functional.pad(filters, [0, 0, first, n_bins - last])
