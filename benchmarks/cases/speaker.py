"""Speaker classification heads and margins, beside ESPnet, SpeechBrain and the bare kernels."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, Target, peer_module, work
from scriptable.heads.sharded import ShardedArcMarginProduct

_BATCH, _CLASSES, _DIM = 256, 7205, 192
_SHAPE = f"B{_BATCH} C{_CLASSES} D{_DIM}"
_MANY = 1_000_000


def _linear_cross_entropy(input: Tensor, weight: Tensor, label: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(input, weight), label)


def _head(
    name: str,
    module: str,
    limit: Callable[..., Tensor],
    prepare: Callable[[Any], object] = lambda head: None,
    classes: int = _CLASSES,
) -> Callable[[torch.device], Sides]:
    def make(device: torch.device) -> Sides:
        g = draw.generator()
        torch.manual_seed(0)
        ours: nn.Module = getattr(scriptable, name)(_DIM, classes).to(device)
        input = draw.normal(g, device, _BATCH, _DIM)
        label = draw.labels(g, device, classes, _BATCH)

        def peer() -> nn.Module:
            theirs = getattr(peer_module(f"espnet2.spk.loss.{module}"), name)(_DIM, classes)
            theirs.load_state_dict({"weight": ours.state_dict()["weight"]})
            prepare(theirs)
            return theirs.to(device)

        weight = ours.get_parameter("weight").detach().clone().requires_grad_()
        return Sides(
            work(ours, [input], label),
            lambda: work(peer(), [input], label),
            work(limit, [input, weight], label),
        )

    return make


def _sharded(device: torch.device) -> Sides:
    """All classes on the one rank of a group: what sharding costs before anything is sent."""
    if not dist.is_initialized():
        dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1)
    g = draw.generator()
    torch.manual_seed(0)
    ours = ShardedArcMarginProduct(_DIM, _MANY, 30.0, K=1, k_top=0, fallback="sine").to(device)
    input = draw.normal(g, device, _BATCH, _DIM)
    label = draw.labels(g, device, _MANY, _BATCH)

    def peer() -> nn.Module:
        theirs = peer_module("espnet2.spk.loss.aamsoftmax").AAMSoftmax(_DIM, _MANY, 0.2, 30.0)
        theirs.load_state_dict({"weight": ours.state_dict()["own.weight"]})
        return theirs.to(device)

    return Sides(work(ours, [input], label), lambda: work(peer(), [input], label))


def _matmul(input: Tensor, weight: Tensor, label: Tensor) -> Tensor:
    return F.linear(input, weight)


def _margin(name: str, wrapped: bool) -> Case:
    def make(device: torch.device) -> Sides:
        g = draw.generator()
        cosines = (1.9 * torch.rand(_BATCH, 1, _CLASSES, generator=g) - 0.95).to(device)
        labels = draw.labels(g, device, _CLASSES, _BATCH, 1)
        if not wrapped:
            cosines = cosines.squeeze(1)
            labels = F.one_hot(labels.squeeze(1), _CLASSES).float()
        cosines.requires_grad_()

        def loss(source: Any) -> Any:
            margin = getattr(source, name)(0.2, 30.0)
            return source.LogSoftmaxWrapper(margin) if wrapped else margin

        return Sides(
            work(loss(scriptable), [cosines], labels),
            lambda: work(loss(peer_module("speechbrain.nnet.losses")), [cosines], labels),
        )

    entry, note = ("LogSoftmaxWrapper", f", {name}") if wrapped else (name, "")
    return Case(entry, f"B{_BATCH} C{_CLASSES}{note}", make, "speechbrain")


_ARC = "ArcMarginProduct_intertopk_subcenter"
CASES = [
    Case(
        "Softmax",
        _SHAPE,
        _head("Softmax", "softmax", _linear_cross_entropy),
        "espnet",
        "linear + cross entropy",
    ),
    Case(
        "AAMSoftmax",
        _SHAPE,
        _head("AAMSoftmax", "aamsoftmax", _linear_cross_entropy),
        "espnet",
        "linear + cross entropy",
        limit_target=Target(1.25, 1.4),
    ),
    Case(
        _ARC,
        f"{_SHAPE} K3",
        # The peer ignores its penalty before the first update.
        _head(_ARC, "aamsoftmax_subcenter_intertopk", _matmul, lambda head: head.update(0.2)),
        "espnet",
        "its matmul",
        Target(0.85, 1.0),
        Target(1.4, 2.4),
    ),
    Case(
        "AAMSoftmax",
        f"B{_BATCH} C{_MANY} D{_DIM}",
        _head("AAMSoftmax", "aamsoftmax", _linear_cross_entropy, classes=_MANY),
        "espnet",
        "linear + cross entropy",
        limit_target=Target(1.25, 1.4),
        gpu_only=True,
    ),
    Case("AAMSoftmax", f"B{_BATCH} C{_MANY} D{_DIM}, sharded", _sharded, "espnet", gpu_only=True),
    _margin("AngularMargin", wrapped=False),
    _margin("AdditiveAngularMargin", wrapped=False),
    _margin("AdditiveAngularMargin", wrapped=True),
]
