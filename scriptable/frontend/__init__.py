"""Static front ends: waveform to features, equal to the originals, exportable to every backend.

The short-time Fourier transform is real products with constants, in two stages, so neither complex
tensors nor ``unfold`` reach a mobile runtime. torchaudio is needed only while a front end is being
constructed, for its filterbanks and its cosine transform.

Keep a front end in float32. In half precision the power of loud audio overflows and the log's
floors underflow; an active ``torch.autocast`` is therefore switched off inside, except in scripted
modules, where TorchScript offers no way to do so.
"""

from scriptable.frontend._steps import CepstralNorm
from scriptable.frontend.fbank import Fbank
from scriptable.frontend.feature_norm import FeatureNorm
from scriptable.frontend.kaldi import KaldiFbank, KaldiMFCC
from scriptable.frontend.lfcc import LFCC
from scriptable.frontend.mel import MFCC, LogMel
from scriptable.frontend.nemo import AudioToMelSpectrogramPreprocessor

__all__ = [
    "LFCC",
    "MFCC",
    "AudioToMelSpectrogramPreprocessor",
    "CepstralNorm",
    "Fbank",
    "FeatureNorm",
    "KaldiFbank",
    "KaldiMFCC",
    "LogMel",
]
