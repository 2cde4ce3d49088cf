"""Users' own losses, as submodules."""

import inspect
from collections.abc import Callable
from typing import Any, NoReturn

from torch import nn


class EagerCallable(nn.Module):
    """A plain callable as a submodule: it runs eagerly, and scripting says what to do instead."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__()
        self.name = name
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        """What the callable returns."""
        return self.function(*inputs)

    def __prepare_scriptable__(self) -> NoReturn:
        raise ValueError(
            f"{self.name}: expected a torch.nn.Module, which can be scripted, "
            f"got {type(self.function).__name__}, which runs in eager mode only"
        )


def as_module(name: str, loss_fn: Callable[..., Any]) -> nn.Module:
    """A module as it is; any other callable as a submodule that runs in eager mode only."""
    if isinstance(loss_fn, nn.Module):
        return loss_fn
    if not callable(loss_fn):
        raise ValueError(f"{name}: expected a module or a callable, got {type(loss_fn).__name__}")
    return EagerCallable(name, loss_fn)


def takes_two(name: str, loss_fn: Callable[..., Any]) -> bool:
    """Whether a loss takes two tensors by position; False when it takes one only."""
    if isinstance(loss_fn, nn.Module):
        loss_fn = loss_fn.forward
    signature = inspect.signature(loss_fn)
    for count in (2, 1):
        try:
            signature.bind(*[None] * count)
        except TypeError:
            continue
        return count == 2
    raise ValueError(f"{name}: expected a callable of one or two tensors, got {name}{signature}")
