"""``make new-loss`` and ``make check``, in a copy of the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = "tests/export/parity/test_catalogue.py"


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without what was built, and a head laid down in it."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("scriptable", "export", "tests", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    ran = run(folder, "tools/new_loss.py", "CentreLoss")
    assert ran.returncode == 0, ran.stderr
    assert "make check ENTRY=CentreLoss" in ran.stdout
    assert "tests/heads/test_centre_loss.py\n" in ran.stdout
    return folder


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_laid_down_passes_lint(copied: Path) -> None:
    for arguments in (("format", "--check"), ("check",)):
        made = ("scriptable", "export", "tests/heads/test_centre_loss.py")
        ran = run(copied, "-m", "ruff", *arguments, *made)
        assert ran.returncode == 0, ran.stdout


def test_what_is_laid_down_is_complete_and_proven(copied: Path) -> None:
    names = ("tests/project/test_layout.py", "tests/heads/test_centre_loss.py")
    ran = run(copied, "-m", "pytest", "-q", *names)
    assert ran.returncode == 0, ran.stdout
    # The saved files are left to make check: they take as long as the rest of this file.
    names = ("tests", "scriptable", "-k", "not saved_files")
    ran = run(copied, "-m", "pytest", "-v", "--entry", "CentreLoss", *names)
    assert ran.returncode == 0, ran.stdout
    kept = [line for line in ran.stdout.splitlines() if "PASSED" in line]
    assert all("CentreLoss" in line or "centre_loss" in line for line in kept)
    assert sum(f"{CATALOGUE}::" in line for line in kept) == 12, ran.stdout
    assert sum("scriptable/heads/centre_loss.py::" in line for line in kept) == 2
    assert sum("tests/heads/test_centre_loss.py::" in line for line in kept) == 5


def test_a_centre_that_does_not_train_fails(copied: Path) -> None:
    """What only a look at the parameters can see."""
    path = copied / "scriptable" / "heads" / "centre_loss.py"
    right = path.read_text()
    path.write_text(right.replace("- self.centre\n", "- self.centre.detach()\n"))
    try:
        names = ("--entry", "CentreLoss", CATALOGUE, "-k", "not saved_files")
        ran = run(copied, "-m", "pytest", "-q", *names)
    finally:
        path.write_text(right)
    assert ran.returncode == 1, ran.stdout
    failed = {
        line.split("::")[1].split("[")[0] for line in ran.stdout.splitlines() if "FAILED" in line
    }
    assert failed == {"test_gradient_is_the_derivative", "test_training_moves_every_parameter"}
    assert "centre: the loss does not reach it" in ran.stdout


@pytest.mark.parametrize(
    ("name", "names"),
    [("P2SGrad", ("P2SGrad", "p2sgrad_loss")), ("MSELoss", ("MSELoss", "mse_loss"))],
)
def test_an_entry_brings_the_test_files_that_name_it(name: str, names: tuple[str, str]) -> None:
    ran = run(ROOT, "-m", "pytest", "-q", "--collect-only", "--entry", name, "tests", "scriptable")
    assert ran.returncode == 0, ran.stdout
    files = {line.partition("::")[0] for line in ran.stdout.splitlines() if "::" in line}
    own = {file for file in files if file.startswith("tests/") and file != CATALOGUE}
    assert own and CATALOGUE in files
    texts = [(ROOT / file).read_text() for file in own]
    assert all(any(name in text for name in names) for text in texts)
    assert not any(file.startswith(("tests/export", "tests/project")) for file in own)


def test_names_that_cannot_be_used_are_one_line(copied: Path) -> None:
    said = {
        "CentreLoss": "NAME: scriptable/heads/centre_loss.py is there already",
        "AMSoftmax": "NAME: AMSoftmax is a public name already",
        "OCSoftmaxLoss": "NAME: oc_softmax_loss is a public name already",
        "centre": "NAME: expected a class name such as CentreLoss, got centre",
    }
    for name, words in said.items():
        ran = run(copied, "tools/new_loss.py", name)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr == f"error: {words}\n"


def test_an_entry_that_is_not_there_is_one_line() -> None:
    ran = run(ROOT, "-m", "pytest", "-q", "--entry", "AMSoftmx", CATALOGUE)
    assert ran.returncode == 4
    assert "did you mean 'AMSoftmax'" in ran.stderr + ran.stdout


def test_make_says_which_variable_is_missing() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed: apt-get install make")
    for target, name in (("check", "ENTRY"), ("new-loss", "NAME")):
        ran = subprocess.run(
            ["make", "--dry-run", target, f"{name}="],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 2
        assert f"{name}: say" in ran.stderr
