"""The parts that a configuration names: front end, network, and what these are built from."""

from collections.abc import Mapping
from typing import Any

from torch import nn

import scriptable
from export.errors import InputError
from export.modules import load_name, makes_module
from scriptable import AdaptedEncoder, ConfigError, build_frontend
from scriptable.config import Keys, construct, hint, read_part
from scriptable.frontend.build import frontends

_ADAPTED = ("input", "output", "frames", "noise")


def _encoders() -> dict[str, type[nn.Module]]:
    """The library's networks, by name."""
    public = {name: getattr(scriptable, name) for name in scriptable.__all__}
    return {
        name: thing
        for name, thing in public.items()
        if isinstance(thing, type)
        and issubclass(thing, nn.Module)
        and thing.__module__.startswith("scriptable.encoders.")
    }


def frontend(config: Any, sample_rate: int) -> nn.Module:
    """The front end at the file's sample rate; none: the encoder takes the waveform.

    Several in a list are run one after the other; of others' code by a dotted path.
    """
    if config is None:
        return nn.Identity()
    entries = config if isinstance(config, list) else [config]
    if not any(_is_dotted(entry) for entry in entries):
        return build_frontend(config, sample_rate)
    keys: Keys = ("frontend",)
    if not isinstance(config, list):
        return part(config, keys, frontends())
    return nn.Sequential(*(part(e, (*keys, i), frontends()) for i, e in enumerate(config)))


def _is_dotted(config: Any) -> bool:
    return isinstance(config, Mapping) and "." in str(config.get("type"))


def encoder(config: Any, keys: Keys = ("encoder",)) -> nn.Module:
    """The network, adapted where the configuration says how it takes its input or answers.

    Several in a list are run one after the other.
    """
    if isinstance(config, list):
        return nn.Sequential(*(encoder(entry, (*keys, i)) for i, entry in enumerate(config)))
    if not isinstance(config, Mapping):
        return part(config, keys, _encoders())
    how = {key: config[key] for key in _ADAPTED if key in config}
    network = part({k: v for k, v in config.items() if k not in how}, keys, _encoders())
    if not how:
        return network
    adapted: nn.Module = construct(AdaptedEncoder, "encoder", {"network": network, **how}, keys)
    return adapted


def part(config: Any, keys: Keys, known: Mapping[str, type[nn.Module]]) -> nn.Module:
    """A module by the name of one of ours, or by a dotted path."""
    name, given, place = read_part(config, keys)
    target: Any = known.get(name)
    if target is None:
        if "." not in name:
            problem = f"expected a dotted path, or a name of scriptable's{hint(name, known)}"
            raise ConfigError((*keys, "type"), problem)
        target = _named(name, keys)
    if not callable(target):
        raise ConfigError((*keys, "type"), f"{name} is not a class, but {type(target).__name__}")
    if name not in known and not makes_module(target):
        # Before it is called: a configuration must not run what its author likes, as os.system.
        problem = f"{name} is not a torch.nn.Module class, nor annotated to return a module"
        raise ConfigError((*keys, "type"), problem)
    package = name.partition(".")[0]
    module = construct(target, name, _objects(given, place, package), place)
    if not isinstance(module, nn.Module):
        made = type(module).__name__
        raise ConfigError((*keys, "type"), f"{name} makes a {made}, not a torch.nn.Module")
    return module


def _named(name: str, keys: Keys) -> Any:
    try:
        return load_name(name)
    except InputError as error:
        raise ConfigError((*keys, "type"), str(error)) from error


def _objects(value: Any, keys: Keys, package: str) -> Any:
    """The value with every mapping in it that names a dotted ``type`` as the object of that type.

    Some networks take a configuration of a class of their own: a class of the network's package, or
    a module. Nothing else is called.
    """
    if isinstance(value, list):
        return [_objects(item, (*keys, i), package) for i, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("type"), str) and "." in value["type"]:
        name, given, place = read_part(value, keys)
        target = _named(name, keys)
        own = isinstance(target, type) and name.partition(".")[0] == package
        if not own and not makes_module(target):
            problem = f"{name} is neither a class of {package} nor a torch.nn.Module class"
            raise ConfigError((*keys, "type"), problem)
        return construct(target, name, _objects(given, place, package), place)
    return {key: _objects(item, (*keys, key), package) for key, item in value.items()}
