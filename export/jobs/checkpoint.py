"""Weights from a file into a module: all of them, or none and a list of what does not fit."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from export.errors import InputError
from export.extras import require
from export.jobs.tensors import check_plain

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt")
# Where training loops keep the state dict beside the optimizer's.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_SHOWN = 6


def load_checkpoint(module: nn.Module, path: Path, constant: str = "frontend.") -> None:
    """Load a state dict strictly; only buffers whose name begins with ``constant`` may be missing.

    ``.safetensors``; or ``.pt``, ``.pth`` and ``.ckpt`` by ``torch.load(weights_only=True)``, the
    state dict itself or under ``state_dict``, ``model_state_dict`` or ``model``. Prefixes that all
    names share, such as ``module.`` of DistributedDataParallel, are left out.

    Raises:
        InputError: if the file cannot be read, or a name or a shape does not fit the module, which
            is then not to be used.
    """
    state = _without_prefix(_read(path), set(module.state_dict()))
    check_plain(state, path)
    expected = module.state_dict()
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
        raise InputError(f"{path}: does not fit the model: {'; '.join(problems)}")


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}")
    if path.suffix == ".safetensors":
        load_file = require("safetensors.torch").load_file
        try:
            state: dict[str, Tensor] = load_file(path)
        except Exception as error:  # the Rust library's own kind, among others
            raise InputError(f"{path}: not a safetensors file ({_first(error)})") from error
        return state
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a zip or pickle reader of torch may raise anything
        raise InputError(
            f"{path}: not a checkpoint of plain tensors ({_first(error)}); it is read with "
            "weights_only=True, so that it cannot run code: save module.state_dict()"
        ) from error
    for name in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
        raise InputError(f"{path}: holds no state dict: save module.state_dict()")
    return {str(name): tensor for name, tensor in found.items()}


def _without_prefix(state: dict[str, Tensor], expected: set[str]) -> dict[str, Tensor]:
    """Drop the first part of all names while they share it and the module has none of it."""
    own = {name.partition(".")[0] for name in expected}
    while state:
        first = {name.partition(".")[0] for name in state}
        if len(first) > 1 or first & own or not all("." in name for name in state):
            return state
        state = {name.partition(".")[2]: tensor for name, tensor in state.items()}
    return state


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _first(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
