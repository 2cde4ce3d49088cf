"""From the names in a checkpoint to the names in a module: rules, and prefixes that all share."""

import re
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from export.errors import InputError

State = dict[str, Tensor]
Rename = Mapping[str, str | None]
"""Pattern → replacement, as :func:`re.sub` takes them, applied in order; None leaves a name out."""

_MOST_RULES = 400


def renamed(state: State, rules: Rename) -> State:
    """The state under the names that the rules make.

    Raises:
        InputError: if two names become one.
    """
    found: State = {}
    for name, tensor in state.items():
        new = new_name(name, rules)
        if new is None:
            continue
        if new in found:
            raise InputError(f"rename: two names of the checkpoint become {new}")
        found[new] = tensor
    return found


def new_name(name: str, rules: Rename) -> str | None:
    """One name under the rules; None: it is left out."""
    for pattern, replacement in rules.items():
        if re.search(pattern, name):
            if replacement is None:
                return None
            name = re.sub(pattern, replacement, name)
    return name


def with_fitting_prefix(state: State, expected: Mapping[str, Tensor], needed: set[str]) -> State:
    """The state with the prefix that all names share taken off or another put before them.

    Of all ways those that leave no name over come first, and of these the one that fills most of
    what is ``needed``; where none does, the state as it is, but for prefixes that are not the
    module's.
    """
    plain = _without_foreign_prefix(state, set(expected))
    best, most = plain, -1
    for candidate in (state, plain, *_variants(state, expected)):
        if candidate.keys() <= expected.keys() and _shapes_fit(candidate, expected):
            filled = len(candidate.keys() & needed)
            if filled > most:
                best, most = candidate, filled
    return best


def _without_foreign_prefix(state: State, expected: set[str]) -> State:
    """Drop the first part of all names while they share it and the module has none of it."""
    own = {name.partition(".")[0] for name in expected}
    while state:
        first = {name.partition(".")[0] for name in state}
        if len(first) > 1 or first & own or not all("." in name for name in state):
            return state
        state = {name.partition(".")[2]: tensor for name, tensor in state.items()}
    return state


def _variants(state: State, expected: Mapping[str, Tensor]) -> Iterator[State]:
    prefixes = {""}
    for name in expected:
        parts = name.split(".")
        prefixes |= {".".join(parts[:depth]) + "." for depth in range(1, len(parts))}
    ordered = sorted(prefixes, key=lambda prefix: (prefix.count("."), prefix))[:_MOST_RULES]
    while state:
        for prefix in ordered:
            # One name tells whether it is worth trying all.
            if prefix + next(iter(state)) in expected:
                yield {prefix + name: tensor for name, tensor in state.items()}
        if len({name.partition(".")[0] for name in state}) > 1 or not all("." in n for n in state):
            return
        state = {name.partition(".")[2]: tensor for name, tensor in state.items()}


def _shapes_fit(state: State, expected: Mapping[str, Tensor]) -> bool:
    return all(tensor.shape == expected[name].shape for name, tensor in state.items())


def suggestion(
    state: State, expected: Mapping[str, Tensor], missing: Sequence[str], unexpected: Sequence[str]
) -> str:
    """The single renaming that would make all names match, or an empty string."""
    if not missing or not unexpected:
        return ""
    odd = unexpected[0]
    for wanted in missing:
        if state[odd].shape != expected[wanted].shape:
            continue
        for old, new in _replacements(odd, wanted):
            try:
                made = renamed(state, {re.escape(old): new})
            except InputError:
                continue
            if set(missing) <= made.keys() <= expected.keys() and _shapes_fit(made, expected):
                return f"rename: {{'{re.escape(old)}': '{new}'}} would make all names match"
    return ""


def _replacements(odd: str, wanted: str) -> Iterator[tuple[str, str]]:
    """What differs between two names, in whole parts, shortest first."""
    old, new = odd.split("."), wanted.split(".")
    while len(old) > 1 and len(new) > 1 and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    start = 0
    while start < min(len(old), len(new)) - 1 and old[start] == new[start]:
        start += 1
    for first in range(start, -1, -1):
        yield ".".join(old[first:]), ".".join(new[first:])
