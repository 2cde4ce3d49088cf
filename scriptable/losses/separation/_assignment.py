"""The cheapest assignment of predictions to targets, for a batch at once and without a branch."""

from typing import List

import torch
from torch import Tensor


def permutation_table(sources: int, device: torch.device) -> Tensor:
    """All permutations of ``sources`` numbers in lexicographic order, ``[S!, S]``, int64."""
    table = torch.zeros([1, 1], dtype=torch.int64, device=device)
    for size in range(2, sources + 1):
        first = torch.arange(size, device=device).reshape(size, 1, 1)
        rest = table.unsqueeze(0)
        rest = rest + (rest >= first).to(torch.int64)
        table = torch.cat([first.expand(size, rest.shape[1], 1), rest], 2).reshape(-1, size)
    return table


def _search_table(cost: Tensor) -> Tensor:
    """The best of all permutations: S! sums of S costs."""
    batch, sources = cost.shape[0], cost.shape[1]
    table = permutation_table(sources, cost.device)
    rows = torch.arange(sources, device=cost.device) * sources
    cells = (table + rows).reshape(-1)
    totals = cost.flatten(1).index_select(1, cells)
    totals = totals.reshape(batch, table.shape[0], sources).sum(2)
    return table.index_select(0, totals.argmin(1))


def _search_subsets(cost: Tensor) -> Tensor:
    """Dynamic programming over sets of predictions: S² 2^S additions.

    After target i, ``best[b, m]`` is the cheapest way to give the predictions of the set m, written
    as a binary number with i + 1 ones, to the targets up to i. Sets of another size hold values
    that no set of the right size is reached from.
    """
    batch, sources = cost.shape[0], cost.shape[1]
    sizes: List[int] = []
    for j in range(sources):
        sizes.append(1 << j)
    powers = torch.tensor(sizes, device=cost.device)
    sets = torch.arange(1 << sources, device=cost.device).unsqueeze(1)
    member = torch.remainder(sets, 2 * powers) >= powers
    without = (sets - member.to(torch.int64) * powers).reshape(-1)
    outside = torch.where(member, 0.0, float("inf")).to(cost.dtype)
    best = torch.zeros_like(cost[:, 0, :1]).expand(batch, 1 << sources)
    choices: List[Tensor] = []
    for i in range(sources):
        before = best.index_select(1, without).reshape(batch, 1 << sources, sources)
        best, choice = (before + outside + cost[:, i].unsqueeze(1)).min(2)
        choices.append(choice)
    reached = torch.full_like(choices[0][:, :1], (1 << sources) - 1)
    columns: List[Tensor] = []
    for back in range(sources):
        column = choices[sources - 1 - back].gather(1, reached)
        columns.insert(0, column)
        reached = reached - powers.index_select(0, column.reshape(-1)).unsqueeze(1)
    return torch.cat(columns, 1)


def best_permutation(cost: Tensor) -> Tensor:
    """The permutation with the smallest sum of costs, exactly.

    Args:
        cost: cost of giving prediction j to target i, shape ``[B, S, S]`` as ``[b, i, j]``.

    Returns:
        The prediction of each target, int64, shape ``[B, S]``; of equal sums with at most five
        sources, the first in lexicographic order.
    """
    # Whatever overflowed is no better than the worst, and the result stays a permutation.
    worst = torch.full_like(cost, 1e30)
    cost = torch.where(cost < worst, cost, worst).clamp(min=-1e30)
    if cost.shape[1] <= 5:
        return _search_table(cost)
    return _search_subsets(cost)


def inverse_permutation(perms: Tensor) -> Tensor:
    """The target of each prediction, ``[B, S]``, from the prediction of each target."""
    order = torch.arange(perms.shape[1], device=perms.device)
    hits = (perms.unsqueeze(1) == order.unsqueeze(1)).to(torch.int64)
    return (hits * order).sum(2)


def sources_first(x: Tensor) -> Tensor:
    """``[B, ..., S]`` → ``[B, S, ...]``, contiguous: sums over time then run along the memory."""
    return x.movedim(-1, 1).contiguous()


def take_sources(x: Tensor, index: Tensor) -> Tensor:
    """``x [B, S, ...]`` with source ``index[b, i]`` in place i, whole rows at a time."""
    batch, sources = x.shape[0], x.shape[1]
    rows = torch.arange(batch, device=x.device).unsqueeze(1) * sources + index
    return x.flatten(0, 1).index_select(0, rows.reshape(-1)).reshape(x.shape)
