"""Where a module draws random numbers although it is in eval mode."""

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from export.backends import Inputs
from export.errors import running_place


class _Watch(TorchDispatchMode):
    """Remembers the first operator that draws, the line that asked for it, and the module."""

    def __init__(self, inside: list[str]) -> None:
        super().__init__()
        self.inside = inside
        self.found = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator."""
        if self.found or torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **(kwargs or {}))
        # Attention, for one, may draw, and does not without a dropout.
        before = torch.get_rng_state()
        result = func(*args, **(kwargs or {}))
        if not torch.equal(before, torch.get_rng_state()):
            module = f" in {self.inside[-1]}" if self.inside else ""
            place = running_place()
            at = f", {place}" if place else ""
            self.found = f"{func.overloadpacket.__name__}{module}{at}"
        return result


def where_random(module: nn.Module, method: str, inputs: Inputs) -> str:
    """The first operator that draws in a call, its module and line; empty where none does."""
    inside: list[str] = []
    hooks = []
    for name, part in module.named_modules():
        shown = f"{name or 'the model'} ({type(part).__name__})"

        def enter(part: nn.Module, inputs: Any, shown: str = shown) -> None:
            inside.append(shown)

        def leave(part: nn.Module, inputs: Any, result: Any) -> None:
            inside.pop()

        hooks += [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]
    watch = _Watch(inside)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad(), watch:
            getattr(module, method)(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return watch.found
