"""What holds for the code as a whole: nothing public without proof, imports one way, light."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import scriptable
from export.catalog import NOT_EXPORTED, rows

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "scriptable").rglob("*.py"))
EXPORT = sorted((ROOT / "export").rglob("*.py"))
HEAVY = ("executorch", "coremltools", "matplotlib", "torchaudio", "export", "numba", "speechbrain")


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_every_public_name_is_a_row_or_says_why_not() -> None:
    proven = {name for row in rows() for name in (row.entry, *row.also)}
    public = set(scriptable.__all__)
    assert public - proven - NOT_EXPORTED.keys() == set(), "public names without a catalogue row"
    assert NOT_EXPORTED.keys() - public == set(), "reasons for names that are not public"
    assert proven - public == set(), "rows for names that are not public"
    assert proven & NOT_EXPORTED.keys() == set(), "names that are both a row and not exported"
    assert all(len(reason) > 8 for reason in NOT_EXPORTED.values())


def test_public_names_exist_and_have_docstrings_with_an_example() -> None:
    for name in scriptable.__all__:
        thing = getattr(scriptable, name)
        assert thing.__doc__, name
        is_result_type = name in NOT_EXPORTED and isinstance(thing, type)
        assert is_result_type or ">>>" in thing.__doc__, f"{name}: no example in its docstring"


def test_the_library_knows_nothing_of_export() -> None:
    for path in LIBRARY:
        assert not imported(path) & {"export", "tests", "benchmarks"}, path
    for path in EXPORT:
        assert not imported(path) & {"tests", "benchmarks"}, path


def test_peers_are_imported_by_tests_benchmarks_and_their_adapters_only() -> None:
    adapters = ROOT / "scriptable" / "compat"
    for path in LIBRARY + EXPORT:
        if path.is_relative_to(adapters):
            assert imported(path) <= {"espnet2", "scriptable", "torch", "typing"}, path
            continue
        assert "scriptable.compat" not in path.read_text(), path
        assert not imported(path) & {"speechbrain", "espnet2", "deepfense"}, path


def test_importing_the_library_stays_light() -> None:
    code = f"import sys, scriptable; print([m for m in {HEAVY!r} if m in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"


def test_the_library_keeps_to_what_scripts() -> None:
    for path in LIBRARY:
        text = path.read_text()
        assert "from __future__ import annotations" not in text, path
        assert not re.search(r"def \w+\([^)]*\*\*\w+", text), f"{path}: keyword arguments"


def test_files_stay_readable() -> None:
    for path in [*LIBRARY, *EXPORT, *sorted((ROOT / "tests").rglob("*.py"))]:
        assert len(path.read_text().splitlines()) <= 420, f"{path}: split it"


def test_deprecated_torchscript_stays_in_its_backends() -> None:
    """``torch.jit`` in export lives in the backend files, so that it can go in one commit."""
    allowed = {"_torchscript.py", "torchscript.py", "trace.py", "lite.py"}
    for path in EXPORT:
        if path.name not in allowed:
            assert "torch.jit" not in path.read_text(), path
