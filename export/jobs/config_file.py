"""A scorer from a configuration file: front end, encoder, head, calibration, window."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import torch
from torch import nn

import scriptable
from export.errors import InputError
from export.jobs.yaml_file import YamlFile
from export.modules import load_name, makes_module
from export.runtime import contract as contracts
from export.runtime.contract import Audio, Contract, Decision, Windows
from scriptable import ConfigError, ScorePipeline, build_loss
from scriptable.config import Keys, construct, hint, read_part

_FRONTENDS = {name: getattr(scriptable, name) for name in ("LFCC", "LogMel", "MFCC")}
_ENCODERS = {"LightCNN": scriptable.LightCNN}


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
        for name in ("scale", "offset", "threshold"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name}: expected a finite number, got {getattr(self, name)}")
        if not self.scale > 0:
            raise ValueError(f"scale: expected a value above 0, got {self.scale}")
        if not 0 < self.prior < 1:
            raise ValueError(f"prior: expected a probability inside (0, 1), got {self.prior}")


@dataclass(frozen=True)
class Keywords:
    """The keys of the whole file."""

    encoder: Any
    loss: Any
    frontend: Any = None
    sample_rate: int = 16000
    window: Any = None
    calibration: Any = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.sample_rate < 1:
            raise ValueError(f"sample_rate: expected 1 or more, got {self.sample_rate}")


@dataclass(frozen=True)
class Scorer:
    """What the configuration describes; the weights are random."""

    pipeline: ScorePipeline
    sample_rate: int
    hop: int
    calibration: Calibration
    calibrated: bool
    name: str

    def contract(self) -> Contract:
        """The contract of the pipeline with the weights that it has now."""
        uncalibrated = "not calibrated: the LLR is the raw score"
        parts = (self.pipeline.frontend, self.pipeline.encoder, self.pipeline.head)
        return Contract(
            model=self.name or " + ".join(type(part).__name__ for part in parts),
            audio=Audio(sample_rate=self.sample_rate),
            windows=Windows(num_samples=self.pipeline.num_samples, hop=self.hop),
            decision=Decision(
                scale=self.calibration.scale,
                offset=self.calibration.offset,
                prior=self.calibration.prior,
                threshold=self.calibration.threshold,
                operating_point=self.calibration.operating_point
                if self.calibrated
                else uncalibrated,
            ),
            versions=contracts.versions(),
            weights_sha256=contracts.weights_sha256(self.pipeline.state_dict()),
        )


def read_config(path: Path) -> Scorer:
    """Build what a YAML file describes.

    Raises:
        InputError: with file and line, if a key is unknown, missing or of the wrong type, or the
            parts do not fit together.
    """
    file = YamlFile(path)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            scorer = _build(file.value)
    except ConfigError as error:
        raise file.refuse(error) from error
    _try(scorer.pipeline, path)
    return scorer


def _build(value: Any) -> Scorer:
    keywords: Keywords = _section(Keywords, "the configuration", value, ())
    window: Window = _section(Window, "window", keywords.window, ("window",))
    calibration = _section(Calibration, "calibration", keywords.calibration, ("calibration",))
    frontend = _frontend(keywords.frontend, keywords.sample_rate)
    encoder = _part(keywords.encoder, ("encoder",), _ENCODERS)
    head = build_loss(keywords.loss)
    try:
        pipeline = ScorePipeline(frontend, encoder, head, window.num_samples)
    except ValueError as error:
        raise ConfigError(("loss",), str(error)) from error
    return Scorer(
        pipeline.eval(),
        keywords.sample_rate,
        window.hop or max(1, window.num_samples // 2),
        calibration,
        keywords.calibration is not None,
        keywords.name,
    )


def _section(kind: type, name: str, value: Any, keys: Keys) -> Any:
    if value is None and keys:
        value = {}
    if not isinstance(value, Mapping):
        raise ConfigError(keys, f"expected a mapping, got {type(value).__name__}")
    return construct(kind, name, value, keys)


def _frontend(config: Any, sample_rate: int) -> nn.Module:
    """The front end at the file's sample rate; none: the encoder takes the waveform."""
    if config is None:
        return nn.Identity()
    keys: Keys = ("frontend",)
    name, given, place = read_part(config, keys)
    if given.setdefault("sample_rate", sample_rate) != sample_rate:
        said = f"expected {sample_rate} as under sample_rate, got {given['sample_rate']}"
        raise ConfigError((*place, "sample_rate"), said)
    if name not in _FRONTENDS:
        given = {key: value for key, value in config.items() if key not in ("type", "args")}
        return _part(config, keys, _FRONTENDS)
    frontend: nn.Module = construct(_FRONTENDS[name], name, given, place)
    return frontend


def _part(config: Any, keys: Keys, known: Mapping[str, type[nn.Module]]) -> nn.Module:
    """A module by the name of one of ours, or by a dotted path."""
    name, given, place = read_part(config, keys)
    target: Any = known.get(name)
    if target is None:
        if "." not in name:
            problem = f"expected a dotted path, or a name of scriptable's{hint(name, known)}"
            raise ConfigError((*keys, "type"), problem)
        try:
            target = load_name(name)
        except InputError as error:
            raise ConfigError((*keys, "type"), str(error)) from error
    if not callable(target):
        raise ConfigError((*keys, "type"), f"{name} is no class, but {type(target).__name__}")
    if name not in known and not makes_module(target):
        # Before it is called: a configuration must not run what its author likes, as os.system.
        problem = f"{name} is no torch.nn.Module class, nor annotated to return a module"
        raise ConfigError((*keys, "type"), problem)
    module = construct(target, name, given, place)
    if not isinstance(module, nn.Module):
        made = type(module).__name__
        raise ConfigError((*keys, "type"), f"{name} makes a {made}, not a torch.nn.Module")
    return module


def _try(pipeline: ScorePipeline, path: Path) -> None:
    """One window through the model: do the parts fit together, and is it one score."""
    window = 0.1 * torch.randn(1, pipeline.num_samples, generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            score = pipeline(window)
    except Exception as error:  # whatever the user's encoder raises
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: the model fails on a window of {pipeline.num_samples} samples: {said}"
        ) from error
    if not isinstance(score, torch.Tensor) or list(score.shape) != [1]:
        found = list(score.shape) if isinstance(score, torch.Tensor) else type(score).__name__
        raise InputError(
            f"{path}: loss: expected a head with one score for a window, shape [1], got {found}"
        )
