"""Copies of a module that share nothing with it, so that no converter can change the original."""

import copy
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.utils import parametrize, remove_spectral_norm, remove_weight_norm
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

_Module = TypeVar("_Module", bound=nn.Module)


def copied(module: _Module) -> _Module:
    """A copy of the module with tensors of its own; hooks and modes as they are."""
    memo: dict[int, Any] = {}
    for part in module.modules():
        for value in vars(part).values():
            # Weight norm keeps the weight it computed, which deepcopy refuses.
            if isinstance(value, Tensor) and not value.is_leaf:
                memo[id(value)] = value.detach().clone()
    try:
        return copy.deepcopy(module, dict(memo))
    except Exception:  # whatever an attribute that cannot be copied raises: a lock, a generator
        return _part_by_part(module, memo)


def _part_by_part(module: _Module, memo: dict[int, Any]) -> _Module:
    """The same for modules with attributes that cannot be copied; these are shared."""
    if id(module) in memo:
        known: _Module = memo[id(module)]
        return known
    clone = module.__new__(type(module))
    memo[id(module)] = clone
    clone.__dict__.update(module.__dict__)
    for kind in ("_parameters", "_buffers"):
        owned = module.__dict__[kind]
        clone.__dict__[kind] = {name: copy.deepcopy(value, memo) for name, value in owned.items()}
    clone.__dict__["_modules"] = {
        name: part if part is None else _part_by_part(part, memo)
        for name, part in module.__dict__["_modules"].items()
    }
    for name, value in module.__dict__.items():
        if name.startswith("_") and name.endswith("hooks"):
            clone.__dict__[name] = copy.copy(value)
    return clone


def with_plain_weights(module: _Module) -> _Module:
    """A copy whose weights are the ones that weight norm and other reparametrisations compute.

    They are for training: the graph of a model that ships would compute every weight anew in every
    call, delegates take only constant ones, and scripting drops some of them by itself.
    """
    own = copied(module)
    for part in list(own.modules()):
        for hook in list(part._forward_pre_hooks.values()):
            if isinstance(hook, WeightNorm):
                remove_weight_norm(part, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(part, hook.name)
        if parametrize.is_parametrized(part):
            for name in list(part.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(part, str(name))
    return own
