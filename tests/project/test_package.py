"""The sdist, the wheel built from it, and both packages in an environment with torch alone."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("scriptable", "export", "pyproject.toml", "README.md", "LICENSE")
CLEAN = """
import sys, torch
import scriptable
from export.catalog import rows
for row in rows():
    torch.jit.script(row.build())
print(len(rows()), scriptable.__file__)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("package")
    for name in SOURCES:
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder / "dist"


def test_sdist_and_wheel_hold_what_is_needed(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    needed = {"scriptable/py.typed", "export/py.typed", "export/report/report.html.j2"}
    assert needed <= names
    modules = {str(p.relative_to(ROOT)) for p in ROOT.glob("scriptable/**/*.py")}
    modules |= {str(p.relative_to(ROOT)) for p in ROOT.glob("export/**/*.py")}
    assert modules <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {
        "scriptable",
        "export",
        "scriptable_speech",
    }
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert needed | modules | {"pyproject.toml", "README.md", "LICENSE"} <= inside


@pytest.fixture(scope="module")
def clean(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds torch, torchaudio, what they require, and the wheel.

    Downloading torch for each run would take gigabytes. The environment is a real one, without
    access to any other; the installed distributions that torch and torchaudio require, found by
    their metadata, are linked into it file by file, and nothing else is. pip then installs the
    wheel without an index, so that a requirement that is not among them fails.
    """
    home = tmp_path_factory.mktemp("clean")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(home)
    python = home / "bin" / "python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", where], text=True).strip())
    for name in required("torch", "torchaudio"):
        link(name, site)
    (wheel,) = built.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    command = [*pip, "install", "--quiet", "--no-index", str(wheel)]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=home, env=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


def required(*names: str) -> set[str]:
    """Distributions and all that they require here, with the extras that they ask for."""
    found: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in found:
            continue
        try:
            requires = map(Requirement, distribution(wanted.name).requires or [])
        except PackageNotFoundError:
            pytest.skip(f"{wanted.name}, which torch requires, is not installed: make setup")
        found.add(str(wanted))
        extras = [{"extra": extra} for extra in ("", *wanted.extras)]
        for needed in requires:
            if not needed.marker or any(map(needed.marker.evaluate, extras)):
                needed.marker = None
                waiting.append(needed)
    return {Requirement(name).name for name in found}


def link(name: str, site: Path) -> None:
    """Link the files of an installed distribution into another site-packages folder."""
    home = Path(sysconfig.get_path("purelib"))
    for file in distribution(name).files or []:
        source = Path(str(distribution(name).locate_file(file)))
        inside = os.path.relpath(source, home)
        if not inside.startswith("..") and "__pycache__" not in file.parts:
            (site / inside).parent.mkdir(parents=True, exist_ok=True)
            if not (site / inside).exists():
                (site / inside).symlink_to(source)


def run(python: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """In isolation: neither this folder nor this environment's variables are seen."""
    command = [str(python), "-I", "-W", "ignore", *arguments]
    return subprocess.run(command, cwd=python.parent, capture_output=True, text=True)


def test_every_row_scripts_with_torch_alone(clean: Path) -> None:
    ran = run(clean, "-c", CLEAN)
    assert ran.returncode == 0, ran.stderr[-3000:]
    first, modules = ran.stdout.splitlines()
    count, place = first.split()
    assert int(count) > 100
    assert Path(place).is_relative_to(clean.parent.parent)
    loaded = set(modules.split())
    assert not loaded & {"numpy", "typer", "executorch", "coremltools", "scipy", "pydantic"}


def test_a_command_names_the_extra_that_is_missing(clean: Path) -> None:
    ran = run(clean, "-m", "export", "list")
    assert ran.returncode == 2
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    assert "pip install 'scriptable-speech[cli]'" in ran.stderr
