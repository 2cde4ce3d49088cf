"""The options about precision, and the audio that the ranges of int8 are chosen on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from export.corpus import Utterance, audio_files
from export.errors import InputError
from export.jobs.reduced import Reduction
from export.jobs.steps import evenly
from export.parity.guard import BOUNDS
from export.runtime.audio import read_waveform
from scriptable import cut_windows

PRECISIONS = ("float32", *BOUNDS)
_TASKS = ("spoofing", "verification", "sasv")

_MOST_FILES = 64
_MOST_WINDOWS = 96
_EACH = 4
"""Of a trial list, one recording in so many is calibrated on; the others judge."""


@dataclass(frozen=True)
class Precisions:
    """What the command line asked for."""

    names: tuple[str, ...] = ("float32",)
    audio: Path | None = None
    """The deployment's recordings, for the ranges of int8."""
    force: bool = False

    def check(self) -> None:
        """Refuse what cannot be, before any work is done.

        Raises:
            InputError: naming the option.
        """
        for name in self.names:
            if name not in PRECISIONS:
                known = ", ".join(PRECISIONS)
                raise InputError(f"precision: expected one of {known}, got {name}")
        if self.audio is not None and "int8" not in self.names:
            raise InputError("calibration-audio: is for --precision int8")
        if self.audio is not None and not audio_files(self.audio):
            raise InputError(f"{self.audio}: contains no .wav or .flac file to calibrate on")
        if self.force and not set(self.names) & set(BOUNDS):
            raise InputError("force: is for --precision mixed16 or int8")

    def check_task(self, task: str) -> None:
        """Refuse fewer bits where the encoder is not between features and one embedding.

        Raises:
            InputError: naming the option.
        """
        fewer = [name for name in self.names if name in BOUNDS]
        if fewer and task not in _TASKS:
            raise InputError(f"precision: {fewer[0]} is for task: {', '.join(_TASKS)}, not {task}")

    def reduction(
        self, windows: Tensor | None = None, judged_on: Sequence[int] | None = None
    ) -> Reduction:
        """The same with audio at hand; each precision once, the widest first."""
        names = tuple(name for name in PRECISIONS if name in self.names)
        return Reduction(names, windows, self.force, judged_on)

    def recordings(self, sample_rate: int) -> list[Tensor]:
        """Waveforms of the calibration audio, of at most 64 files; none where none is given."""
        files = [] if self.audio is None else evenly(audio_files(self.audio), _MOST_FILES)
        return [read_waveform(path, sample_rate).waveform for path in files]


def windows_of(waveforms: Iterable[Tensor], num_samples: int) -> Tensor:
    """At most 96 windows ``[T, N]``, evenly over the recordings."""
    found = [w for x in waveforms for w in cut_windows(x, num_samples, num_samples)]
    if not found:
        raise InputError("calibration-audio: int8 needs a recording or more")
    return torch.stack(evenly(found, _MOST_WINDOWS))


def own_trials(
    precisions: Precisions, recordings: Sequence[Utterance], num_samples: int, sample_rate: int
) -> Reduction:
    """Calibrated on the audio that was given, or on a part of the trial list, not judged on then.

    Raises:
        InputError: if int8 is asked for and there is neither.
    """
    if "int8" not in precisions.names:
        return precisions.reduction()
    if precisions.audio is not None:
        waveforms = precisions.recordings(sample_rate)
        return precisions.reduction(windows_of(waveforms, num_samples))
    calibrate: set[int] = set()
    for label in {u.label for u in recordings}:
        alike = [i for i, u in enumerate(recordings) if u.label == label]
        calibrate |= set(alike[::_EACH])
    if len(calibrate) == len(recordings):
        raise InputError(
            "calibration-audio: int8 needs the deployment's recordings: give a folder of them, or "
            "--protocol and --audio with more"
        )
    windows = windows_of((recordings[i].waveform for i in sorted(calibrate)), num_samples)
    return precisions.reduction(windows, [i for i in range(len(recordings)) if i not in calibrate])
