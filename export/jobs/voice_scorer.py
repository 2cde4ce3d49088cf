"""A speaker verifier from a configuration: its cohort, its trial list, and how it is drawn."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from export.catalog import Row, draw
from export.corpus import Utterance, audio_files
from export.errors import InputError
from export.extras import require
from export.jobs.calibration import What
from export.jobs.speaker_trials import SpeakerTrial, SpeakerTrials
from export.metrics.score_files import read_keys
from export.progress import Progress, tracked
from export.runtime.audio import read_waveform
from export.runtime.contract import Scoring, SpeakerDecision
from scriptable import VERIFICATION_COSTS, EmbeddingPipeline, ScoreNorm, cut_windows

TRIALS = What(SpeakerDecision, "trials", "the same speaker", "another speaker", VERIFICATION_COSTS)
_NAMED = 3


def with_cohort(
    pipeline: EmbeddingPipeline,
    cohort: Path,
    top: int,
    sample_rate: int,
    progress: Progress,
) -> EmbeddingPipeline:
    """The pipeline with AS-norm against a folder of recordings, or a file of embeddings ``[C, D]``.

    Raises:
        InputError: if the cohort cannot be read, or is not one for these embeddings.
    """
    embeddings = (
        _embedded(pipeline, cohort, sample_rate, progress) if cohort.is_dir() else _stored(cohort)
    )
    try:
        scorer = ScoreNorm(embeddings, "as", min(top, len(embeddings)))
    except ValueError as error:
        raise InputError(f"{cohort}: {error}") from error
    made = EmbeddingPipeline(pipeline.frontend, pipeline.encoder, pipeline.num_samples, scorer)
    expected = scoring_of(pipeline).embedding_dim
    if embeddings.shape[1] != expected:
        raise InputError(
            f"{cohort}: expected embeddings [C, {expected}], got {list(embeddings.shape)}"
        )
    return made.eval()


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
        raise InputError(f"{folder}: holds no .wav or .flac file")
    return torch.cat(found)


def _stored(path: Path) -> Tensor:
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder")
    try:
        if path.suffix == ".safetensors":
            tensors = list(require("safetensors.torch").load_file(path).values())
        elif path.suffix == ".npy":
            tensors = [torch.from_numpy(require("numpy").load(path, allow_pickle=False))]
        else:
            raise InputError(f"{path}: expected a folder, .npy or .safetensors")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if len(tensors) != 1 or tensors[0].dim() != 2 or not tensors[0].is_floating_point():
        raise InputError(f"{path}: expected one tensor of embeddings [C, D]")
    return tensors[0].float()


def scoring_of(pipeline: EmbeddingPipeline) -> Scoring:
    """What the contract says of the pipeline's scorer."""
    with torch.no_grad():
        dim = int(pipeline(torch.zeros(1, pipeline.num_samples)).shape[1])
    scorer = pipeline.scorer
    if not isinstance(scorer, ScoreNorm):
        return Scoring(embedding_dim=dim)
    return Scoring(
        embedding_dim=dim,
        normalisation="as_norm",
        cohort_size=len(scorer.cohort),
        top_n=scorer.top,
    )


def verifier_row(pipeline: EmbeddingPipeline, stem: str) -> Row:
    """How a verifier is drawn for parity: one window, and two embeddings."""
    n, dim = pipeline.num_samples, scoring_of(pipeline).embedding_dim
    return Row(
        entry="EmbeddingPipeline",
        variant=stem,
        module=lambda: pipeline,
        methods={
            "forward": lambda g: (draw.waveform(g, 1, n),),
            "verify": lambda g: (draw.normal(g, 1, dim), draw.normal(g, 1, dim)),
        },
        speech={"forward": lambda waveform: (cut_windows(waveform, n, n)[:1],)},
        on_device=True,
    )


def read_trials(
    protocol: Path, folder: Path, sample_rate: int, progress: Progress
) -> SpeakerTrials:
    """The trials of a list of ``ENROL TEST target|nontarget``, with the recordings they name.

    Raises:
        InputError: if the list or a recording cannot be read, or one of the two keys is missing.
    """
    lines = read_keys(protocol)
    if any(len(line.trial) != 2 for line in lines):
        raise InputError(f"{protocol}: expected lines of ENROL TEST target|nontarget")
    for key in ("target", "nontarget"):
        if not any(line.key == key for line in lines):
            raise InputError(f"{protocol}: holds no {key} trial; both kinds are needed")
    names = list(dict.fromkeys(name for line in lines for name in line.trial))
    paths = _located(names, folder)
    utterances = [
        Utterance(name, name, "-", 1, read_waveform(path, sample_rate).waveform)
        for name, path in tracked(list(zip(names, paths, strict=True)), "reading audio", progress)
    ]
    place = {name: index for index, name in enumerate(names)}
    trials = [SpeakerTrial(place[line.trial[0]], place[line.trial[1]], line.key) for line in lines]
    return SpeakerTrials(utterances, trials)


def by_enrolment(trials: SpeakerTrials) -> list[Utterance]:
    """A stand-in for each trial, under the name of its enrolment: what folds are made of."""
    return [
        Utterance(str(i), trials.utterances[trial.enrol].name, "-", int(label), torch.zeros(0))
        for i, (trial, label) in enumerate(zip(trials.trials, trials.labels, strict=True))
    ]


def _located(names: Sequence[str], folder: Path) -> list[Path]:
    """The file of each name: its path below the folder, or its name alone, with or without end."""
    known: dict[str, Path] = {}
    for path in audio_files(folder):
        below = path.relative_to(folder)
        for name in (below.as_posix(), below.with_suffix("").as_posix(), path.name, path.stem):
            known.setdefault(name, path)
    missing = [name for name in names if name not in known]
    if missing:
        first = ", ".join(missing[:_NAMED]) + (", ..." if len(missing) > _NAMED else "")
        raise InputError(
            f"{folder}: {len(missing)} of {len(names)} recordings are missing: {first}"
        )
    return [known[name] for name in names]
