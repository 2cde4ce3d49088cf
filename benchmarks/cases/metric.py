"""The generalised end-to-end loss, beside nested loops over speakers and utterances."""

import torch
from torch import Tensor, nn

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, Target, work


class LoopedGE2E(nn.Module):
    """GE2E one utterance at a time: centroids stacked anew for each, a row of cosines, a loss."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.w = nn.Parameter(torch.tensor(10.0))
        self.b = nn.Parameter(torch.tensor(-5.0))

    def _similarities(self, dvecs: Tensor, centroids: Tensor, j: int, i: int) -> Tensor:
        rest = torch.cat([dvecs[j, :i], dvecs[j, i + 1 :]]).mean(0)
        chosen = torch.stack([rest if k == j else c for k, c in enumerate(centroids)])
        dots = dvecs[j, i].unsqueeze(0) @ chosen.t()
        cosines = dots / (torch.norm(dvecs[j, i]) * torch.norm(chosen, dim=1))
        return self.w * cosines.clamp(min=1e-6).squeeze(0) + self.b

    def _loss(self, similarities: Tensor, j: int) -> Tensor:
        if self.method == "softmax":
            return -similarities.log_softmax(0)[j]
        near = similarities.sigmoid()
        return 1.0 - near[j] + torch.cat([near[:j], near[j + 1 :]]).max()

    def forward(self, dvecs: Tensor) -> Tensor:
        """Sum over all utterances of ``[N, M, D]``."""
        centroids = dvecs.mean(1)
        losses = [
            self._loss(self._similarities(dvecs, centroids, j, i), j)
            for j in range(dvecs.shape[0])
            for i in range(dvecs.shape[1])
        ]
        return torch.stack(losses).sum()


def _ge2e(method: str, speakers: int, utterances: int, target: Target) -> Case:
    def make(device: torch.device) -> Sides:
        g = draw.generator()
        # Cosines above 0, where the floor of the loops takes nothing away.
        dvecs = torch.rand(speakers, utterances, 256, generator=g).to(device).requires_grad_()
        ours = scriptable.GE2ELoss(loss_method=method).to(device)
        return Sides(work(ours, [dvecs]), lambda: work(LoopedGE2E(method).to(device), [dvecs]))

    shape = f"{method}, N{speakers} M{utterances} D256"
    # The gradient of b is zero but for the rounding of 640 terms, in both.
    return Case("GE2ELoss", shape, make, "nested loops", target=target, tolerance=5e-3)


CASES = [
    _ge2e("softmax", 64, 10, Target(0.0125, None, 6.0)),
    _ge2e("softmax", 16, 5, Target(1.05, 1.0)),
    _ge2e("contrast", 16, 5, Target(1.05, 1.0)),
]
