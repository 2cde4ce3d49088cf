"""Source separation, beside SpeechBrain."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import scriptable
from benchmarks import draw
from benchmarks.case import Case, Sides, Target, peer_module, work

_BATCH, _SAMPLES = 8, 16000
_PIT_TARGETS = {2: 0.33, 6: 0.1, 8: 0.01}


def _losses() -> Any:
    return peer_module("speechbrain.nnet.losses")


def _signals(device: torch.device, *shape: int) -> tuple[Tensor, Tensor]:
    g = draw.generator()
    return draw.normal(g, device, *shape), torch.randn(shape, generator=g).to(device)


def _pit(sources: int) -> Case:
    def make(device: torch.device) -> Sides:
        preds, targets = _signals(device, _BATCH, _SAMPLES, sources)
        return Sides(
            work(scriptable.PitWrapper(nn.MSELoss(reduction="none")), [preds], targets),
            lambda: work(_losses().PitWrapper(nn.MSELoss(reduction="none")), [preds], targets),
        )

    target = Target(_PIT_TARGETS.get(sources, 1.05), 1.0)
    return Case(
        "PitWrapper",
        f"mse, S{sources} B{_BATCH} T{_SAMPLES}",
        make,
        "speechbrain",
        target=target,
        slow=sources > 6,
    )


def _of_copies(function: Callable[[Tensor, Tensor], Tensor], source: Tensor) -> Any:
    """The peer writes into its second argument, which a leaf does not allow: both get a copy."""
    return lambda estimate: function(source.clone(), estimate.clone())


def _ratio(name: str, *shape: int) -> Case:
    def make(device: torch.device) -> Sides:
        estimate, source = _signals(device, *shape)
        return Sides(
            work(_of_copies(getattr(scriptable, name), source), [estimate]),
            lambda: work(_of_copies(getattr(_losses(), name), source), [estimate]),
        )

    text = "x".join(str(size) for size in shape)
    return Case(name, text, make, "speechbrain")


def _mask(device: torch.device) -> Sides:
    source = torch.randn(_SAMPLES, _BATCH, 2, generator=draw.generator()).to(device)
    lengths = torch.linspace(1000, _SAMPLES, _BATCH).long().to(device)
    return Sides(
        work(lambda: scriptable.get_mask(source, lengths), []),
        lambda: work(lambda: _losses().get_mask(source, lengths), []),
    )


def _reorder(device: torch.device) -> Sides:
    g = draw.generator()
    sources = draw.normal(g, device, _BATCH, _SAMPLES, 4)
    perms = torch.rand(_BATCH, 4, generator=g).argsort(1).to(device)
    as_tuples = [tuple(row) for row in perms.tolist()]

    def peer() -> Any:
        return _losses().PitWrapper(nn.MSELoss(reduction="none")).reorder_tensor

    return Sides(
        work(scriptable.reorder_tensor, [sources], perms),
        lambda: work(peer(), [sources], as_tuples),
    )


CASES = [
    *(_pit(sources) for sources in (2, 3, 4, 6, 8)),
    _ratio("cal_si_snr", _SAMPLES, _BATCH, 2),
    _ratio("cal_snr", 2, _SAMPLES, _BATCH, 2),
    _ratio("get_si_snr_with_pitwrapper", _BATCH, _SAMPLES, 2),
    _ratio("get_si_snr_with_pitwrapper", _BATCH, _SAMPLES, 4),
    _ratio("get_snr_with_pitwrapper", _BATCH, _SAMPLES, 2, 2),
    Case("get_mask", f"{_SAMPLES}x{_BATCH}x2", _mask, "speechbrain"),
    Case("reorder_tensor", f"{_BATCH}x{_SAMPLES}x4", _reorder, "speechbrain"),
]
