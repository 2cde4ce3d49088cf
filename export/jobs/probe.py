"""Does the network of a configuration do what a scorer must: tried before anything else.

Every refusal names the key of the configuration that it is about.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from export.errors import first_line, user_place
from export.parity.randomness import where_random
from scriptable import AdaptedEncoder, ConfigError
from scriptable.config import Keys

_LAYOUTS = ("BFT", "BTF", "B1FT", "B1TF")
_WAVE_LAYOUTS = ("BN", "B1N")
_LONGEST = 16 * 60 * 16000
_SAME = 1e-3
"""Of the score, what another batch may change by other summation orders, and no more."""


def a_window(num_samples: int, batch: int = 1, seed: int = 0) -> Tensor:
    """Noise ``[B, N]``, the same for a seed."""
    return 0.1 * torch.randn(batch, num_samples, generator=torch.Generator().manual_seed(seed))


def fitted_encoder(frontend: nn.Module, encoder: nn.Module, num_samples: int) -> nn.Module:
    """The encoder, with its answer's name resolved and its axes of size one dropped.

    Raises:
        ConfigError: if the front end or the network fails on a window, or it is not said which of
            its answers is meant.
    """
    window = a_window(num_samples)
    with torch.no_grad():
        try:
            x = frontend(window)
        except Exception as error:  # whatever a front end of the user's raises
            raise ConfigError(("frontend",), _fails("the front end", window, error)) from error
        if not isinstance(encoder, nn.Sequential):
            return _fitted(frontend, encoder, x, ("encoder",), num_samples)[0]
        parts = []
        for index, part in enumerate(encoder):
            # A shorter or longer window is tried with the first part only.
            first = frontend if index == 0 else None
            fitted, x = _fitted(first, part, x, ("encoder", index), num_samples)
            parts.append(fitted)
    return nn.Sequential(*parts)


def _fitted(
    frontend: nn.Module | None, part: nn.Module, x: Tensor, keys: Keys, num_samples: int
) -> tuple[nn.Module, Tensor]:
    adapted = part if isinstance(part, AdaptedEncoder) else AdaptedEncoder(part)
    given = adapted.laid_out(x)
    try:
        answer = adapted.network(given)
    except Exception as error:  # whatever the user's network raises
        raise _explained(frontend, adapted, x, error, keys, num_samples) from error
    chosen = _chosen(adapted, answer, keys)
    embedding = adapted.embedding(chosen)
    if isinstance(part, AdaptedEncoder) or embedding.shape != chosen.shape:
        return adapted, embedding
    return part, embedding


def _chosen(adapted: AdaptedEncoder, answer: object, keys: Keys) -> Tensor:
    """The tensor that the configuration means; a field of a named tuple becomes its index."""
    keys = (*keys, "output")
    if isinstance(answer, Tensor):
        if adapted.by_index or adapted.by_name:
            said = f"the network returned one tensor, {list(answer.shape)}: leave output out"
            raise ConfigError(keys, said)
        return answer
    fields: tuple[str, ...] = getattr(answer, "_fields", ())
    if adapted.by_name and adapted.name in fields:
        adapted.by_name, adapted.by_index = False, True  # type: ignore[misc]
        adapted.index = fields.index(adapted.name)  # type: ignore[misc]
    choices: dict[int | str, object]
    if isinstance(answer, Mapping):
        choices = {str(key): value for key, value in answer.items()}
    elif isinstance(answer, (tuple, list)):
        choices = dict(enumerate(answer))
    else:
        raise ConfigError(
            keys, f"the encoder returned a {type(answer).__name__}: expected a tensor or a tuple"
        )
    wanted = adapted.name if adapted.by_name else adapted.index
    if isinstance(wanted, int) and wanted < 0:
        wanted += len(choices)
    picked = choices.get(wanted) if adapted.by_name or adapted.by_index else None
    if isinstance(picked, Tensor):
        return picked
    kind = "tuple" if isinstance(answer, (tuple, list)) else "mapping"
    described = " and ".join(_described(key, value, kind) for key, value in choices.items())
    tensors = [key for key, value in choices.items() if isinstance(value, Tensor)]
    advice = " or ".join(f"output: {key}" for key in tensors)
    asked = f", which has no tensor {wanted}" if adapted.by_name or adapted.by_index else ""
    raise ConfigError(
        keys, f"encoder returned a {kind} of {described}{asked}: choose with {advice}"
    )


def _described(key: int | str, value: object, kind: str) -> str:
    shape = str(list(value.shape)) if isinstance(value, Tensor) else type(value).__name__
    return shape if kind == "tuple" else f"{key} {shape}"


def _explained(
    frontend: nn.Module | None,
    adapted: AdaptedEncoder,
    x: Tensor,
    error: Exception,
    keys: Keys,
    num_samples: int,
) -> ConfigError:
    """Why the network fails: its layout, a window that is too short, or neither."""
    said = _fails("the network", adapted.laid_out(x), error)
    for layout in _LAYOUTS if x.dim() == 3 else _WAVE_LAYOUTS:
        other = AdaptedEncoder(adapted.network, layout)
        if list(other.laid_out(x).shape) != list(adapted.laid_out(x).shape) and _runs(other, x):
            return ConfigError((*keys, "input"), f"{said}; it runs with input: {layout}")
    if frontend is not None and (least := _shortest(frontend, adapted, num_samples)):
        place: Keys = ("window", "num_samples")
        return ConfigError(place, f"{said}; it needs {least} samples or more")
    return ConfigError(keys, said)


def _runs(adapted: AdaptedEncoder, x: Tensor) -> bool:
    try:
        adapted.network(adapted.laid_out(x))
    except Exception:  # whatever the user's network raises
        return False
    return True


def _shortest(frontend: nn.Module, adapted: AdaptedEncoder, num_samples: int) -> int:
    """The least number of samples above ``num_samples`` that works; 0 if none was found."""

    def works(samples: int) -> bool:
        try:
            x = frontend(a_window(samples))
        except Exception:  # whatever a front end of the user's raises
            return False
        return _runs(adapted, x)

    high = num_samples
    while not works(high):
        if high >= min(_LONGEST, 32 * num_samples):
            return 0
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high


def _fails(what: str, given: Tensor, error: Exception) -> str:
    place = user_place(error)
    at = f" ({place})" if place else ""
    return f"{what} fails on {list(given.shape)}: {first_line(error, 200)}{at}"


def check_score(pipeline: nn.Module, num_samples: int, keys: Keys) -> None:
    """Refuse a head that does not fit: one score for a window is expected.

    Raises:
        ConfigError: at ``keys``, or at the argument of the head that its error names.
    """
    try:
        with torch.no_grad():
            score = pipeline(a_window(num_samples))
    except Exception as error:  # whatever the head raises
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        argument, _, problem = said.partition(": ")
        if problem and argument.isidentifier() and hasattr(getattr(pipeline, "head", 0), argument):
            raise ConfigError((*keys, argument), problem) from error
        raise ConfigError(keys, f"the head does not fit the encoder: {said}") from error
    if not isinstance(score, Tensor) or list(score.shape) != [1]:
        found = list(score.shape) if isinstance(score, Tensor) else type(score).__name__
        raise ConfigError(
            keys, f"expected a head with one score for a window, shape [1], got {found}"
        )


def check_embedding(pipeline: nn.Module, num_samples: int) -> None:
    """Refuse what is no embedding of a window.

    Raises:
        ConfigError: at the encoder.
    """
    with torch.no_grad():
        embedding = pipeline(a_window(num_samples))
    if not isinstance(embedding, Tensor) or embedding.dim() != 2 or embedding.shape[1] < 2:
        found = list(embedding.shape) if isinstance(embedding, Tensor) else type(embedding).__name__
        raise ConfigError(("encoder",), f"expected an embedding [1, D] of a window, got {found}")


def check_behaviour(pipeline: nn.Module, num_samples: int) -> tuple[str, ...]:
    """Refuse a trained model that no file could reproduce; remarks on what may differ.

    Raises:
        ConfigError: if it answers NaN, or if its answer depends on its calls or on its batch.
    """
    keys: Keys = ("encoder",)
    window, other = a_window(num_samples), a_window(num_samples, seed=1)
    random = where_random(pipeline, "forward", (window,))
    with torch.no_grad():
        first = _seeded(pipeline, window)
        if not bool(torch.isfinite(first).all()):
            at = next(_not_finite(pipeline, window), "the head")
            raise ConfigError(keys, f"answers {_number(first)}, first in {at}")
        _seeded(pipeline, other)
        again = _seeded(pipeline, window)
        if not torch.equal(first, again):
            raise ConfigError(
                keys,
                f"answers {_number(first):g} and then {_number(again):g} "
                "to the same window: it keeps state between calls",
            )
        if random:
            return (f"the model draws random numbers in eval mode: {random}",)
        try:
            both = _seeded(pipeline, torch.cat([window, other]))[:1]
        except Exception:  # a network for one window at a time: that is how the files are used
            return ()
    if both.shape == first.shape and not _close(first, both):
        raise ConfigError(
            keys,
            f"the score of a window changes with the batch around it: {_number(first):g} alone, "
            f"{_number(both):g} beside another",
        )
    return ()


def _number(answer: Tensor) -> float:
    """The first one of an answer."""
    return float(answer.reshape(-1)[0])


def _close(one: Tensor, other: Tensor) -> bool:
    return bool(((one - other).abs() <= _SAME * one.abs().clamp(min=1.0)).all())


def _seeded(pipeline: nn.Module, window: Tensor) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        answer = pipeline(window)
    found: Tensor = answer[0] if isinstance(answer, tuple) else answer
    return found


def _not_finite(pipeline: nn.Module, window: Tensor) -> Iterator[str]:
    """The modules whose result is not finite, in the order in which they finish."""
    found: list[str] = []
    hooks = []
    for name, part in pipeline.named_modules():

        def look(part: nn.Module, inputs: object, result: object, name: str = name) -> None:
            leaves = torch.utils._pytree.tree_leaves(result)
            tensors = [x for x in leaves if isinstance(x, Tensor) and x.is_floating_point()]
            if not all(bool(torch.isfinite(x).all()) for x in tensors):
                found.append(f"{name} ({type(part).__name__})")

        hooks.append(part.register_forward_hook(look))
    try:
        _seeded(pipeline, window)
    finally:
        for hook in hooks:
            hook.remove()
    yield from found
