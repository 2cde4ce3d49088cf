"""What the demos of all tasks share: options and corpus."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from export.corpus import (
    Corpus,
    Utterance,
    from_protocol,
    from_speech_folder,
    synthetic_corpus,
)
from export.demo.training import HEADS, Settings
from export.errors import InputError
from export.extras import require
from export.jobs.precisions import Precisions, windows_of
from export.jobs.reduced import Reduction
from export.jobs.steps import evenly
from export.jobs.threshold import ThresholdChoice
from export.progress import Progress
from export.runtime.audio import read_waveform
from export.speech import speech_files

HELD_OUT = 0.3
TASKS = ("spoofing", "verification", "sasv", "streaming")


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    out: Path
    settings: Settings
    protocol: Path | None = None
    audio: Path | None = None
    speech: Path | None = None
    limit: int = 400
    dynamic_batch: bool = False
    task: str = "spoofing"
    threshold: ThresholdChoice = field(default_factory=ThresholdChoice)
    precisions: Precisions = field(default_factory=Precisions)
    false_alarms_per_hour: float = 12.0
    """Of the task streaming."""


def check(options: Options) -> None:
    """Refuse what cannot be done before anything is read."""
    if options.task not in TASKS:
        raise InputError(f"task: expected one of {', '.join(TASKS)}, got {options.task}")
    options.precisions.check()
    options.precisions.check_task(options.task)
    if not math.isfinite(options.false_alarms_per_hour):
        raise InputError(
            f"false-alarms-per-hour: expected a finite number, got {options.false_alarms_per_hour}"
        )
    for package in ("jinja2", "matplotlib"):
        require(package)
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"{options.out}: is not a folder; give another --out")


def read_corpus(options: Options, progress: Progress) -> Corpus:
    """The corpus that the options name."""
    rate = options.settings.sample_rate
    if options.settings.head not in HEADS:
        raise InputError(f"head: expected one of {', '.join(HEADS)}, got {options.settings.head}")
    if (options.protocol is None) != (options.audio is None):
        raise InputError("protocol: give --protocol and --audio together")
    if options.protocol is not None and options.speech is not None:
        raise InputError("speech: give either --speech or --protocol with --audio, not both")
    if options.protocol is not None and options.audio is not None:
        return from_protocol(
            options.protocol, options.audio, rate, limit=options.limit, progress=progress
        )
    if options.speech is not None:
        return from_speech_folder(options.speech, rate, limit=options.limit, progress=progress)
    return synthetic_corpus(options.settings.seed, sample_rate=rate, progress=progress)


def audio_for_parity(options: Options, held_out: Sequence[Utterance]) -> Tensor:
    """Real speech where it is at hand, else a held-out recording."""
    files = speech_files()
    if files:
        return read_waveform(files[0], options.settings.sample_rate).waveform
    return held_out[0].waveform


def reduction(options: Options, train: Sequence[Utterance]) -> Reduction:
    """Ranges for int8 from the training part, and real speech where it is at hand.

    Synthetic audio alone does not tell how far real speech goes. The recording that parity is
    shown on is none of them.
    """
    if "int8" not in options.precisions.names:
        return options.precisions.reduction()
    settings = options.settings
    real = [read_waveform(p, settings.sample_rate).waveform for p in evenly(speech_files()[1:], 16)]
    waveforms = [
        *(utterance.waveform for utterance in evenly(train, 48)),
        *real,
        *options.precisions.recordings(settings.sample_rate),
    ]
    return options.precisions.reduction(windows_of(waveforms, settings.num_samples))
