"""The keys of a configuration file, each section with what it may hold."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Optional

from pydantic import ValidationError

from export.jobs.names import Rename
from export.runtime.guards import Guards
from scriptable import ConfigError
from scriptable.config import Keys, construct, hint

# The one that every implementation counts clipped samples from: nothing to choose.
_FIXED = "clip_level"


@dataclass(frozen=True)
class Window:
    """The key ``window``, in samples."""

    num_samples: int = 64600
    hop: Optional[int] = None

    def __post_init__(self) -> None:
        for name, value in (("num_samples", self.num_samples), ("hop", self.hop)):
            if value is not None and value < 1:
                raise ValueError(f"{name}: expected 1 or more, got {value}")


@dataclass(frozen=True)
class Calibration:
    """The key ``calibration``: llr = scale·score + offset, bona fide at or above the threshold."""

    scale: float = 1.0
    offset: float = 0.0
    threshold: float = 0.0
    prior: float = 0.5
    operating_point: str = "as the configuration gives it"

    def __post_init__(self) -> None:
        _check_affine(self, "scale", "offset", "prior")
        if not math.isfinite(self.threshold):
            raise ValueError(f"threshold: expected a finite number, got {self.threshold}")


def _check_affine(of: Any, scale: str, offset: str, prior: str) -> None:
    """Refuse a calibration, whose parts have these names, that turns no score into an LLR."""
    for name in (scale, offset):
        if not math.isfinite(getattr(of, name)):
            raise ValueError(f"{name}: expected a finite number, got {getattr(of, name)}")
    if not getattr(of, scale) > 0:
        raise ValueError(f"{scale}: expected a value above 0, got {getattr(of, scale)}")
    if not 0 < getattr(of, prior) < 1:
        raise ValueError(f"{prior}: expected a probability inside (0, 1), got {getattr(of, prior)}")


UNCALIBRATED = Calibration(operating_point="not calibrated: the LLR is the raw score")


@dataclass(frozen=True)
class Countermeasure:
    """The key ``countermeasure`` of ``task: sasv``: keys as of a spoofing scorer's own file."""

    encoder: Any
    loss: Any
    frontend: Any = None
    calibration: Any = None
    rename: Any = None
    """In the names of its own checkpoint."""


@dataclass(frozen=True)
class FusedScores:
    """The key ``fusion`` of ``task: sasv``: the speaker's calibration, and what is expected."""

    asv_scale: float = 1.0
    asv_offset: float = 0.0
    spoof_prior: float = 0.5
    """Of what is to be rejected, the share that is spoofed."""

    def __post_init__(self) -> None:
        _check_affine(self, "asv_scale", "asv_offset", "spoof_prior")


@dataclass(frozen=True)
class Keywords:
    """The keys of the whole file."""

    encoder: Any
    loss: Any = None
    frontend: Any = None
    sample_rate: int = 16000
    window: Any = None
    calibration: Any = None
    name: str = ""
    rename: Any = None
    task: Literal["spoofing", "verification", "sasv"] = "spoofing"
    scoring: Any = None
    countermeasure: Any = None
    fusion: Any = None
    guards: Any = None

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise ValueError(f"sample_rate: expected 1 or more, got {self.sample_rate}")


_ONLY_FOR = {
    "loss": ("spoofing",),
    "scoring": ("verification", "sasv"),
    "countermeasure": ("sasv",),
    "fusion": ("sasv",),
}


def check_task(keywords: Keywords) -> None:
    """Refuse keys of another task, and the lack of those that this one needs.

    Raises:
        ConfigError: at the key.
    """
    for key, tasks in _ONLY_FOR.items():
        given = getattr(keywords, key) is not None
        if given and keywords.task not in tasks:
            raise ConfigError((key,), f"is for task: {' or '.join(tasks)}")
    needed = {"spoofing": "loss", "sasv": "countermeasure"}.get(keywords.task)
    if needed and getattr(keywords, needed) is None:
        raise ConfigError((needed,), "missing argument of the configuration")


def section(kind: type, name: str, value: Any, keys: Keys) -> Any:
    """A section of the file as its class; all defaults where it is not there.

    Raises:
        ConfigError: at the key in it that is unknown, missing, or of the wrong type.
    """
    if value is None and keys:
        value = {}
    if not isinstance(value, Mapping):
        raise ConfigError(keys, f"expected a mapping, got {type(value).__name__}")
    return construct(kind, name, value, keys)


def calibration(value: Any, keys: Keys) -> Calibration:
    """The key ``calibration``; where it is not there, the score is taken for an LLR."""
    if value is None:
        return UNCALIBRATED
    found: Calibration = section(Calibration, "calibration", value, keys)
    return found


def guards(value: Any) -> Guards:
    """The key ``guards``: the bounds of the contract that are not to be the usual ones.

    Raises:
        ConfigError: at the bound that is unknown, or out of its range.
    """
    keys: Keys = ("guards",)
    if value is None:
        return Guards()
    if not isinstance(value, Mapping):
        raise ConfigError(keys, f"expected a mapping, got {type(value).__name__}")
    known = [name for name in Guards.model_fields if name != _FIXED]
    for name in value:
        if name not in known:
            raise ConfigError(
                (*keys, str(name)), f"unknown argument of guards{hint(str(name), known)}"
            )
    try:
        return Guards.model_validate(dict(value))
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Input should be ")
        raise ConfigError(
            (*keys, *first["loc"]), f"expected {said}, got {first['input']!r}"
        ) from error


def rename(value: Any, keys: Keys) -> Rename:
    """The key ``rename``: patterns that can be compiled, and what they become.

    Raises:
        ConfigError: at the pattern.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(keys, "expected a mapping of pattern to replacement")
    for pattern, replacement in value.items():
        try:
            if not isinstance(pattern, str) or not isinstance(replacement, (str, type(None))):
                raise ConfigError(
                    (*keys, str(pattern)), "expected a text for a pattern, or null to leave it out"
                )
            re.sub(pattern, replacement or "", "")
        except re.error as error:
            said = f"not a regular expression with its replacement: {error}"
            raise ConfigError((*keys, pattern), said) from error
    return dict(value)
