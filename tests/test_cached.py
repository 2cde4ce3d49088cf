"""Windows of a stream whose frames are computed once: scores, and what is refused."""

import pytest
import torch
from live_helpers import CHUNK, WINDOW, cached, windows_at
from torch import nn

from scriptable import LFCC, CachedScorePipeline, LightCNN, OCSoftmax


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("deltas", [0, 1, 2])
def test_the_slopes_at_a_windows_edges_are_its_own(normed: bool, deltas: int) -> None:
    pipeline = cached(normed, deltas)
    stream = 0.1 * torch.randn(3 * WINDOW, generator=torch.Generator().manual_seed(1))
    windows, past = windows_at(stream, pipeline), pipeline.initial_state(2)
    with torch.no_grad():
        for count in range(1, len(stream) // CHUNK + 1):
            chunk = stream[(count - 1) * CHUNK : count * CHUNK].repeat(2, 1)
            score, past = pipeline.live(chunk, past)
            if count in windows:
                whole = pipeline(windows[count]).expand(2)
                torch.testing.assert_close(score, whole, rtol=0, atol=1e-6)


def test_what_cannot_share_its_frames_is_refused() -> None:
    encoder, head = LightCNN(20, 8), OCSoftmax(8)
    near = LFCC(n_lfcc=20, n_filter=20, log_lf=True, center=False)
    for frontend, chunk, said in (
        (LFCC(n_lfcc=20, n_filter=20, log_lf=True), 800, "center=False"),
        (LFCC(n_lfcc=20, n_filter=20, center=False), 800, "expected a logarithm"),
        (nn.Sequential(near, nn.Identity()), 800, "then FeatureNorm, got .LFCC, Identity."),
        (nn.Identity(), 800, "expected LogMel, MFCC or LFCC, got Identity"),
        (near, 801, "chunk_samples: expected a multiple of the hop, 200"),
        (near, 4000, "chunk_samples: .* fewer than the window's 19 frames"),
        (near, 0, "chunk_samples"),
    ):
        with pytest.raises(ValueError, match=said):
            CachedScorePipeline(frontend, encoder, head, 4000, chunk)
    pipeline = cached()
    with pytest.raises(ValueError, match="past: expected"):
        pipeline.live(torch.zeros(1, CHUNK), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="chunk: expected"):
        pipeline.live(torch.zeros(1, 3), pipeline.initial_state())
