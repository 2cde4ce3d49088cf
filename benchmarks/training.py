"""Training steps of the heads: eager, ``torch.jit.script`` and ``torch.compile`` side by side."""

import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import scriptable
from benchmarks import draw
from benchmarks.case import Work, work
from benchmarks.measure import Effort, disagreement, interleaved, ratio

_CPU = torch.device("cpu")
_CLEARLY = 0.95


@dataclass(frozen=True)
class Head:
    """A head with the batch that it is trained on."""

    name: str
    shape: str
    module: Callable[[], nn.Module]
    inputs: Callable[[torch.Generator], tuple[Tensor, ...]]


def _classified(name: str, classes: int, batch: int, **config: Any) -> Head:
    def inputs(g: torch.Generator) -> tuple[Tensor, ...]:
        return draw.normal(g, _CPU, batch, 192), draw.labels(g, _CPU, classes, batch)

    def module() -> nn.Module:
        made: nn.Module = getattr(scriptable, name)(192, **config)
        return made

    return Head(name, f"B{batch} D192 C{classes}", module, inputs)


def _metric(name: str) -> Head:
    return Head(
        name,
        "N32 M5 D256",
        getattr(scriptable, name),
        lambda g: (draw.normal(g, _CPU, 32, 5, 256),),
    )


def _lengths(g: torch.Generator) -> Tensor:
    return draw.lengths(g, _CPU, 32, 500)


_CLASSES = 2000
HEADS = [
    _classified("AMSoftmax", 2, 256),
    _classified("ASoftmax", 2, 256),
    _classified("OCSoftmax", 2, 256),
    _classified("CrossEntropy", 2, 256),
    _classified("P2SGrad", 2, 256),
    Head(
        "ASVSpoofBinaryLoss",
        "B256",
        scriptable.ASVSpoofBinaryLoss,
        lambda g: (draw.normal(g, _CPU, 256, 2), draw.labels(g, _CPU, 2, 256, 2)),
    ),
    _classified("AAMSoftmax", _CLASSES, 128, nclasses=_CLASSES),
    _classified("ArcMarginProduct_intertopk_subcenter", _CLASSES, 128, nclasses=_CLASSES),
    _classified("SphereFace2", _CLASSES, 128, n_classes=_CLASSES),
    _metric("GE2ELoss"),
    _metric("AngularPrototypical"),
    Head(
        "MSELoss",
        "B32 T500 F80, lengths",
        scriptable.MSELoss,
        lambda g: (
            draw.normal(g, _CPU, 32, 500, 80),
            torch.randn(32, 500, 80, generator=g),
            _lengths(g),
        ),
    ),
    Head(
        "TransducerLoss",
        "B4 T50 S20 C100",
        lambda: scriptable.TransducerLoss(0),
        lambda g: (
            draw.normal(g, _CPU, 4, 50, 21, 100),
            1 + draw.labels(g, _CPU, 99, 4, 20),
            torch.ones(4),
            torch.ones(4),
        ),
    ),
]


def measure(head: Head, effort: Effort) -> dict[str, Any]:
    """Milliseconds of a step in each mode, and which to take."""
    inputs = head.inputs(draw.generator())
    leaves = [x for x in inputs if x.requires_grad]
    rest = inputs[len(leaves) :]
    works: dict[str, Work] = {}
    record: dict[str, Any] = {"name": head.name, "shape": head.shape, "modes": {}}
    expected = work(_made(head), leaves, *rest).both()
    for mode, convert in _MODES.items():
        start = time.perf_counter()
        try:
            made = work(convert(_made(head)), leaves, *rest)
            # The second and third call of a scripted module compile as well.
            found, *_ = [made.both() for _ in range(4)]
        except Exception as error:
            line = (str(error).strip().splitlines() or [""])[0]
            record["modes"][mode] = {"error": f"{type(error).__name__}: {line[:100]}"}
            continue
        apart = disagreement(found, expected)
        if not apart <= 1e-3:
            record["modes"][mode] = {"error": f"differs from eager by {apart:.2g}"}
            continue
        works[mode] = made
        record["modes"][mode] = {"ready_s": time.perf_counter() - start}
    times = interleaved({mode: made.both for mode, made in works.items()}, effort)
    for mode, values in times.items():
        found_ratio = ratio(values, times["eager"])
        record["modes"][mode] |= {
            "ms": 1e3 * statistics.median(values),
            "ratio": found_ratio.median,
            "ratio_ci": [found_ratio.low, found_ratio.high],
        }
    return {**record, "take": recommend(record["modes"])}


def recommend(modes: dict[str, dict[str, Any]]) -> str:
    """The fastest mode, unless eager is within five per cent: then nothing is to be done."""
    timed = {mode: found for mode, found in modes.items() if "ratio" in found}
    best = min(timed, key=lambda mode: timed[mode]["ratio"])
    return best if timed[best]["ratio_ci"][1] < _CLEARLY else "eager"


def _made(head: Head) -> nn.Module:
    torch.manual_seed(0)
    return head.module().train()


def _scripted(module: nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated")
        return torch.jit.script(module)


def _compiled(module: nn.Module) -> Any:
    torch._dynamo.reset()
    return torch.compile(module)


_MODES: dict[str, Callable[[nn.Module], Any]] = {
    "eager": lambda module: module,
    "script": _scripted,
    "compile": _compiled,
}
