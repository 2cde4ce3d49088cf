"""Fixtures that several files share; every worker makes its own. And ``--entry``."""

import pytest
from artefact_helpers import Artefacts, Command, run_main

from export.catalog import Row, find
from export.errors import InputError


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--entry``, which ``make check`` uses."""
    parser.addoption(
        "--entry", help="only what the catalogue's rows of this entry and its docstrings ask for"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--entry``, keep the tests over its rows and the examples of its names."""
    entry = config.getoption("--entry")
    if entry is None:
        return
    try:
        rows = find([entry])
    except InputError as error:
        raise pytest.UsageError(str(error)) from error
    ids = {row.id for row in rows}
    names = {name for row in rows for name in (row.entry, *row.also)}
    kept = [item for item in items if _row_id(item) in ids or _documented(item) in names]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def _row_id(item: pytest.Item) -> str:
    row = getattr(item, "callspec", None) and item.callspec.params.get("row")  # type: ignore[attr-defined]
    return row.id if isinstance(row, Row) else ""


def _documented(item: pytest.Item) -> str:
    """The class or function whose example this is."""
    return item.name.rpartition(".")[2] if isinstance(item, pytest.DoctestItem) else ""


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """The tiny scorer in every format."""
    return Artefacts(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """``python -m export``, run in this process."""
    return lambda *arguments: run_main(tuple(map(str, arguments)), capfd)
