"""Blocks of code in Markdown pages: Python and commands run, configurations are written and read.

A block whose first line is ``# file: NAME`` becomes that file in the page's folder, for the
commands after it. Output below a command is compared, ``...`` standing for anything. What would
train a model or install something is not run but parsed: options, types, make targets and extras
must exist. What names no backend runs on one here, as the battery runs it on all.
"""

import doctest
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import yaml
from artefact_helpers import Ran
from sybil import Document, Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, SkipParser
from typer.main import get_command

from export.commands import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Their commands need a phone, an SDK or a cross-compiler: make test-device runs what it can.
DEVICE_PAGES = sorted((ROOT / "android_demo").rglob("README.md"))
LANGUAGES = {"python", "console", "yaml", "text"}
# Of web, what npm installs would have to be there.
TRAINS = {"demo", "web"}
# Options that name other machines.
ELSEWHERE = {"--ray-address"}
OUTSIDE = {"git", "cd", "cp", "adb", "sudo", "export", "open", "xcrun", "./gradlew"}
Run = Callable[..., Ran]

_FILE = re.compile(r"# file: (\S+)\n")
_python = PythonEvaluator()


def parse(page: Path, run: Run) -> Document:
    """A page whose blocks evaluate in the current folder, commands by ``run``."""
    parsers = [
        CodeBlockParser("python", _run_python),
        CodeBlockParser("yaml", _read_yaml),
        CodeBlockParser("console", _run_console),
        SkipParser(),
    ]
    document = Sybil(parsers).parse(page)
    # As in a script: TorchScript asks a function for its module.
    document.namespace |= {"__name__": "__main__", "_run": run}
    return document


def _run_python(example: Example) -> None:
    if not _written(example):
        _python(example)


def _read_yaml(example: Example) -> None:
    assert yaml.safe_load(example.parsed) is not None
    _written(example)


def _written(example: Example) -> bool:
    found = _FILE.match(example.parsed)
    if found:
        Path(found[1]).write_text(example.parsed)
    return found is not None


def _run_console(example: Example) -> None:
    for line, output in commands(example.parsed):
        ran = _run_command(line, example.namespace["_run"])
        if ran is None:
            continue
        expected = 2 if output.startswith("error:") else 0
        assert ran.code == expected, f"{line}: exit code {ran.code}\n{ran.out}{ran.err}"
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        said = ran.out + ran.err
        matches = doctest.OutputChecker().check_output(output, said, flags)
        assert not output or matches, f"{line}: printed\n{said}"


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with the output shown below it."""
    found: list[tuple[str, str]] = []
    for line in block.replace("\\\n", " ").splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].strip(), ""))
        else:
            assert found, f"a console block begins with '$ ', not with: {line}"
            found[-1] = (found[-1][0], found[-1][1] + line)
    return found


def _run_command(line: str, run: Run) -> Ran | None:
    words = shlex.split(line, comments=True)
    while re.fullmatch(r"\w+=\S*", words[0]):
        words = words[1:]
    program, rest = words[0], words[1:]
    if program == "scriptable":
        return _export(rest, run)
    if program.removeprefix(".venv/bin/") in ("python", "torchrun"):
        if rest[:2] == ["-m", "export"]:
            return _export(rest[2:], run)
        scripts = [word for word in rest if word.endswith(".py")]
        assert scripts and all((ROOT / script).is_file() for script in scripts), line
    elif program == "make":
        tried = subprocess.run(["make", "-n", *rest], cwd=ROOT, capture_output=True, text=True)
        assert tried.returncode == 0, f"{line}: {tried.stderr}"
    elif program.removeprefix(".venv/bin/") == "pip":
        _check_extras(line)
    else:
        assert program in OUTSIDE, f"unknown program in a console block: {line}"
    return None


def _export(words: list[str], run: Run) -> Ran | None:
    group = get_command(app)
    with group.make_context("export", list(words), resilient_parsing=True) as context:
        name, command, rest = group.resolve_command(context, list(words))  # type: ignore[attr-defined]
        command.make_context(name, rest, parent=context).close()
    everything = name == "parity" and not {"--entry", "--module", "--artifact"} & set(words)
    if name in TRAINS or everything or ELSEWHERE & set(words):
        return None
    if name in ("parity", "model") and not {"--backend", "--artifact"} & set(words):
        words = [*words, "--backend", "torchscript"]
    return run(*words)


def _check_extras(line: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"\[([\w,]+)\]", line):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys(), line
