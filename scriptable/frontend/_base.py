"""What all front ends share: the order of the steps, the checks of the waveform, autocast."""

import warnings
from typing import Any, Final, Optional, Union

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_rank
from scriptable._core.numeric import without_tf32
from scriptable.frontend._kaldi_frames import KaldiFrames
from scriptable.frontend._layers import Deltas, Projection
from scriptable.frontend._spectrogram import Spectrogram
from scriptable.frontend._two_stages import tells_ends_apart


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
        if isinstance(spectrogram, Spectrogram) and tells_ends_apart(filterbank):
            spectrogram.lay_out(two_stages=False)
        self.spectrogram = spectrogram
        self.filterbank = Projection(spectrogram.arranged(filterbank))
        self.log = log
        self.dct: nn.Module = nn.Identity() if dct is None else Projection(dct)
        self.deltas = Deltas(deltas, deltas_form)
        self.min_samples = max(min_samples, spectrogram.min_samples)
        self.n_features = (filterbank if dct is None else dct).shape[1] * (1 + deltas) + extra

    def upgrade_state_dict(self, state: dict[str, Tensor], prefix: str = "") -> None:
        """Bring a state dict of before the transform in two stages, in place, to what it is now.

        Filters were convolutions then, ``[M, n_bins, 1]``, and bins came in their own order.
        """
        for name in ("filterbank.weight", "dct.weight"):
            weight = state.get(prefix + name)
            if weight is None or weight.dim() != 3:
                continue
            weight = weight.squeeze(2)
            if name == "filterbank.weight":
                if weight.shape[1] != self.spectrogram.n_bins:
                    # Of another transform: whoever loads it says so.
                    continue
                weight = self.spectrogram.arranged(weight.t()).t().contiguous()
            state[prefix + name] = weight
        kernel = state.get(f"{prefix}spectrogram.kernel")
        if kernel is None:
            return
        replaced = kernel.dim() > self.spectrogram.kernel.dim()
        for name, buffer in self.spectrogram.state_dict(prefix=f"{prefix}spectrogram.").items():
            if name not in state or (replaced and name.endswith("spectrogram.kernel")):
                state[name] = buffer.clone()

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        self.upgrade_state_dict(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *rest)

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
        return self._static(energy)

    def _static(self, energy: Tensor) -> Tensor:
        """Features ``[B, F, T]`` of the bins ``[B, T, n]``."""
        return self.dct(self.log(self.filterbank(energy))).transpose(1, 2).contiguous()

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
                return self._in_float32(waveform)
        return self._in_float32(waveform)

    def _in_float32(self, waveform: Tensor) -> Tensor:
        if waveform.is_cuda and not torch.compiler.is_compiling():
            with without_tf32():
                return self._features(waveform)
        return self._features(waveform)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features ``[B, n_features, T]`` of a waveform ``[B, N]`` in [-1, 1]."""
        if torch.jit.is_scripting():
            self._check(waveform)
            return self._features(waveform)
        else:
            return self._outside_script(waveform)
