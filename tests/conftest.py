"""Fixtures that several files share; every worker makes its own. And ``--entry``."""

import re
from pathlib import Path

import pytest
import torch
from artefact_helpers import Artefacts, Command, run_main

from export.catalog import Row, find
from export.errors import InputError

TESTS = Path(__file__).parent
BATTERY = TESTS / "export" / "parity" / "test_catalogue.py"
NOT_THE_LIBRARY = (TESTS / "export", TESTS / "project")

CHOSEN = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--entry``, which ``make check`` uses."""
    parser.addoption(
        "--entry",
        help="only this entry: its rows of the catalogue, the examples of its names, and the "
        "library's test files that name it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Look the entry up, before anything is collected."""
    entry = config.getoption("--entry")
    try:
        config.stash[CHOSEN] = find([entry]) if entry else []
    except InputError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With ``--entry``, read only test files that name it, and the battery."""
    chosen = config.stash[CHOSEN]
    if not chosen or collection_path == BATTERY or not collection_path.is_relative_to(TESTS):
        return None
    if any(map(collection_path.is_relative_to, NOT_THE_LIBRARY)):
        return True if collection_path.is_file() else None
    if collection_path.suffix != ".py":
        return None
    named = "|".join(map(re.escape, names_of(chosen)))
    return None if re.search(rf"\b({named})\b", collection_path.read_text()) else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--entry``, keep of the battery its rows, and of the docstrings its names'."""
    chosen = config.stash[CHOSEN]
    if not chosen:
        return
    ids, names = {row.id for row in chosen}, names_of(chosen)

    def is_kept(item: pytest.Item) -> bool:
        if isinstance(item, pytest.DoctestItem):
            return item.name.rpartition(".")[2] in names
        return item.path != BATTERY or _row_id(item) in ids

    kept = [item for item in items if is_kept(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed torch before each test, and before the fixtures that it is the first to ask for."""
    torch.manual_seed(20240607)


def names_of(rows: list[Row]) -> set[str]:
    """The public names that the rows prove."""
    return {name for row in rows for name in (row.entry, *row.also)}


def _row_id(item: pytest.Item) -> str:
    row = getattr(item, "callspec", None) and item.callspec.params.get("row")  # type: ignore[attr-defined]
    return row.id if isinstance(row, Row) else ""


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """The tiny scorer in every format."""
    return Artefacts(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """``python -m export``, run in this process."""
    return lambda *arguments: run_main(tuple(map(str, arguments)), capfd)
