"""The contrastive loss of wav2vec 2.0, beside SpeechBrain."""

import torch

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, Target, peer_module, work


def _make(device: torch.device) -> Sides:
    g = draw.generator()
    x = draw.normal(g, device, 8, 100, 256)
    y = torch.randn(8, 100, 256, generator=g).to(device)
    negatives = torch.randn(100, 8, 100, 256, generator=g).to(device)
    return Sides(
        work(scriptable.ContrastiveLoss(0.1), [x], y, negatives),
        lambda: work(
            peer_module("speechbrain.nnet.losses").ContrastiveLoss(0.1), [x], y, negatives
        ),
    )


CASES = [
    Case("ContrastiveLoss", "B8 T100 C256 N100", _make, "speechbrain", target=Target(0.2, 0.25))
]
