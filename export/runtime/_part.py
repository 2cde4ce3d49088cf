"""A part of the score contract's document: strict, complete, and never changed."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """An object of the document: no unknown field, no type but the one that is declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


_DEEPEST = 16


def read_object(text: str) -> dict[str, Any]:
    """The object that a JSON text is.

    Raises:
        ValueError: if it is something else, nested deeper than a contract is, or names a field
            twice, of which different readers would take different ones.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError(f"document: nested more than {_DEEPEST} deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"document: is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"document: expected an object, got {type(value).__name__}")
    if _depth(value) > _DEEPEST:
        raise ValueError(f"document: nested more than {_DEEPEST} deep")
    return value


def left_out(whole: BaseModel, optional: frozenset[str], place: str = "") -> str:
    """The first field that was not given but filled in by default; empty if there is none."""
    for name in type(whole).model_fields:
        value = getattr(whole, name)
        if name not in whole.model_fields_set and name not in optional:
            return f"{place}{name}"
        parts = value if isinstance(value, tuple) else (value,)
        for part in (part for part in parts if isinstance(part, BaseModel)):
            if found := left_out(part, optional, f"{place}{name}."):
                return found
    return ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)}: stands twice")
    return fields


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max((_depth(part) for part in inner), default=0)
