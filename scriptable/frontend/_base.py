"""What all front ends share: the order of the steps, the checks of the waveform, autocast."""

import warnings
from typing import Final, Optional, Union

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_rank
from scriptable.frontend._kaldi_frames import KaldiFrames
from scriptable.frontend._layers import Deltas, Projection, Spectrogram


class FrontEnd(nn.Module):
    """Spectrogram, filterbank, logarithm, perhaps a cosine transform, deltas.

    ``extra`` counts the features that a subclass adds to these, ``min_samples`` is what it needs
    beyond the spectrogram's own.
    """

    n_features: Final[int]
    min_samples: Final[int]

    def __init__(
        self,
        spectrogram: Union[Spectrogram, KaldiFrames],
        filterbank: Tensor,
        log: nn.Module,
        dct: Optional[Tensor],
        deltas: int,
        deltas_form: str = "regression",
        extra: int = 0,
        min_samples: int = 1,
    ) -> None:
        super().__init__()
        self.spectrogram = spectrogram
        self.filterbank = Projection(filterbank)
        self.log = log
        self.dct: nn.Module = nn.Identity() if dct is None else Projection(dct)
        self.deltas = Deltas(deltas, deltas_form)
        self.min_samples = max(min_samples, spectrogram.min_samples)
        self.n_features = (filterbank if dct is None else dct).shape[1] * (1 + deltas) + extra

    def num_frames(self, num_samples: int) -> int:
        """The number of frames T of a waveform of ``num_samples`` samples."""
        return self.spectrogram.num_frames(num_samples)

    def _check(self, waveform: Tensor) -> None:
        check_rank("waveform", waveform, "[B, N]", 2)
        if not waveform.is_floating_point():
            raise ValueError(
                f"waveform: expected floating-point samples in [-1, 1], got {waveform.dtype}"
            )
        if waveform.size(1) < self.min_samples:
            raise ValueError(
                f"waveform: expected shape [B, N] with N >= {self.min_samples}, "
                f"got {list(waveform.shape)}"
            )

    def frames(self, waveform: Tensor) -> Tensor:
        """What each frame gives by itself, before the slopes: ``[B, F, T]``."""
        if waveform.dtype != self.spectrogram.kernel.dtype:
            waveform = waveform.to(self.spectrogram.kernel.dtype)
        energy = self.spectrogram(waveform.unsqueeze(1))
        return self.dct(self.log(self.filterbank(energy)))

    def _features(self, waveform: Tensor) -> Tensor:
        return self.deltas(self.frames(waveform))

    def _outside_script(self, waveform: Tensor) -> Tensor:
        if torch.jit.is_tracing():
            with warnings.catch_warnings():
                # The tracer warns that the outcome of the check is frozen, which is harmless.
                warnings.simplefilter("ignore", torch.jit.TracerWarning)
                self._check(waveform)
        else:
            self._check(waveform)
        device = waveform.device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            with torch.autocast(device, enabled=False):
                return self._features(waveform)
        return self._features(waveform)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``[B, n_features, T]`` of a waveform ``[B, N]`` in [-1, 1]."""
        if torch.jit.is_scripting():
            self._check(waveform)
            return self._features(waveform)
        else:
            return self._outside_script(waveform)
