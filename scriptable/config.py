"""Build heads from configuration mappings, and register your own.

Every error is a :class:`ConfigError` that names the key's path in the mapping.
"""

import difflib
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from scriptable._core.named import Named
from scriptable.heads.multi import MultiLoss

Keys = tuple[Union[str, int], ...]
"""Where a value stands in nested mappings and lists."""

_Head = TypeVar("_Head", bound=type[nn.Module])
_REGISTERED: dict[str, type[nn.Module]] = {}
# What DeepFense's code calls an argument that its documentation calls otherwise.
_DEEPFENSE = {"OCSoftmax": {"w_posi": "m_real", "w_nega": "m_fake"}}
# The folders of the library that a configuration of a loss may name a class from.
_LOSSES = ("heads", "losses")


class ConfigError(ValueError):
    """A key of a configuration that cannot be used.

    Args:
        keys: where the key stands.
        problem: what is wrong with it.
    """

    def __init__(self, keys: Keys, problem: str) -> None:
        super().__init__(f"{path_of(keys)}: {problem}")
        self.keys = keys
        self.problem = problem


def register_loss(name: str) -> Callable[[_Head], _Head]:
    """Class decorator that registers your own head with :func:`build_loss` as ``name``.

    ``python -m export parity --module FILE.py`` takes every head that the file registers through
    all backends.

    Args:
        name: what a configuration calls the head, as ``type``.

    Raises:
        ValueError: if the name is taken, or the class is no ``torch.nn.Module``.

    Example:
        >>> @register_loss("CentreDistance")
        ... class CentreDistance(torch.nn.Module):
        ...     def __init__(self, embedding_dim: int, weight: float = 1.0) -> None:
        ...         super().__init__()
        ...         self.weight = weight
        ...         self.centre = torch.nn.Parameter(torch.zeros(embedding_dim))
        ...     def forward(self, embeddings, labels):
        ...         return self.weight * (labels * -self.score(embeddings)).mean()
        ...     @torch.jit.export
        ...     def score(self, embeddings):
        ...         return -(embeddings - self.centre).square().sum(1)
        >>> head = build_loss({"type": "CentreDistance", "embedding_dim": 2})
        >>> head(torch.tensor([[3.0, 4.0]]), torch.tensor([1])).item()
        25.0
    """

    def register(head: _Head) -> _Head:
        if not (isinstance(head, type) and issubclass(head, nn.Module)):
            raise ValueError(f"register_loss: expected a torch.nn.Module class, got {head!r}")
        taken = losses().get(name)
        # A notebook cell that runs again defines the same class once more.
        if taken is not None and _place(taken) != _place(head):
            raise ValueError(
                f"register_loss: the name {name} is taken by {'.'.join(_place(taken))}"
            )
        _REGISTERED[name] = head
        return head

    return register


def build_loss(config: Union[Mapping[str, Any], Sequence[Any]], path: str = "loss") -> nn.Module:
    """The head that a configuration describes.

    A head is ``{"type": name, "args": {...}}`` or flat, ``{"type": name, ...}``; names are the
    classes of the losses here and the registered ones. A list of heads becomes a
    :class:`MultiLoss` that scores by its first. A whole configuration is taken, too, if it holds
    its heads under ``loss``, or under ``model`` and there under ``loss``. An argument that is a
    loss itself is a mapping of the same form.

    OC-softmax takes ``w_posi`` and ``w_nega``, too, as DeepFense's code calls ``m_real`` and
    ``m_fake``.
    ``weight`` goes to the head's constructor, and where that takes none, to the sum.

    Args:
        config: the configuration, as a YAML or JSON file spells it.
        path: what error messages call it.

    Returns:
        The head, in training mode.

    Raises:
        ConfigError: a ``ValueError`` that begins with the path of the key it is about: an unknown
            type or argument (with the nearest valid name), a missing one, or a value of the wrong
            type.

    Example:
        >>> build_loss({"type": "AMSoftmax", "args": {"embedding_dim": 192, "m": 0.3}}).m
        0.3
        >>> heads = [
        ...     {"type": "CrossEntropy", "weight": 0.5, "embedding_dim": 8, "n_classes": 2},
        ...     {"type": "AMSoftmax", "weight": 0.5, "embedding_dim": 8, "margn": 0.4},
        ... ]
        >>> try:
        ...     build_loss(heads)
        ... except ConfigError as error:
        ...     print(error)
        loss[1].margn: unknown argument of AMSoftmax; did you mean 'm'?
        >>> heads[1]["m"] = heads[1].pop("margn")
        >>> build_loss(heads).names
        ['CrossEntropy', 'AMSoftmax']
    """
    config, keys = _find(config, (path,))
    many = isinstance(config, Sequence) and not isinstance(config, str)
    entries = [((*keys, i), entry) for i, entry in enumerate(config)] if many else [(keys, config)]
    if not entries:
        raise ConfigError(keys, "expected at least one loss, got an empty list")
    heads, weights = zip(*(_head(entry, place) for place, entry in entries), strict=True)
    if len(heads) == 1 and weights[0] == 1.0:
        head: nn.Module = heads[0]
        return head
    try:
        return MultiLoss(heads, weights)
    except ValueError as error:
        raise ConfigError(entries[0][0], f"the first loss scores: {error}") from error


def losses() -> dict[str, type[nn.Module]]:
    """What ``type`` may name: the losses here and the registered ones."""
    return {name: thing for name, thing in public().items() if _is_loss(thing)} | _REGISTERED


def public() -> dict[str, Any]:
    """The public names of the package, and what they stand for."""
    # The package has imported this file: it is looked up, since importing it would be a circle.
    package = sys.modules["scriptable"]
    return {name: getattr(package, name) for name in package.__all__}


def registered_losses() -> dict[str, type[nn.Module]]:
    """The heads that :func:`register_loss` has taken, by name."""
    return dict(_REGISTERED)


def construct(target: Callable[..., Any], name: str, given: Mapping[str, Any], keys: Keys) -> Any:
    """Call a class with the arguments that a configuration gives, checked by its signature.

    Raises:
        ConfigError: as :func:`build_loss` says; ``keys`` is where ``given`` stands.
    """
    parameters = inspect.signature(target).parameters.values()
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters)
    for key in given:
        if key not in named and not takes_any:
            raise ConfigError(
                (*keys, str(key)), f"unknown argument of {name}{hint(str(key), named)}"
            )
    for parameter in named.values():
        if parameter.default is parameter.empty and parameter.name not in given:
            raise ConfigError((*keys, parameter.name), f"missing argument of {name}")
    hints = _hints(target)
    arguments = {k: _convert(v, hints.get(k, Any), (*keys, k)) for k, v in given.items()}
    try:
        return target(**arguments)
    except (ValueError, TypeError, RuntimeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        argument, _, problem = said.partition(": ")
        if problem and argument in given:
            raise ConfigError((*keys, argument), problem) from error
        raise ConfigError(keys, f"{name} cannot be built: {said}") from error


def path_of(keys: Keys) -> str:
    """Keys as users write them.

    Example:
        >>> path_of(("loss", 1, "args", "m"))
        'loss[1].args.m'
    """
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return text.removeprefix(".")


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name that is most like ``word``, or an empty string.

    Example:
        >>> nearest("am_softmax", ["OCSoftmax", "AMSoftmax"])
        'AMSoftmax'
    """
    plain = {name.lower().replace("_", ""): name for name in known}
    found = difflib.get_close_matches(word.lower().replace("_", ""), plain, 1, cutoff=0.3)
    return plain[found[0]] if found else ""


def _find(config: Any, keys: Keys) -> tuple[Any, Keys]:
    """From a whole configuration to its losses."""
    inside: Keys = ()
    for name in ("model", "loss"):
        if isinstance(config, Mapping) and not _known(config.get("type")) and name in config:
            config, inside = config[name], (*inside, name)
    return config, inside or keys


def read_part(config: Any, keys: Keys) -> tuple[str, dict[str, Any], Keys]:
    """The type and the arguments of ``{"type", "args"}`` or of the flat form, and where they stand.

    Raises:
        ConfigError: if the mapping has neither form.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(keys, f"expected a mapping with the key type, got {_said(config)}")
    if not isinstance(config.get("type"), str):
        raise ConfigError((*keys, "type"), f"expected a name, got {_said(config.get('type'))}")
    given = {key: value for key, value in config.items() if key not in ("type", "args")}
    if "args" in config:
        return config["type"], _nested(config["args"], given, keys), (*keys, "args")
    return config["type"], given, keys


def _known(name: Any) -> bool:
    return isinstance(name, str) and name in losses()


def _head(config: Any, keys: Keys) -> tuple[nn.Module, float]:
    """A head, and the weight that its own constructor does not take."""
    name, given, place = read_part(config, keys)
    if not _known(name):
        raise ConfigError((*keys, "type"), f"no loss is called {name}{hint(name, losses())}")
    for theirs, ours in _DEEPFENSE.get(name, {}).items():
        if theirs in given and ours in given:
            raise ConfigError((*place, theirs), f"means the same as {ours}; give only one")
        if theirs in given:
            given[ours] = _convert(given.pop(theirs), float, (*place, theirs))
    head, outside = losses()[name], 1.0
    if "weight" in given and "weight" not in inspect.signature(head).parameters:
        outside = float(_convert(given.pop("weight"), float, (*place, "weight")))
    return construct(head, name, given, place), outside


def _nested(arguments: Any, beside: Mapping[str, Any], keys: Keys) -> dict[str, Any]:
    """The arguments under ``args``; of all others only ``weight`` may stand beside them."""
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping):
        raise ConfigError((*keys, "args"), f"expected a mapping, got {_said(arguments)}")
    for key in beside:
        if key != "weight":
            raise ConfigError((*keys, key), "is outside args; move it into args")
        if key in arguments:
            raise ConfigError((*keys, key), "is given both inside and outside args")
        _convert(beside[key], float, (*keys, key))
    return {**arguments, **beside}


def _convert(value: Any, hint: Any, keys: Keys) -> Any:
    """The value as the annotated type; raises unless it fits."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        fits, converted = _fit(value, option, keys)
        if fits:
            return converted
    wanted = dict.fromkeys(_described(option) for option in options)
    raise ConfigError(keys, f"expected {' or '.join(wanted)}, got {_said(value)}")


def _fit(value: Any, option: Any, keys: Keys) -> tuple[bool, Any]:
    """Whether a value is of one type, and the value as that type."""
    origin, is_list = get_origin(option), isinstance(value, (list, tuple))
    if origin is Annotated:
        plain, named = get_args(option)[:2]
        if not isinstance(named, Named):
            return _fit(value, plain, keys)
        if isinstance(value, str):
            return value in named.functions, named.functions.get(value)
        return callable(value), value
    if option in (Any, inspect.Parameter.empty):
        return True, value
    if option in (int, float):
        number = isinstance(value, (int, option)) and not isinstance(value, bool)
        return number, value
    if option is Tensor and is_list:
        return True, torch.tensor([_convert(x, float, (*keys, i)) for i, x in enumerate(value)])
    if option is torch.dtype and isinstance(value, str):
        named = getattr(torch, value, None)
        return isinstance(named, torch.dtype), named
    if origin is Literal:
        return value in get_args(option), value
    if origin in (Sequence, list, tuple):
        element = (*get_args(option), Any)[0]
        return is_list, is_list and [_convert(x, element, (*keys, i)) for i, x in enumerate(value)]
    if origin is Callable or (isinstance(option, type) and issubclass(option, nn.Module)):
        if isinstance(value, Mapping):
            return True, _head(value, keys)[0]
        return callable(value), value
    return isinstance(value, origin or option), value


def _described(option: Any) -> str:
    """A type in words."""
    words = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    if option in words:
        return words[option]
    if get_origin(option) is Annotated:
        plain, named = get_args(option)[:2]
        is_named = isinstance(named, Named)
        return f"one of {', '.join(named.functions)}" if is_named else _described(plain)
    if option is type(None):
        return "null"
    if option is Tensor or get_origin(option) in (Sequence, list, tuple):
        return "a list"
    if get_origin(option) is Literal:
        return f"one of {', '.join(map(str, get_args(option)))}"
    if get_origin(option) is Callable or (
        isinstance(option, type) and issubclass(option, nn.Module)
    ):
        return "a loss"
    return getattr(option, "__name__", str(option))


def _said(value: Any) -> str:
    """A value as an error shows it."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"the string {value!r}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{type(value).__name__} {value!r}" if isinstance(value, (Mapping, list)) else f"{value}"


def hint(word: str, known: Iterable[str]) -> str:
    """What an error adds about a name that is not known: the nearest one, or all.

    Example:
        >>> hint("margin_real", ["m_real", "m_fake"]), hint("zzz", ["m_real", "m_fake"])
        ("; did you mean 'm_real'?", '; known are m_real, m_fake')
    """
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else f"; known are {', '.join(known) or 'none'}"


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the arguments; none where they cannot be read, so nothing is checked."""
    function = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    try:
        return get_type_hints(function, include_extras=True)
    except NameError:
        return {}


def _is_loss(thing: Any) -> bool:
    """Whether a public thing is a loss that a configuration can name."""
    if not (isinstance(thing, type) and issubclass(thing, nn.Module)):
        return False
    return thing.__module__.split(".")[1] in _LOSSES


def _place(head: type) -> tuple[str, str]:
    return head.__module__, head.__qualname__
