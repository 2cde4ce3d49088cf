"""The command line as a newcomer meets it: help with examples, completion, missing packages."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from artefact_helpers import Command, assert_refused, voice, write_wav

from export.backends import all_backends
from export.commands import app

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
TWO_HEADS = """
import torch
from scriptable import register_loss

class Distance(torch.nn.Module):
    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        self.centre = torch.nn.Parameter(torch.ones(embedding_dim))

    def forward(self, embeddings, labels):
        return (labels * -self.score(embeddings)).mean()

    @torch.jit.export
    def score(self, embeddings):
        return -(embeddings - self.centre).square().sum(1)

@register_loss("First")
class First(Distance):
    pass

@register_loss("Second")
class Second(Distance):
    pass
"""


def run(*arguments: str, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """``scriptable``, as the console script of the installed package runs it."""
    script = f"import sys; sys.argv[0] = '/bin/scriptable'; {code}\n"
    script += "from export.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_it_takes(name: str) -> None:
    help_text = " ".join((COMMANDS[name].help or "").split())
    examples = help_text.split("Example: ")[1:]
    assert examples, f"{name}: no example in its help"
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    for example in examples:
        words = shlex.split(example)
        assert words[:2] == ["scriptable", name]
        assert {word for word in words if word.startswith("--")} <= known, example


def test_the_help_of_all_has_an_example_too(command: Command) -> None:
    ran = command("--help")
    assert "Example: scriptable demo" in ran.out
    assert all(name in ran.out for name in COMMANDS)


def completed(*words: str) -> list[str]:
    environment = {"_SCRIPTABLE_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words)}
    ran = run(COMP_CWORD=str(len(words) - 1), **environment)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_completion_knows_commands_options_and_backends() -> None:
    assert completed("scriptable", "m") == ["metrics", "model"]
    assert completed("scriptable", "parity", "--mod") == ["--module"]
    names = completed("scriptable", "parity", "--backend", "")
    assert sorted(names) == sorted(all_backends())
    assert completed("scriptable", "model", "--backend", "executorch_x") == ["executorch_xnnpack"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown_and_installed(shell: str, tmp_path: Path) -> None:
    # What typer asks to find out which shell it runs in; there is none under a test.
    code = f"import shellingham; shellingham.detect_shell = lambda *_: ({shell!r}, {shell!r})"
    shown = run("--show-completion", code=code)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "_SCRIPTABLE_COMPLETE" in shown.stdout and "export" not in shown.stdout.split()
    ran = run("--install-completion", code=code, HOME=str(tmp_path), ZDOTDIR=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "_SCRIPTABLE_COMPLETE" in written


CLI = ("typer", "rich", "yaml", "soundfile", "matplotlib", "jinja2", "safetensors", "pydantic")


@pytest.mark.parametrize("command", ["list", "model", "score", "demo"])
def test_with_torch_alone_every_command_says_what_to_install(command: str) -> None:
    blocked = f"sys.modules.update(dict.fromkeys({(*CLI, 'executorch', 'coremltools')!r}))"
    ran = run(command, code=blocked)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "error: typer is not installed: pip install 'scriptable-speech[cli]'\n"


def test_a_package_that_every_command_needs_is_one_line() -> None:
    ran = run("list", code="sys.modules['pydantic'] = None")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "error: pydantic is not installed: pip install 'scriptable-speech[cli]'\n"


def blocked(patch: pytest.MonkeyPatch, package: str) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        patch.setitem(sys.modules, name, None)
    patch.setitem(sys.modules, package, None)


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("yaml", ("model", "scorer.yaml", "--out", "made")),
        ("jinja2", ("model", "scorer.yaml", "--out", "made")),
        ("jinja2", ("parity", "--entry", "MSELoss", "--html", "made/page.html")),
        ("jinja2", ("demo", "--out", "made")),
        ("matplotlib", ("demo", "--out", "made")),
    ],
)
def test_a_missing_package_is_one_line_before_the_work(
    package: str,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: Command,
) -> None:
    blocked(monkeypatch, package)
    (tmp_path / "scorer.yaml").write_text("encoder: 1\nloss: 1\n")
    monkeypatch.chdir(tmp_path)
    ran = command(*arguments)
    assert_refused(ran, f"{package} is not installed: pip install 'scriptable-speech[cli]'")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("package", "suffix", "extra"),
    [
        ("executorch", ".xnnpack.pte", "executorch"),
        ("coremltools", ".mlpackage", "coreml"),
        ("onnxruntime", ".onnx", "onnx"),
        ("onnx", ".onnx", "onnx"),
    ],
)
def test_an_artefact_whose_runtime_is_missing_is_one_line(
    package: str,
    suffix: str,
    extra: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: Command,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / f"a{suffix}").write_text("")
    ran = command("score", tmp_path / f"a{suffix}", write_wav(tmp_path / "a.wav", voice(4000)))
    assert_refused(ran, f"{package} is not installed: pip install 'scriptable-speech[{extra}]'")


def test_a_file_called_export_beside_the_users_does_not_hide_ours(tmp_path: Path) -> None:
    (tmp_path / "export.py").write_text("raise SystemExit('the user\\'s own export.py ran')\n")
    (tmp_path / "own.py").write_text(TWO_HEADS)
    script = shutil.which("scriptable", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("the console script is not installed: pip install -e .")
    ran = subprocess.run(
        [script, "parity", "--module", "own.py", "--backend", "trace", "--jobs", "2"],
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "8 pass" in ran.stdout
