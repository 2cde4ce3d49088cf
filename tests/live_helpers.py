"""A tiny untrained scorer of windows whose frames a stream can share."""

import torch
from artefact_helpers import RATE
from torch import Tensor, nn

from scriptable import LFCC, CachedScorePipeline, FeatureNorm, LightCNN, OCSoftmax

WINDOW, CHUNK, HOP = 6450, 640, 160


def cached(normed: bool = True, deltas: int = 2) -> CachedScorePipeline:
    """An untrained scorer of windows whose frames a stream can share; same weights every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        front: nn.Module = LFCC(
            RATE,
            n_fft=400,
            hop_length=HOP,
            n_filter=10,
            n_lfcc=10,
            log_lf=True,
            center=False,
            deltas=deltas,
        )
        n = 10 * (1 + deltas)
        if normed:
            front = nn.Sequential(front, FeatureNorm(n).fit(1.0 + 2.0 * torch.randn(1, n, 50)))
        pipeline = CachedScorePipeline(front, LightCNN(n, 8), OCSoftmax(8), WINDOW, CHUNK)
        return pipeline.eval()


def windows_at(stream: Tensor, pipeline: CachedScorePipeline) -> dict[int, Tensor]:
    """The window ``[1, N]`` that the score after so many chunks is of."""
    found = {}
    for chunks in range(1, len(stream) // CHUNK + 1):
        begin, end = chunks * CHUNK - pipeline.window_samples, chunks * CHUNK
        if begin >= 0:
            window = stream[begin : min(end, begin + WINDOW)]
            # What no frame covers may be anything.
            found[chunks] = nn.functional.pad(window, [0, WINDOW - len(window)]).unsqueeze(0)
    return found
