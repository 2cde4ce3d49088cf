"""What ``python -m export model`` was asked for, and what of it cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from export.backends import Backend
from export.budget import GENEROUS
from export.errors import InputError
from export.jobs.live import check_live
from export.jobs.precisions import Precisions
from export.jobs.threshold import ThresholdChoice

_CALIBRATE = (
    "calibration-audio: int8 needs recordings of the deployment: give --calibration-audio DIR"
)


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    config: Path
    out: Path
    checkpoint: Path | None = None
    backends: Sequence[Backend] | None = None
    protocol: Path | None = None
    audio: Path | None = None
    dynamic_batch: bool = False
    budget: float = GENEROUS
    calibrate: ThresholdChoice | None = None
    """Fit calibration and threshold on the trial list; None: as the configuration gives them."""
    enrolment: Path | None = None
    """The recordings of each model in the trial list; None: it names recordings."""
    countermeasure: Path | None = None
    """Weights of the countermeasure, where ``checkpoint`` holds the speaker half alone."""
    precisions: Precisions = field(default_factory=Precisions)
    live: str | None = None
    """``cached``: the file has a method for streams, too; None: it has not."""

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises:
            InputError: naming the option.
        """
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{self.out}: is not a folder; give another --out")
        if (self.protocol is None) != (self.audio is None):
            raise InputError("protocol: give --protocol and --audio together")
        if self.calibrate is not None and self.protocol is None:
            raise InputError("calibrate: give --protocol and --audio, too: it is fitted on them")
        if self.enrolment is not None and self.protocol is None:
            raise InputError("enrolment: give --protocol and --audio, too: it is a list for them")
        if self.countermeasure is not None and self.checkpoint is None:
            raise InputError("countermeasure: give --checkpoint, too, with the speaker half")
        self.precisions.check()
        check_live(self.live, self.precisions.names)
        if self._uncalibrated and self.protocol is None:
            raise InputError(f"{_CALIBRATE}, or --protocol and --audio")

    @property
    def _uncalibrated(self) -> bool:
        return "int8" in self.precisions.names and self.precisions.audio is None

    def check_task(self, task: str) -> None:
        """Refuse options that are for another task.

        Raises:
            InputError: naming the option.
        """
        if self.enrolment is not None and task == "spoofing":
            raise InputError(f"enrolment: {self.config} is of task: spoofing, which enrols nobody")
        if self.countermeasure is not None and task != "sasv":
            raise InputError(f"countermeasure: {self.config} is of task: {task}, not sasv")
        if self.live is not None and task != "spoofing":
            raise InputError(f"live: {self.config} is of task: {task}, not spoofing")
        self.precisions.check_task(task)
        if self._uncalibrated and task != "spoofing":
            raise InputError(_CALIBRATE)
