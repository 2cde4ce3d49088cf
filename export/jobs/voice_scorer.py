"""What compares embeddings: a cosine, one with a cohort, or a PLDA from a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Optional

import torch
from torch import Tensor, nn

from export.corpus import audio_files
from export.errors import InputError
from export.extras import require
from export.progress import Progress, tracked
from export.runtime.audio import read_waveform
from export.runtime.contract import Averaging
from scriptable import PLDA, ConfigError, EmbeddingPipeline, ScoreNorm, cut_windows

_FITTED = ("mean", "within", "between")
_SAVED = ("centre", "lda", "mean", "transform", "between")


@dataclass(frozen=True)
class VoiceScoring:
    """The key ``scoring`` of a verifier; files and folders are seen from the configuration."""

    cohort: Optional[str] = None
    """AS-norm by a folder of recordings, or a file of embeddings ``[C, D]``."""
    top_n: int = 300
    plda: Optional[str] = None
    """A file of what :class:`scriptable.PLDA` is made of, or of its state dict."""
    length_norm: Optional[bool] = None
    """Of the PLDA, which has it unless it is switched off."""
    embeddings: Optional[Literal["raw", "unit"]] = None
    """What the PLDA was fitted on, by default raw ones."""

    def __post_init__(self) -> None:
        if self.top_n < 1:
            raise ValueError(f"top_n: expected 1 or more, got {self.top_n}")
        if self.cohort is not None and self.plda is not None:
            raise ValueError("plda: give either a cohort, whose scores are cosines, or a PLDA")
        for name in ("length_norm", "embeddings"):
            if getattr(self, name) is not None and self.plda is None:
                raise ValueError(f"{name}: is of a PLDA, and plda is not given")

    @property
    def averaging(self) -> Averaging:
        """How windows and recordings become one embedding."""
        raw = self.plda is not None and self.embeddings != "unit"
        return "mean" if raw else "mean_of_unit_vectors"


def averaging_of(scorer: nn.Module) -> Averaging:
    """What a scorer expects where nothing else is said: a PLDA is fitted on raw embeddings."""
    return "mean" if isinstance(scorer, PLDA) else "mean_of_unit_vectors"


def with_scorer(
    pipeline: EmbeddingPipeline,
    scoring: VoiceScoring,
    folder: Path,
    sample_rate: int,
    progress: Progress,
) -> EmbeddingPipeline:
    """The trained pipeline with the scorer that the configuration in ``folder`` names.

    Raises:
        ConfigError: at the key, if a file or a folder cannot be read or does not fit.
    """
    scorer: nn.Module
    if scoring.plda is not None:
        key, path = "plda", folder / scoring.plda
    elif scoring.cohort is not None:
        key, path = "cohort", folder / scoring.cohort
    else:
        return pipeline
    try:
        if key == "plda":
            scorer = read_plda(path, scoring.length_norm is not False)
            expected = embedding_dim(pipeline)
            if scorer.lda.shape[0] != expected:
                raise InputError(
                    f"{path}: expected a PLDA of embeddings of {expected} numbers, "
                    f"got one of {scorer.lda.shape[0]}"
                )
        else:
            scorer = _cohort(pipeline, path, scoring.top_n, sample_rate, progress)
    except InputError as error:
        raise ConfigError(("scoring", key), str(error)) from error
    n = pipeline.num_samples
    return EmbeddingPipeline(pipeline.frontend, pipeline.encoder, n, scorer).eval()


def embedding_dim(pipeline: EmbeddingPipeline) -> int:
    """D, of the embedding of a window."""
    with torch.no_grad():
        return int(pipeline(torch.zeros(1, pipeline.num_samples)).shape[1])


def _cohort(
    pipeline: EmbeddingPipeline, path: Path, top: int, sample_rate: int, progress: Progress
) -> ScoreNorm:
    stored = not path.is_dir()
    embeddings = _embeddings(path) if stored else _embedded(pipeline, path, sample_rate, progress)
    expected = embedding_dim(pipeline)
    if embeddings.shape[1] != expected:
        raise InputError(
            f"{path}: expected embeddings [C, {expected}], got {list(embeddings.shape)}"
        )
    try:
        return ScoreNorm(embeddings, "as", min(top, len(embeddings)))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _embedded(
    pipeline: EmbeddingPipeline, folder: Path, sample_rate: int, progress: Progress
) -> Tensor:
    """The first window of each recording."""
    found = []
    for path in tracked(audio_files(folder), "embedding the cohort", progress):
        waveform = read_waveform(path, sample_rate).waveform
        with torch.no_grad():
            n = pipeline.num_samples
            found.append(pipeline(cut_windows(waveform, n, n)[:1]))
    if not found:
        raise InputError(f"{folder}: contains no .wav or .flac file")
    return torch.cat(found)


def _embeddings(path: Path) -> Tensor:
    tensors = list(_tensors(path, (".npy", ".safetensors"), "a folder, ").values())
    if len(tensors) != 1 or tensors[0].dim() != 2 or not tensors[0].is_floating_point():
        raise InputError(f"{path}: expected one tensor of embeddings [C, D]")
    return tensors[0].float()


def read_plda(path: Path, length_norm: bool = True) -> PLDA:
    """A PLDA from a file of its parameters: ``mean``, ``within``, ``between``, ``centre``, ``lda``.

    The last two may be missing. The state dict of a :class:`scriptable.PLDA` is taken, too.

    Raises:
        InputError: if the file cannot be read, or holds no PLDA.
    """
    found = _tensors(path, (".safetensors", ".npz"))
    saved = set(found) == set(_SAVED)
    allowed = {*_FITTED, "centre", "lda"}
    if not saved and not {*_FITTED} <= found.keys() <= allowed:
        raise InputError(
            f"{path}: expected the tensors {', '.join(_FITTED)}, and perhaps centre and lda, "
            f"got {', '.join(sorted(found)) or 'none'}"
        )
    for name, tensor in found.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {name}: expected finite floating-point numbers")
    try:
        if saved:
            return _restored(found, length_norm)
        mean, within, between = (found[name] for name in _FITTED)
        return PLDA(mean, within, between, found.get("centre"), found.get("lda"), length_norm)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def _restored(state: Mapping[str, Tensor], length_norm: bool) -> PLDA:
    """A module with this state dict; what it was made of is no longer in it."""
    mean = state["mean"]
    if mean.dim() != 1:
        raise ValueError(f"mean: expected shape [K], got {list(mean.shape)}")
    identity = torch.eye(len(mean))
    made = PLDA(mean, identity, identity, state["centre"], state["lda"], length_norm)
    for name in ("transform", "between"):
        own, given = getattr(made, name), state[name]
        if own.shape != given.shape:
            raise ValueError(f"{name}: expected shape {list(own.shape)}, got {list(given.shape)}")
        own.copy_(given)
    if bool((made.between < 0).any()):
        raise ValueError("between: expected variances of 0 or more")
    return made


def _tensors(path: Path, suffixes: tuple[str, ...], other: str = "") -> dict[str, Tensor]:
    """The tensors of a file by name; of an array alone, under no name."""
    if not path.exists():
        raise InputError(f"{path}: no such file{' or folder' if other else ''}")
    if path.suffix not in suffixes or not path.is_file():
        raise InputError(f"{path}: expected {other}{' or '.join(suffixes)}")
    try:
        if path.suffix == ".safetensors":
            return dict(require("safetensors.torch").load_file(path))
        loaded = require("numpy").load(path, allow_pickle=False)
        arrays = {"": loaded} if path.suffix == ".npy" else dict(loaded)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    except Exception as error:  # zip, numpy, torch and the Rust library raise what they like
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: cannot be read ({said})") from error
