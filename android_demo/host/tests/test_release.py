"""Versions, the runtime that was fetched, and what the README promises of the library."""

import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import check_apk
import pytest

ROOT = Path(__file__).resolve().parents[3]
ANDROID = ROOT / "android_demo"
AARS = ROOT / "build" / "android" / "aars"


def _run(*command: object, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([], "0.7.1 7001"),
        (["v1.2.3"], "1.2.3 1002003"),
        (["v1.2.3", "nightly", "other-v9.9.9"], "1.2.3 1002003"),
    ],
)
def test_the_version_is_the_tags(tmp_path: Path, tags: list[str], expected: str) -> None:
    host = tmp_path / "android_demo" / "host"
    host.mkdir(parents=True)
    shutil.copy(ANDROID / "host" / "version.sh", host)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.7.1"\n')
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "One"]):
        assert _run(*git, *command, cwd=tmp_path).returncode == 0
    for tag in tags:
        assert _run(*git, "tag", "-a", "-m", tag, tag, cwd=tmp_path).returncode == 0
    assert _run(host / "version.sh", cwd=tmp_path).stdout.strip() == expected
    if tags:
        assert (
            _run(*git, "commit", "-q", "--allow-empty", "-m", "Two", cwd=tmp_path).returncode == 0
        )
        later = _run(host / "version.sh", cwd=tmp_path).stdout.split()
        assert later[0].startswith("1.2.3-1-g")
        assert later[1] == "1002003"


def test_the_runtime_asked_of_maven_is_the_exporters() -> None:
    catalogue = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())
    pins = (ROOT / "constraints.txt").read_text()
    assert f"\nexecutorch=={catalogue['versions']['executorch']}\n" in pins


def test_a_runtime_of_ones_own_comes_first(tmp_path: Path) -> None:
    if not (AARS / "fbjni.aar").exists():
        pytest.skip("no libraries: make test-android fetches them")
    for name in ("fbjni.aar", "nativeloader.jar"):
        shutil.copy(AARS / name, tmp_path)
    own = tmp_path / "own.aar"
    with zipfile.ZipFile(own, "w") as aar:
        aar.writestr("classes.jar", "classes")
    fetch = ANDROID / "host" / "fetch.sh"
    ran = _run(fetch, tmp_path, cwd=tmp_path, EXECUTORCH_AAR=str(own))
    assert ran.returncode == 0, ran.stderr
    assert "the runtime is own.aar, SHA-256" in ran.stderr
    assert (tmp_path / "executorch" / "classes.jar").read_text() == "classes"
    assert "executorch=\n" in (tmp_path / "runtime.properties").read_text()
    missing = _run(fetch, tmp_path, cwd=tmp_path, EXECUTORCH_AAR="gone.aar")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


@pytest.mark.skipif(shutil.which("readelf") is None, reason="no readelf: apt-get install binutils")
@pytest.mark.parametrize("name", ["executorch-android.aar", "fbjni.aar"])
def test_fetched_libraries_fit_pages_of_16_kb(name: str, tmp_path: Path) -> None:
    if not (AARS / name).exists():
        pytest.skip("no runtime: make test-android fetches it")
    found = []
    with zipfile.ZipFile(AARS / name) as aar:
        libraries = [
            one for one in aar.namelist() if re.match(r"jni/(arm64-v8a|x86_64)/.+\.so", one)
        ]
        for one in libraries:
            path = Path(aar.extract(one, tmp_path))
            found += check_apk.library_faults(path, {"libfbjni.so", "libc++_shared.so"})
    assert {one.split("/")[1] for one in libraries} == check_apk.ABIS
    assert found == []


def test_the_readme_shows_the_lines_that_a_test_runs() -> None:
    blocks = re.findall(r"```kotlin\n(.+?)```", (ANDROID / "README.md").read_text(), re.DOTALL)
    tests = ANDROID / "scorer" / "src" / "test" / "kotlin" / "org" / "scriptable" / "scorer"
    tested = (tests / "GoldenTest.kt").read_text()
    lines = [line.strip() for line in blocks[1].splitlines()]
    assert len(lines) == 5
    assert [line for line in lines if line not in tested] == []
