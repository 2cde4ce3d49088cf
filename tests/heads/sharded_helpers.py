"""What the ranks of the sharded tests run; in a file of its own, because processes import it."""

import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from scriptable import GE2ELoss, ShardedArcMarginProduct, gathered_ge2e_loss


def run_rank(rank: int, ranks: int, folder: str, jobs: list[dict[str, Any]]) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    store = dist.FileStore(str(Path(folder) / "store"), ranks)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=ranks)
    results = []
    for job in jobs:
        torch.set_default_dtype(job["inputs"].dtype)
        results.append({"head": head_rank, "ge2e": ge2e_rank}[job["kind"]](rank, ranks, job))
    torch.save(results, Path(folder) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def head_rank(rank: int, ranks: int, job: dict[str, Any]) -> dict[str, Any]:
    weight = job["weight"]
    head = ShardedArcMarginProduct(weight.shape[1], job["classes"], **job["config"])
    head.load_whole(weight)
    head.update(job["margin"])
    mine = job["inputs"].chunk(ranks)[rank].clone().requires_grad_()
    loss = head(mine, job["labels"].chunk(ranks)[rank])
    loss.backward()
    whole = head.gathered()
    with torch.no_grad():
        score = whole.score(job["inputs"])
    assert mine.grad is not None
    return {
        "loss": loss.detach(),
        "inputs": mine.grad,
        "weight": head.own.weight.grad,
        "score": score,
        "state": whole.state_dict(),
    }


def ge2e_rank(rank: int, ranks: int, job: dict[str, Any]) -> dict[str, Tensor | None]:
    criterion = GE2ELoss(**job["config"])
    mine = job["inputs"].chunk(ranks)[rank].clone().requires_grad_()
    loss = gathered_ge2e_loss(criterion, mine)
    loss.backward()
    return {
        "loss": loss.detach(),
        "inputs": mine.grad,
        "w": criterion.w.grad,
        "b": criterion.b.grad,
    }
