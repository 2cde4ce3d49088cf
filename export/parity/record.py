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
    precision: str = "float32"
    """Of the arithmetic in the file; fewer bits are judged by decisions, without a tolerance."""
    slow_pass: float | None = None
    """Seconds of one pass of a file that is so slow that it was run once, on one content."""

    @property
    def file_kind(self) -> str:
        """The backend, and the precision where it is not float32."""
        return file_kind(self.backend, self.precision)

    @property
    def row(self) -> str:
        """Entry and variant, as the catalogue's row is called."""
        return f"{self.entry}[{self.variant}]" if self.variant else self.entry


def file_kind(backend: str, precision: str) -> str:
    """What tables call the files of a backend in a precision."""
    return backend if precision == "float32" else f"{backend} {precision}"


@dataclass(frozen=True)
class Trial:
    """Inputs of one method, and what eager answers."""

    method: str
    content: Content
    inputs: Inputs
    expected: Inputs
    seconds: float = 0.0
    """That eager took."""
