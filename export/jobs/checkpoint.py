"""Weights from a file into a module: all of them, or none and a list of what does not fit."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from export.errors import InputError
from export.extras import require
from export.jobs.names import Rename, State, renamed, suggestion, with_fitting_prefix
from export.jobs.tensors import check_plain

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")
# Where training loops keep the state dict beside the optimizer's.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "encoder")
_SHOWN = 6
_DEEPEST = 4


def load_checkpoint(
    module: nn.Module,
    path: Path,
    constant: str | tuple[str, ...] = "frontend.",
    rename: Rename | None = None,
) -> None:
    """Load a state dict strictly; only buffers whose name begins with ``constant`` may be missing.

    ``.safetensors``; or ``.pt``, ``.pth`` and ``.ckpt`` by ``torch.load(weights_only=True)``, the
    state dict itself or inside dictionaries that hold it beside an optimiser's. A prefix that all
    names share is left out or put before them, such as ``module.`` of DistributedDataParallel, or
    ``encoder.`` where the checkpoint is the network's alone.

    Raises:
        InputError: if the file cannot be read, or a name or a shape does not fit the module, which
            is then not to be used.
    """
    expected = module.state_dict()
    needed = {name for name, _ in module.named_parameters()}
    found = [renamed(state, rename or {}) for state in _read(path)]
    fitted = [with_fitting_prefix(state, expected, needed) for state in found]
    state = max(fitted, key=lambda state: len(state.keys() & expected.keys()))
    check_plain(state, path)
    state = dict(state)
    for prefix, part in module.named_modules():
        # What a front end's state dict was before it transformed frames in two stages.
        if callable(upgrade := getattr(part, "upgrade_state_dict", None)):
            upgrade(state, f"{prefix}." if prefix else "")
    shapes = [
        f"{name} {list(state[name].shape)} instead of {list(expected[name].shape)}"
        for name in sorted(state.keys() & expected.keys())
        if state[name].shape != expected[name].shape
    ]
    values = [name for name in sorted(state) if not bool(torch.isfinite(state[name]).all())]
    missing: Sequence[str] = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    if not (shapes or values or unexpected):
        # The module itself says what it can do without, such as a counter of training steps.
        missing = module.load_state_dict(state, strict=False).missing_keys
    # A front end's filters follow from the configuration; many checkpoints leave them out.
    buffers = {name for name, _ in module.named_buffers() if name.startswith(constant)}
    missing = [name for name in missing if name not in buffers]
    parts = {
        "missing": missing,
        "unexpected": unexpected,
        "of another shape": shapes,
        "not finite": values,
    }
    problems = [f"{len(names)} {what}: {_some(names)}" for what, names in parts.items() if names]
    if problems:
        vital = [name for name in missing if name in needed]
        if advice := suggestion(state, expected, vital, unexpected):
            problems = [advice]
        raise InputError(f"{path}: does not fit the model: {'; '.join(problems)}")


def _read(path: Path) -> list[State]:
    """The state dicts in a file, the likeliest first."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}")
    if path.suffix == ".safetensors":
        load_file = require("safetensors.torch").load_file
        try:
            state: State = load_file(path)
        except Exception as error:  # the Rust library's own kind, among others
            raise InputError(f"{path}: not a safetensors file ({_first(error)})") from error
        return [state]
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a zip or pickle reader of torch may raise anything
        raise InputError(
            f"{path}: not a checkpoint of plain tensors ({_first(error)}); it is read with "
            "weights_only=True, so that it cannot run code: save module.state_dict()"
        ) from error
    states = list(_states(found, 0))
    if not states:
        raise InputError(f"{path}: contains no state dict: save module.state_dict()")
    return states


def _states(found: Any, depth: int) -> Iterator[State]:
    """The dictionaries of named tensors in what a file holds, with whatever else stands in them."""
    if not isinstance(found, dict) or depth > _DEEPEST:
        return
    tensors = {key: x for key, x in found.items() if isinstance(key, str) and isinstance(x, Tensor)}
    if tensors:
        yield tensors
    likely = [name for name in _WRAPPERS if name in found]
    for key in (*likely, *(key for key in found if key not in likely)):
        # An optimiser's state is kept by number.
        if isinstance(key, str):
            yield from _states(found[key], depth + 1)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
