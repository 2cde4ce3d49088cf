"""The README's Python runs, and its commands exist."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

import scriptable
from export.__main__ import app

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_python_blocks_run(block: str) -> None:
    exec(compile(block, "README.md", "exec"), {})


def test_commands_and_options_exist() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    used = re.findall(r"python -m export (\w+)([^\n`]*)", README)
    assert used
    for name, rest in used:
        options = {o for parameter in commands[name].params for o in parameter.opts}
        assert set(re.findall(r"(--[\w-]+)", rest)) <= options, f"{name}{rest}"


def test_names_in_tables_are_public() -> None:
    table = README.split("| heads |")[1].split("\n\n")[0]
    for name in re.findall(r"`([A-Za-z_0-9]+)`", table):
        assert hasattr(scriptable, name), name
