"""Training steps: eager, ``torch.jit.script`` and ``torch.compile`` side by side.

Batches of speech are never of one shape twice: each head is trained on shapes of 100, 90, 80 and
70 % of what its row says in turn, so that what a mode does for every new shape is in its figures.
"""

import statistics
import time
import warnings
from collections.abc import Callable, Sequence
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
_SHARES = (1.0, 0.9, 0.8, 0.7)


@dataclass(frozen=True)
class Head:
    """A head with the batches that it is trained on, by their share of the largest."""

    name: str
    shape: str
    module: Callable[[], nn.Module]
    inputs: Callable[[torch.Generator, float], tuple[Tensor, ...]]


def _of(size: int, share: float) -> int:
    return max(2, round(size * share))


def _classified(name: str, classes: int, batch: int, **config: Any) -> Head:
    def inputs(g: torch.Generator, share: float) -> tuple[Tensor, ...]:
        items = _of(batch, share)
        return draw.normal(g, _CPU, items, 192), draw.labels(g, _CPU, classes, items)

    def module() -> nn.Module:
        made: nn.Module = getattr(scriptable, name)(192, **config)
        return made

    return Head(name, f"B{batch} D192 C{classes}", module, inputs)


def _metric(name: str) -> Head:
    return Head(
        name,
        "N32 M5 D256",
        getattr(scriptable, name),
        lambda g, share: (draw.normal(g, _CPU, _of(32, share), 5, 256),),
    )


def _frames(g: torch.Generator, share: float) -> tuple[Tensor, ...]:
    steps = _of(500, share)
    x = draw.normal(g, _CPU, 32, steps, 80)
    return x, torch.randn(32, steps, 80, generator=g), draw.lengths(g, _CPU, 32, steps)


def _labelled(g: torch.Generator, scores: Tensor, size: int) -> tuple[Tensor, ...]:
    batch, classes = scores.shape[0], scores.shape[-1]
    targets = 1 + draw.labels(g, _CPU, classes - 1, batch, size)
    return scores, targets, torch.ones(batch), torch.ones(batch)


def _joint(g: torch.Generator, share: float) -> tuple[Tensor, ...]:
    size = _of(20, share)
    return _labelled(g, draw.normal(g, _CPU, 4, _of(50, share), size + 1, 100), size)


def _emissions(g: torch.Generator, share: float) -> tuple[Tensor, ...]:
    logits = torch.randn(8, _of(200, share), 100, generator=g)
    return _labelled(g, logits.log_softmax(2).requires_grad_(), _of(40, share))


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
        lambda g, share: (
            draw.normal(g, _CPU, _of(256, share), 2),
            draw.labels(g, _CPU, 2, _of(256, share), 2),
        ),
    ),
    _classified("AAMSoftmax", _CLASSES, 128, nclasses=_CLASSES),
    _classified("ArcMarginProduct_intertopk_subcenter", _CLASSES, 128, nclasses=_CLASSES),
    _classified("SphereFace2", _CLASSES, 128, n_classes=_CLASSES),
    _metric("GE2ELoss"),
    _metric("AngularPrototypical"),
    Head("MSELoss", "B32 T500 F80, lengths", scriptable.MSELoss, _frames),
    Head("CTCLoss", "B8 T200 S40 C100", lambda: scriptable.CTCLoss(0), _emissions),
    Head("TransducerLoss", "B4 T50 S20 C100", lambda: scriptable.TransducerLoss(0), _joint),
]


def measure(head: Head, effort: Effort) -> dict[str, Any]:
    """Milliseconds of a step in each mode, and which to take."""
    batches = [head.inputs(draw.generator(), share) for share in _SHARES]
    rounds: dict[str, Callable[[], list[tuple[Tensor, ...]]]] = {}
    record: dict[str, Any] = {"name": head.name, "shape": head.shape, "modes": {}}
    expected = _round(_made(head), batches)()
    for mode, convert in _MODES.items():
        start = time.perf_counter()
        try:
            made = _round(convert(_made(head)), batches)
            # The second and third call of a scripted module compile as well.
            found, *_ = [made() for _ in range(4)]
        except Exception as error:  # whatever a compiler raises is the row's answer
            line = (str(error).strip().splitlines() or [""])[0]
            record["modes"][mode] = {"error": f"{type(error).__name__}: {line[:100]}"}
            continue
        apart = max(disagreement(*pair) for pair in zip(found, expected, strict=True))
        if not apart <= 1e-3:
            record["modes"][mode] = {"error": f"differs from eager by {apart:.2g}"}
            continue
        rounds[mode] = made
        record["modes"][mode] = {"ready_s": time.perf_counter() - start}
    times = interleaved(rounds, effort)
    for mode, values in times.items():
        found_ratio = ratio(values, times["eager"])
        record["modes"][mode] |= {
            "ms": 1e3 * statistics.median(values) / len(batches),
            "ratio": found_ratio.median,
            "ratio_ci": [found_ratio.low, found_ratio.high],
        }
    return {**record, "take": recommend(record["modes"])}


def _round(
    module: nn.Module, batches: Sequence[tuple[Tensor, ...]]
) -> Callable[[], list[tuple[Tensor, ...]]]:
    """One step on each of the batches."""
    works: list[Work] = []
    for batch in batches:
        leaves = [x for x in batch if x.requires_grad]
        works.append(work(module, leaves, *batch[len(leaves) :]))
    return lambda: [made.both() for made in works]


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
