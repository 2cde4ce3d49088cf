"""Time over size: log-log slopes beside the order that the algorithm should have."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import scriptable
from benchmarks import draw
from benchmarks.case import Work, work
from benchmarks.measure import Effort, interleaved

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Curve:
    """One loss over one size."""

    name: str
    variable: str
    fixed: str
    order: float
    """Expected exponent, where the size dominates."""
    sizes: tuple[int, ...]
    make: Callable[[int], Work]


def _ge2e(speakers: int, utterances: int) -> Work:
    return work(
        scriptable.GE2ELoss(), [draw.normal(draw.generator(), _CPU, speakers, utterances, 256)]
    )


def _pit(sources: int) -> Work:
    g = draw.generator()
    preds = draw.normal(g, _CPU, 4, 8000, sources)
    targets = torch.randn(4, 8000, sources, generator=g)
    return work(scriptable.PitWrapper(nn.MSELoss(reduction="none")), [preds], targets)


def _margin(head: type[nn.Module], classes: int, **config: Any) -> Work:
    g = draw.generator()
    torch.manual_seed(0)
    input = draw.normal(g, _CPU, 16, 32)
    return work(head(32, classes, **config), [input], draw.labels(g, _CPU, classes, 16))


def _transducer(nodes: int) -> Work:
    """T·U nodes with T = 4U."""
    g = draw.generator()
    size = math.isqrt(nodes // 4)
    logits = draw.normal(g, _CPU, 4, 4 * size, size, 64)
    targets = 1 + draw.labels(g, _CPU, 63, 4, size - 1)
    return work(scriptable.TransducerLoss(0), [logits], targets, torch.ones(4), torch.ones(4))


def _masked(name: str, frames: int) -> Work:
    g = draw.generator()
    shape = (8, frames, 40)
    x = torch.randn(shape, generator=g)
    if name == "nll_loss":
        targets = draw.labels(g, _CPU, 40, 8, frames)
        x = x.log_softmax(2)
    else:
        targets = torch.rand(shape, generator=g)
    length = 0.2 + 0.8 * torch.rand(8, generator=g)
    return work(getattr(scriptable, name), [x.requires_grad_()], targets, length)


def _frontend(samples: int) -> Work:
    frontend = scriptable.LogMel(n_mels=64, n_fft=512, win_length=400, hop_length=160)
    return work(frontend, [draw.normal(draw.generator(), _CPU, 1, samples)])


_ARC = scriptable.ArcMarginProduct_intertopk_subcenter
_FRAMES = (250, 500, 1000, 2000, 4000, 8000)
_CLASSES = (1_000, 10_000, 100_000, 1_000_000)
CURVES = [
    Curve("GE2ELoss", "N", "M10 D256", 2, (16, 32, 64, 128, 256), lambda n: _ge2e(n, 10)),
    Curve("GE2ELoss", "M", "N32 D256", 1, (8, 16, 32, 64, 128), lambda m: _ge2e(32, m)),
    Curve(
        "PitWrapper",
        "S",
        "mse, B4 T8000; from 6 on the search adds S²·2^S",
        2,
        (2, 4, 6, 8, 10, 12),
        _pit,
    ),
    Curve("AAMSoftmax", "C", "B16 D32", 1, _CLASSES, lambda c: _margin(scriptable.AAMSoftmax, c)),
    Curve(
        "ArcMarginProduct_intertopk_subcenter",
        "C",
        "B16 D32 K2",
        1,
        _CLASSES,
        lambda c: _margin(_ARC, c, K=2),
    ),
    Curve("transducer_loss", "T·U", "B4 C64", 1, (256, 1024, 4096, 16384), _transducer),
    *(
        Curve(name, "T", "B8 F40, lengths", 1, _FRAMES, lambda t, name=name: _masked(name, t))  # type: ignore[misc]
        for name in ("l1_loss", "mse_loss", "bce_loss", "nll_loss")
    ),
    Curve(
        "LogMel",
        "N",
        "B1, 512/160, 64 mels",
        1,
        (16_000, 64_000, 256_000, 1_024_000),
        _frontend,
    ),
]


def measure(curve: Curve, effort: Effort) -> dict[str, Any]:
    """Milliseconds at each size, and the slope over the larger half of the sizes."""
    milliseconds = []
    for size in curve.sizes:
        both = curve.make(size).both
        times = sorted(interleaved({"ours": both}, effort)["ours"])
        milliseconds.append(1e3 * times[len(times) // 2])
    # Small sizes cost what calling operators costs: the order shows where the data is large.
    tail = max(2, (len(curve.sizes) + 1) // 2)
    return {
        "name": curve.name,
        "variable": curve.variable,
        "fixed": curve.fixed,
        "sizes": list(curve.sizes),
        "ms": milliseconds,
        "slope": slope(curve.sizes[-tail:], milliseconds[-tail:]),
        "expected": curve.order,
    }


def slope(sizes: tuple[int, ...], times: list[float]) -> float:
    """The exponent: least squares of log time on log size."""
    x, y = [math.log(s) for s in sizes], [math.log(t) for t in times]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)
