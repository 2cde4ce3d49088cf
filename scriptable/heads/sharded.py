"""Heads over ``torch.distributed``: classes sharded over ranks, and GE2E over gathered batches.

Everything here is for training. Each function returns the loss of the *whole* batch on every rank;
its backward gives every rank the exact gradient of that one loss by its own embeddings and its own
slice of the parameters, without any averaging. The collectives are those of the process group.
``DistributedDataParallel`` around the encoder divides gradients by the number of ranks: multiply
the loss by it; the sharded head itself does not belong into DDP.
"""

from typing import Any, Optional

import torch
import torch.distributed as dist
from torch import Tensor, nn

from scriptable._core.checks import check_features, check_size
from scriptable._core.labels import class_indices
from scriptable._core.numeric import at_least_float32, mean_of
from scriptable.heads._centres import add_margin, sine
from scriptable.heads.ge2e import (
    GE2ELoss,
    centroid_similarities,
    check_batch,
    own_speaker,
    reduced,
    total_loss,
)
from scriptable.heads.subcenter import ArcMarginProduct_intertopk_subcenter, subcenter_logits


class _Gather(torch.autograd.Function):
    """``[B, *]`` on each rank → all of them, ``[ranks, B, *]``; gradients are summed back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Optional["dist.ProcessGroup"]) -> Tensor:
        ctx.group = group
        return _gather(x, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient, group=ctx.group)
        return gradient[dist.get_rank(ctx.group)], None


class _Sum(torch.autograd.Function):
    """Sum over ranks, for a result that each rank uses alike: the gradient goes to every term."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Optional["dist.ProcessGroup"]) -> Tensor:
        total = x.clone()
        dist.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


class _Shared(torch.autograd.Function):
    """A parameter that every rank holds: the gradients of all ranks are summed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Optional["dist.ProcessGroup"]) -> Tensor:
        ctx.group = group
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient = gradients[0].clone()
        dist.all_reduce(gradient, group=ctx.group)
        return gradient, None


def _gather(x: Tensor, group: Optional["dist.ProcessGroup"]) -> Tensor:
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size(group))]
    dist.all_gather(parts, x.detach().contiguous(), group=group)
    return torch.stack(parts)


def class_range(nclasses: int, rank: int, ranks: int) -> tuple[int, int]:
    """First class of a rank and the first of the next; the sizes differ by one at most."""
    share, left = divmod(nclasses, ranks)
    return rank * share + min(rank, left), (rank + 1) * share + min(rank + 1, left)


class ShardedArcMarginProduct(nn.Module):
    r"""Sub-centre ArcFace with inter-top-k whose classes are spread over the ranks of a group.

    The loss of :class:`ArcMarginProduct_intertopk_subcenter` over the batches of all ranks put
    together; with ``K=1, k_top=0, fallback="sine"`` that of :class:`AAMSoftmax`. Each rank holds
    the centres of its own classes, and of the logits no more than ``[all items, own classes]``.
    Training only: :meth:`gathered` gives the ordinary head for scores and export.

    Args:
        nout: size D of the embeddings.
        nclasses: number of classes C of all ranks together, at least one per rank.
        scale: s.
        margin: m in radians.
        easy_margin: leave cos θ as it is where it is not above 0.
        K: number of sub-centres of each class.
        mp: margin of the nearest other classes in radians, at m = 0.2.
        k_top: number of nearest other classes with a margin; at most C − 1 are taken.
        do_lm: large-margin fine-tuning, which has no penalty.
        fallback: continuation beyond θ + m = π, ``continuous`` or ``sine``.
        group: process group; None for the default one.

    Shape:
        - input: ``[B, D]``, B the same on all ranks; label: ``[B]``, ``[B, 1]`` or one-hot; loss:
          scalar, in nats, the same on all ranks: the mean over the items of all of them.

    Raises:
        ValueError: on a wrong shape or configuration.

    Reference:
        An et al., "Partial FC: Training 10 Million Identities on a Single Machine", arXiv
        2010.05222; the loss: arXiv 2110.05042.

    Example:
        >>> store = dist.HashStore()
        >>> dist.init_process_group("gloo", store=store, rank=0, world_size=1)
        >>> head = ShardedArcMarginProduct(nout=2, nclasses=2, K=1, k_top=1)
        >>> head.load_whole(torch.eye(2))
        >>> head(torch.tensor([[3.0, 4.0]]), torch.tensor([1])).detach()
        tensor(0.4465)
        >>> head.gathered().score(torch.tensor([[3.0, 4.0]])).detach()
        tensor([[0.6000, 0.8000]])
        >>> dist.destroy_process_group()
    """

    margin: Tensor
    mp: Tensor

    def __init__(
        self,
        nout: int,
        nclasses: int,
        scale: float = 32.0,
        margin: float = 0.2,
        easy_margin: bool = False,
        K: int = 3,
        mp: float = 0.06,
        k_top: int = 5,
        do_lm: bool = False,
        fallback: str = "continuous",
        group: Optional["dist.ProcessGroup"] = None,
    ) -> None:
        super().__init__()
        ranks = dist.get_world_size(group)
        check_size("nclasses", nclasses)
        if nclasses < ranks:
            raise ValueError(f"nclasses: expected {ranks} or more, one per rank, got {nclasses}")
        self.group = group
        self.nclasses = nclasses
        self.first, self.end = class_range(nclasses, dist.get_rank(group), ranks)
        # An ordinary head of the own classes holds configuration, centres and margins.
        own = self.end - self.first
        self.own = ArcMarginProduct_intertopk_subcenter(
            nout, own, scale, margin, easy_margin, K, mp, k_top, do_lm, fallback
        )
        # Ranks are usually seeded alike; their centres must not be.
        generator = torch.Generator().manual_seed(torch.initial_seed() % 2**62 + self.first)
        nn.init.xavier_uniform_(self.own.weight, generator=generator)

    def update(self, margin: float = 0.2) -> None:
        """Set the margin, in radians, in [0, π]."""
        self.own.update(margin)

    def large_margin(self, margin: float = 0.5) -> None:
        """Enter large-margin fine-tuning: this margin, and no penalty from now on."""
        self.own.large_margin(margin)

    def load_whole(self, weight: Tensor) -> None:
        """Load this rank's classes from an ordinary head's ``weight [C·K, D]``."""
        expected = [self.nclasses * self.own.K, self.own.nout]
        if list(weight.shape) != expected:
            raise ValueError(f"weight: expected shape {expected}, got {list(weight.shape)}")
        k = self.own.K
        with torch.no_grad():
            self.own.weight.copy_(weight[self.first * k : self.end * k])

    def gathered(self) -> ArcMarginProduct_intertopk_subcenter:
        """The ordinary head with the centres of all ranks; every rank must call this."""
        own, ranks = self.own, dist.get_world_size(self.group)
        longest = class_range(self.nclasses, 0, ranks)[1] * own.K
        padded = torch.zeros(longest, own.nout, dtype=own.weight.dtype, device=own.weight.device)
        padded[: own.weight.shape[0]] = own.weight.detach()
        parts = _gather(padded, self.group)
        rows = []
        for rank in range(ranks):
            first, end = class_range(self.nclasses, rank, ranks)
            rows.append(parts[rank, : (end - first) * own.K])
        head = ArcMarginProduct_intertopk_subcenter(
            own.nout,
            self.nclasses,
            own.scale,
            easy_margin=own.easy_margin,
            K=own.K,
            k_top=own.k_top,
            fallback=own.fallback,
        ).to(padded)
        head.load_state_dict({"weight": torch.cat(rows), "margin": own.margin, "mp": own.mp})
        return head

    def forward(self, input: Tensor, label: Tensor) -> Tensor:
        """Loss of all ranks' batches: own embeddings ``[B, D]``, labels → scalar."""
        check_features("input", input, self.own.nout)
        target = class_indices(label, input.shape[0], self.nclasses)
        inputs = _Gather.apply(input, self.group).flatten(0, 1)
        targets = _gather(target, self.group).flatten(0, 1)
        logits = subcenter_logits(inputs, self.own.weight, self.own.K, self.own.scale)
        mine = (targets >= self.first) & (targets < self.end)
        column = (targets - self.first).clamp(0, self.end - self.first - 1)
        logits = self._with_margins(logits, column, mine)
        return mean_of(self._cross_entropy(logits, column, mine))

    def _with_margins(self, logits: Tensor, column: Tensor, mine: Tensor) -> Tensor:
        """The margins of the classes held here, added to logits ``[items, own classes]``."""
        own = self.own
        margin = at_least_float32(own.margin)
        columns = column.unsqueeze(1)
        counts = mine.unsqueeze(1)
        if own.k_top > 0:
            candidates, chosen = self._hardest(logits, columns, mine)
            columns = torch.cat([columns, candidates], 1)
            counts = torch.cat([counts, chosen], 1)
        cosine = (logits.gather(1, columns) / own.scale).clamp(-1.0, 1.0)
        target, near = cosine[:, :1], cosine[:, 1:]
        penalty = at_least_float32(own.mp) * margin / 0.2
        moved = torch.cat(
            [
                add_margin(target, margin, own.easy_margin, own.fallback),
                near * torch.cos(penalty) + sine(near) * torch.sin(penalty),
            ],
            1,
        )
        change = torch.where(counts, moved - cosine, torch.zeros_like(cosine))
        return logits.scatter_add(1, columns, own.scale * change)

    def _hardest(self, logits: Tensor, columns: Tensor, mine: Tensor) -> tuple[Tensor, Tensor]:
        """Own candidates for the k nearest other classes, and which of them are."""
        ranks, rank = dist.get_world_size(self.group), dist.get_rank(self.group)
        k = min(self.own.k_top, self.nclasses - 1)
        smallest = self.nclasses // ranks
        width = min(k, smallest + 1)
        lowest = torch.finfo(logits.dtype).min
        others = logits.detach().clone()
        target = torch.full_like(columns, lowest, dtype=logits.dtype)
        others.scatter_(
            1, columns, torch.where(mine.unsqueeze(1), target, others.gather(1, columns))
        )
        values, candidates = others.topk(min(width, others.shape[1]), 1)
        missing = width - values.shape[1]
        padded = torch.nn.functional.pad(values, (0, missing), value=lowest)
        everywhere = _gather(padded, self.group).permute(1, 0, 2).flatten(1)
        best = everywhere.topk(k, 1)[1]
        chosen = torch.zeros_like(everywhere, dtype=torch.bool).scatter_(1, best, True)
        chosen = chosen & (everywhere > lowest)
        start = rank * width
        return candidates, chosen[:, start : start + values.shape[1]]

    def _cross_entropy(self, logits: Tensor, column: Tensor, mine: Tensor) -> Tensor:
        """Cross-entropy of every item over the classes of all ranks, ``[items]``."""
        peak = logits.detach().amax(1, keepdim=True)
        dist.all_reduce(peak, dist.ReduceOp.MAX, group=self.group)
        total = _Sum.apply(torch.exp(logits - peak).sum(1), self.group)
        own = logits.gather(1, column.unsqueeze(1)).squeeze(1) - peak.squeeze(1)
        target = _Sum.apply(torch.where(mine, own, torch.zeros_like(own)), self.group)
        return torch.log(total) - target


def gathered_ge2e_loss(
    criterion: GE2ELoss, dvecs: Tensor, group: Optional["dist.ProcessGroup"] = None
) -> Tensor:
    r"""GE2E over the speakers of all ranks: only centroids are exchanged, never similarities.

    Args:
        criterion: the loss with its w and b, alike on all ranks.
        dvecs: embeddings of the own speakers, ``[n, M, D]``, n the same on all ranks; a speaker is
            on one rank only.
        group: process group; None for the default one.

    Returns:
        The loss over the speakers of all ranks, summed or averaged as the criterion says: a scalar,
        the same on all of them.

    Raises:
        ValueError: on a wrong shape, M < 2, or one speaker with ``contrast``.

    Reference:
        Wan et al., "Generalized End-to-End Loss for Speaker Verification", arXiv 1710.10467, eq. 5
        (similarity) and the softmax and contrast losses.

    Example:
        >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
        >>> dvecs = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [-0.6, 0.8]]])
        >>> gathered_ge2e_loss(GE2ELoss(), dvecs).detach()
        tensor(0.0158)
        >>> dist.destroy_process_group()
    """
    check_batch(dvecs)
    dvecs = at_least_float32(dvecs)
    sums = _Gather.apply(dvecs.sum(1), group).flatten(0, 1)
    speakers = dvecs.shape[0]
    if criterion.loss_method == "contrast" and sums.shape[0] == 1:
        raise ValueError("dvecs: expected 2 or more speakers for contrast, got 1")
    own = own_speaker(speakers, sums.shape[0], speakers * dist.get_rank(group), dvecs.device)
    similarities = centroid_similarities(dvecs, sums, own)
    if criterion.similarity_floor is not None:
        similarities = similarities.clamp(min=criterion.similarity_floor)
    w = at_least_float32(_Shared.apply(criterion.w, group))
    b = at_least_float32(_Shared.apply(criterion.b, group))
    total = _Sum.apply(total_loss(similarities, own, w, b, criterion.loss_method), group)
    return reduced(total, sums.shape[0] * dvecs.shape[1], criterion.reduction)
