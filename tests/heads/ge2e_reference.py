"""The GE2E paper's equations, one pair of loops at a time, and the seed's floor."""

import torch
from torch import Tensor


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / (a.square().sum().sqrt() * b.square().sum().sqrt())


def ge2e_reference(
    dvecs: Tensor, w: Tensor, b: Tensor, method: str = "softmax", floor: float | None = None
) -> Tensor:
    """Equations 1 and 5 to 10 of arXiv 1710.10467; ``floor`` as in ``torch.clamp(cos, floor)``."""
    speakers, utterances, _ = dvecs.shape
    total = dvecs.new_zeros(())
    for j in range(speakers):
        for i in range(utterances):
            similarities = []
            for k in range(speakers):
                kept = [m for m in range(utterances) if k != j or m != i]
                centroid = torch.stack([dvecs[k, m] for m in kept]).mean(0)
                value = cosine(dvecs[j, i], centroid)
                if floor is not None:
                    value = value.clamp(min=floor)
                similarities.append(w * value + b)
            if method == "softmax":
                total = total - similarities[j] + torch.stack(similarities).exp().sum().log()
            else:
                others = torch.stack([s for k, s in enumerate(similarities) if k != j])
                total = total + 1 - similarities[j].sigmoid() + others.sigmoid().max()
    return total
