"""Fixtures that several files share; every worker makes its own."""

import pytest
from artefact_helpers import Artefacts, Command, run_main


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """The tiny scorer in every format."""
    return Artefacts(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """``python -m export``, run in this process."""
    return lambda *arguments: run_main(tuple(map(str, arguments)), capfd)
