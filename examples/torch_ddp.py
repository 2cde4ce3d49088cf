"""A head of ours in a plain loop with torch.compile and DDP, over two processes.

Run: torchrun --standalone --nproc-per-node 2 examples/torch_ddp.py
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import corpus
from finish import build, finish
from scriptable import ScorePipeline


class Step(nn.Module):
    """DDP synchronises gradients of what runs inside forward: so the loss is computed there."""

    def __init__(self, pipeline: ScorePipeline) -> None:
        super().__init__()
        self.pipeline = pipeline

    def forward(self, waveforms: Tensor, labels: Tensor) -> Tensor:
        """Waveforms and labels → loss."""
        return self.pipeline.loss(waveforms, labels)


def train(pipeline: ScorePipeline) -> None:
    """Four epochs; every process sees its own half of the data."""
    data = TensorDataset(*corpus.draw(96, seed=0))
    sampler: DistributedSampler = DistributedSampler(data, seed=0)
    loader = DataLoader(data, batch_size=8, sampler=sampler, drop_last=True)
    step = torch.compile(DistributedDataParallel(Step(pipeline)), dynamic=False)
    optimizer = torch.optim.AdamW(pipeline.parameters(), lr=3e-3)
    for epoch in range(1, 5):
        sampler.set_epoch(epoch)
        for waveforms, labels in loader:
            loss = step(waveforms, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        dist.all_reduce(total := loss.detach().clone())
        if dist.get_rank() == 0:
            print(f"epoch {epoch}: loss {float(total) / dist.get_world_size():.3f}", flush=True)


def main() -> None:
    """Train in all processes; the first ships, as all hold the same weights."""
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    pipeline = build()
    train(pipeline)
    if dist.get_rank() == 0:
        finish(pipeline)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
