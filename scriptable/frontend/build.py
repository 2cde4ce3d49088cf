"""Build a front end from a configuration mapping."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Union

from torch import nn

from scriptable.config import ConfigError, Keys, construct, hint, public, read_part


def build_frontend(
    config: Union[Mapping[str, Any], Sequence[Any]],
    sample_rate: int = 16000,
    path: str = "frontend",
) -> nn.Module:
    """The front end that a configuration describes, and the layers that follow it.

    A front end is ``{"type": name, "args": {...}}`` or flat, as a loss is in :func:`build_loss`. In
    a list, layers such as :class:`CepstralNorm` follow. A function, such as ``window_fn``, is given
    by its name.

    Args:
        config: the configuration, as a YAML or JSON file spells it.
        sample_rate: what the front end is told in Hz; a configuration may repeat it, not differ.
        path: what error messages call it.

    Returns:
        The module, from waveforms ``[B, N]`` to features ``[B, F, T]``.

    Raises:
        ConfigError: a ``ValueError`` that begins with the path of the key it is about.

    Example:
        >>> from scriptable import ConfigError
        >>> build_frontend({"type": "LFCC", "n_lfcc": 20, "window_fn": "hamming"}).n_features
        20
        >>> build_frontend([{"type": "LogMel", "n_mels": 40}, {"type": "CepstralNorm"}])[1]
        CepstralNorm()
        >>> try:
        ...     build_frontend({"type": "LCFF", "window_fn": "hamming"})
        ... except ConfigError as error:
        ...     print(error)
        frontend.type: no front end is called LCFF; did you mean 'LFCC'?
    """
    many = isinstance(config, Sequence) and not isinstance(config, str)
    entries: Sequence[Any] = config if many else [config]  # type: ignore[assignment]
    if not entries:
        raise ConfigError((path,), "expected a front end, got an empty list")
    parts = []
    for index, entry in enumerate(entries):
        keys: Keys = (path, index) if many else (path,)
        name, given, place = read_part(entry, keys)
        if name not in frontends():
            known = frontends()
            raise ConfigError((*keys, "type"), f"no front end is called {name}{hint(name, known)}")
        if index == 0:
            given = _at_rate(frontends()[name], given, sample_rate, place)
        parts.append(construct(frontends()[name], name, given, place))
    return nn.Sequential(*parts) if many else parts[0]


def _at_rate(
    target: type[nn.Module], given: Mapping[str, Any], sample_rate: int, keys: Keys
) -> dict[str, Any]:
    """The arguments with the sample rate, under the name that the front end has for it."""
    parameters = inspect.signature(target).parameters
    for name in ("sample_rate", "sample_frequency"):
        if name in parameters:
            if given.get(name, sample_rate) != sample_rate:
                said = f"expected {sample_rate} as under sample_rate, got {given[name]}"
                raise ConfigError((*keys, name), said)
            return {**given, name: sample_rate}
    raise ConfigError(keys, f"{target.__name__} is not a front end, but a layer that follows one")


def frontends() -> dict[str, type[nn.Module]]:
    """What ``type`` of a front end may name: the front ends here and the layers after them."""
    return {name: thing for name, thing in public().items() if _is_ours(thing)}


def _is_ours(thing: Any) -> bool:
    if not (isinstance(thing, type) and issubclass(thing, nn.Module)):
        return False
    return thing.__module__.startswith("scriptable.frontend.")
