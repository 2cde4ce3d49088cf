"""Static front ends: waveform to features, equal to torchaudio, exportable to every backend.

The short-time Fourier transform is one convolution with constant kernels, so neither complex
tensors nor ``unfold`` reach a mobile runtime. torchaudio is needed only while a front end is being
constructed, for its filterbanks and its cosine transform.

Keep a front end in float32. In half precision the power of loud audio overflows and the log's
floors underflow; an active ``torch.autocast`` is therefore switched off inside, except in scripted
modules, where TorchScript offers no way to do so.
"""

from scriptable.frontend._features import LFCC, MFCC, LogMel

__all__ = ["LFCC", "MFCC", "LogMel"]
