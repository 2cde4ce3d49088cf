"""One trial of a score or key file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One trial of a file; what the file does not say is None or empty."""

    trial: tuple[str, ...]
    """``(file,)``, or ``(enrolment, test)``."""
    score: float | None = None
    key: str = ""
    attack: str = "-"
    speaker: str = "-"
    llr: float | None = None
    part: str = ""
    """Of a corpus, such as ``held_out``."""

    @property
    def name(self) -> str:
        """For people."""
        return " ".join(self.trial)
