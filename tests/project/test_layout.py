"""What holds for the code as a whole: nothing public without proof, imports one way, light."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import export.catalog
import scriptable
from export.catalog import NOT_EXPORTED, rows

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "scriptable").rglob("*.py"))
EXPORT = sorted((ROOT / "export").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))
HEAVY = (
    "executorch",
    "coremltools",
    "onnx",
    "onnxruntime",
    "matplotlib",
    "torchaudio",
    "export",
    "numba",
    "speechbrain",
    "pyarrow",
)

FLOOR = {
    "budget",
    "errors",
    "extras",
    "files",
    "modules",
    "processors",
    "progress",
    "speech",
    "text",
}
PROOF = {"backends", "catalog", "runtime", "corpus", "parity"}
ROOMS = {
    "backends": set(),
    "catalog": {"backends"},
    "runtime": {"backends"},
    "metrics": set(),
    "corpus": {"runtime"},
    "parity": PROOF,
    "report": PROOF,
    "bulk": {"backends", "runtime", "metrics"},
    "jobs": {*PROOF, "metrics", "report"},
    "demo": {*PROOF, "metrics", "report", "jobs"},
    "commands": {*PROOF, "metrics", "report", "bulk", "jobs", "demo"},
    "__main__": {"commands"},
}
"""Whom each room of ``export`` may import, beside itself and the floor that all stand on."""


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in [*LIBRARY, *EXPORT, *BENCHMARKS]}


@cache
def imports_of(path: Path) -> frozenset[str]:
    """What a file imports anywhere, functions included, by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: a relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            # A package that only lends its name to a module of its own is not imported for itself.
            found |= inside & MODULES.keys()
            found |= set() if inside <= MODULES.keys() else {node.module}
    return frozenset(found)


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports anywhere."""
    return {name.split(".")[0] for name in imports_of(path)}


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """A way from a node back to itself, or an empty list."""
    done: set[str] = set()

    def walk(node: str, way: list[str]) -> list[str]:
        if node in way:
            return [*way[way.index(node) :], node]
        if node in done:
            return []
        for target in sorted(arrows.get(node, ())):
            if found := walk(target, [*way, node]):
                return found
        done.add(node)
        return []

    return next((found for node in arrows if (found := walk(node, []))), [])


def room_of(module: str) -> str:
    """The folder or file below the package: ``export.parity.run`` is in ``parity``."""
    return module.split(".")[1] if "." in module else ""


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_import_goes_round_in_a_circle() -> None:
    arrows = {name: imports_of(path) & MODULES.keys() for name, path in MODULES.items()}
    assert circle({name: set(targets) for name, targets in arrows.items()}) == []


def test_the_rooms_of_the_library_are_in_no_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for path in LIBRARY:
        room = room_of(module_of(path))
        targets = {room_of(name) for name in imports_of(path) if name.startswith("scriptable.")}
        arrows.setdefault(room, set()).update(targets - {room})
    assert arrows["_core"] == set()
    assert circle(arrows) == []


def test_every_room_of_export_imports_only_what_it_may() -> None:
    for path in EXPORT:
        room = room_of(module_of(path))
        assert room in {"", *FLOOR, *ROOMS}, f"{path}: say in ROOMS whom {room} may import"
        targets = {room_of(name) for name in imports_of(path) if name.startswith("export.")}
        assert targets - {room} <= FLOOR | ROOMS.get(room, set()), path


def test_underscore_files_stay_in_their_package() -> None:
    for path in MODULES.values():
        for name in imports_of(path) & MODULES.keys():
            parts = name.split(".")
            private = [i for i, part in enumerate(parts) if re.match("_[a-z]", part)]
            if private:
                owner = ROOT.joinpath(*parts[: private[0]])
                assert owner in path.parents, f"{path} imports {name}"


def test_every_public_name_is_a_row_or_says_why_not() -> None:
    proven = {name for row in rows() for name in (row.entry, *row.also)}
    public = set(scriptable.__all__)
    assert public - proven - NOT_EXPORTED.keys() == set(), "public names without a catalogue row"
    assert NOT_EXPORTED.keys() - public == set(), "reasons for names that are not public"
    assert proven - public == set(), "rows for names that are not public"
    assert proven & NOT_EXPORTED.keys() == set(), "names that are both a row and not exported"
    assert all(len(reason) > 8 for reason in NOT_EXPORTED.values())


def test_a_row_file_is_called_like_what_it_proves() -> None:
    """``export/catalog/heads/ge2e.py`` proves ``scriptable/heads/ge2e.py``, and nothing else."""
    found = 0
    for info in pkgutil.walk_packages(export.catalog.__path__, "export.catalog."):
        place = info.name.replace("export.catalog", "scriptable")
        for row in getattr(importlib.import_module(info.name), "ROWS", []):
            found += 1
            for name in (row.entry, *row.also):
                home = getattr(scriptable, name).__module__
                assert f"{home}.".startswith(f"{place}."), f"{info.name}: {name} is in {home}"
    assert found == len(rows())


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
