"""What several jobs are tried on."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from voices_helpers import Voices, record_voices

from export.jobs import steps


@pytest.fixture
def voices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Voices]:
    """Recordings of four voices, whose networks can be imported."""
    monkeypatch.setenv("SCRIPTABLE_SPEECH", str(tmp_path / "none"))
    monkeypatch.setattr(steps, "use_one_thread", lambda: None)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield record_voices(tmp_path)
    sys.modules.pop("their_net", None)
