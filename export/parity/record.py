"""What one comparison found, and what is compared."""

from dataclasses import dataclass
from typing import Literal

from export.backends import Inputs

Content = Literal["example", "other", "speech"]


Status = Literal["pass", "fail", "waived", "skipped", "not_run"]


@dataclass(frozen=True)
class Record:
    """One comparison, or the reason why there is none."""

    entry: str
    variant: str
    method: str
    backend: str
    content: Content
    status: Status
    max_abs_error: float | None = None
    tolerance: float | None = None
    sqnr_db: float | None = None
    bytes: int | None = None
    seconds: float | None = None
    reason: str = ""
    slow_pass: float | None = None
    """Seconds of one pass of a file that is so slow that it was run once, on one content."""

    @property
    def row(self) -> str:
        """Entry and variant, as the catalogue's row is called."""
        return f"{self.entry}[{self.variant}]" if self.variant else self.entry


@dataclass(frozen=True)
class Trial:
    """Inputs of one method, and what eager answers."""

    method: str
    content: Content
    inputs: Inputs
    expected: Inputs
    seconds: float = 0.0
    """That eager took."""
