"""What several jobs are tried on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from voices_helpers import Voices, record_voices

from export.jobs import steps


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, and no recordings but those that a test makes."""
    monkeypatch.setenv("SCRIPTABLE_SPEECH", str(tmp_path / "none"))
    monkeypatch.setattr(steps, "use_one_thread", lambda: None)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("own_net", "their_net"):
        sys.modules.pop(name, None)


@pytest.fixture
def voices(own_code: Path) -> Voices:
    """Recordings of four voices, whose networks can be imported."""
    return record_voices(own_code)
