"""``listen`` with samples in a pipe."""

import io
import sys
from typing import Any

import pytest
from artefact_helpers import Command, Ran


class Pipe(io.BytesIO):
    """What a pipe gives: now more, now less, and half a sample at a time."""

    def read1(self, size: int | None = -1) -> bytes:
        return self.read(4097)


def listened(
    command: Command, monkeypatch: pytest.MonkeyPatch, content: bytes, *options: Any
) -> Ran:
    class Stdin:
        buffer = Pipe(content)

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stdin", Stdin())
    return command("listen", *options)
