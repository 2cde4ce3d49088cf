"""Rows for the heads that a user's module registers, from the classes themselves.

The constructor's arguments and the example inputs follow from the names of the parameters. Where
they cannot, the class says so by two optional attributes:

- ``example_arguments``: a dict, arguments of the constructor that have no default;
- ``example_inputs(self, generator)``: a dict of method name → tuple of tensors, drawn from the
  generator, so that another seed gives other content of the same shapes.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn

from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Draw, Row
from export.errors import InputError
from export.modules import load_module
from scriptable import ConfigError
from scriptable.config import construct, registered_losses

_BATCH, _DIM, _CLASSES = 6, 16, 2
# What losses, here and elsewhere, call the size of the embeddings and the number of classes.
_DIM_NAMES = ("embedding_dim", "emb_dim", "enc_dim", "in_dim", "input_dim", "feat_dim", "nout")
_CLASS_NAMES = ("n_classes", "num_classes", "nclasses", "out_dim", "n_speakers", "num_speakers")
_LABEL_NAMES = ("label", "labels", "target", "targets")


def custom_rows(name: str) -> list[Row]:
    """A row for every head that a module registers.

    Args:
        name: ``FILE.py`` or ``package.module``.

    Raises:
        InputError: if it cannot be imported, registers nothing, or a head cannot be tried.
    """
    before = registered_losses()
    module = load_module(name)
    heads = {
        known: head
        for known, head in registered_losses().items()
        if known not in before or f"{head.__module__}.".startswith(f"{module.__name__}.")
    }
    if not heads:
        raise InputError(
            f"{name}: registers no head; write @scriptable.register_loss('Name') above its class"
        )
    return [_row(known, head) for known, head in heads.items()]


def _row(name: str, head: type[nn.Module]) -> Row:
    arguments = _arguments(name, head)

    def build() -> nn.Module:
        module: nn.Module = construct(head, name, arguments, (name,))
        return module

    try:
        module = build()
    except ConfigError as error:
        raise InputError(str(error)) from error
    methods = _methods(name, module)
    row = Row(name, build, methods, on_device="score" in methods)
    _try(row, module)
    return row


def _arguments(name: str, head: type[nn.Module]) -> dict[str, Any]:
    """Arguments of the constructor: those that the class gives, then sizes by their names."""
    arguments = dict(getattr(head, "example_arguments", {}))
    sizes = dict.fromkeys(_DIM_NAMES, _DIM) | dict.fromkeys(_CLASS_NAMES, _CLASSES)
    for parameter in inspect.signature(head).parameters.values():
        needed = parameter.default is parameter.empty and parameter.name not in arguments
        if needed and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if parameter.name not in sizes:
                raise InputError(
                    f"{name}: its argument {parameter.name} has no default: give it one, or write "
                    f"example_arguments = {{{parameter.name!r}: ...}} in the class"
                )
            arguments[parameter.name] = sizes[parameter.name]
    return arguments


def _methods(name: str, module: nn.Module) -> dict[str, Draw]:
    """How the inputs of ``forward``, ``score`` and the hook's methods are drawn."""
    hook = getattr(module, "example_inputs", None)
    given = hook(Generator().manual_seed(0)) if callable(hook) else {}
    if not isinstance(given, Mapping):
        raise InputError(
            f"{name}: example_inputs: expected a dict of method name to a tuple of tensors, "
            f"got {type(given).__name__}"
        )
    methods: dict[str, Draw] = {method: _hooked(name, hook, method) for method in given}
    for method in ("forward", "score"):
        if method not in methods and callable(getattr(module, method, None)):
            methods[method] = _derived(name, module, method)
    return methods


def _hooked(name: str, hook: Any, method: str) -> Draw:
    def inputs(generator: Generator) -> Inputs:
        drawn = hook(generator)[method]
        if not isinstance(drawn, tuple) or not all(isinstance(x, Tensor) for x in drawn):
            raise InputError(f"{name}: example_inputs: {method}: expected a tuple of tensors")
        return drawn

    return inputs


def _derived(name: str, module: nn.Module, method: str) -> Draw:
    """Embeddings ``[B, D]``, and labels ``[B]`` for a method that takes two tensors."""
    parameters = list(inspect.signature(getattr(module, method)).parameters.values())
    needed = [p.name for p in parameters if p.default is p.empty]
    if len(needed) not in (1, 2):
        raise InputError(
            f"{name}: {method} takes {', '.join(needed) or 'nothing'}: "
            "write example_inputs(self, generator) in the class"
        )
    dim, classes = _size(module, _DIM_NAMES, _DIM), _size(module, _CLASS_NAMES, _CLASSES)

    def inputs(generator: Generator) -> Inputs:
        embeddings = draw.normal(generator, _BATCH, dim)
        if len(needed) == 1:
            return (embeddings,)
        labels = draw.labels(generator, _BATCH, classes=classes)
        return (labels, embeddings) if needed[0] in _LABEL_NAMES else (embeddings, labels)

    return inputs


def _size(module: nn.Module, names: tuple[str, ...], otherwise: int) -> int:
    """What the constructor was given, or its default, under one of the names."""
    given = getattr(type(module), "example_arguments", {})
    for parameter in inspect.signature(type(module)).parameters.values():
        if parameter.name in names:
            default = otherwise if parameter.default is parameter.empty else parameter.default
            return int(given.get(parameter.name, default))
    return otherwise


def _try(row: Row, module: nn.Module) -> None:
    """Run every method once, so that inputs that do not fit are one line that says so."""
    for method in row.methods:
        inputs = row.draw(method, 0)
        try:
            with torch.no_grad():
                getattr(module.eval(), method)(*inputs)
        except Exception as error:  # whatever the user's code raises
            shapes = " and ".join(str(list(x.shape)) for x in inputs)
            said = (str(error).splitlines() or [""])[0]
            raise InputError(
                f"{row.entry}: {method} fails on {shapes}: {type(error).__name__}: {said}; "
                "if it takes other inputs, write example_inputs(self, generator) in the class"
            ) from error
