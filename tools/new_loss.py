"""``make new-loss NAME=CentreLoss``: lay down a head that already passes everything.

A function and a module with a formula that works, the public names, a catalogue row, and a test
against a reference. What is left to do is to put another formula in their place.
"""

import re
import subprocess
import sys
from pathlib import Path
from string import Template

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(__file__).resolve().parent / "templates"
MADE = {
    "loss.py.txt": "scriptable/heads/{file}.py",
    "row.py.txt": "export/catalog/heads/{file}.py",
    "test.py.txt": "tests/heads/test_{file}.py",
}


def main(arguments: list[str]) -> str:
    """Write the files; returns what to do next.

    Raises:
        ValueError: if the name cannot be used, or something of that name is there.
    """
    if len(arguments) != 1 or not re.fullmatch(r"[A-Z][A-Za-z0-9]*[a-z0-9]", arguments[0]):
        given = " ".join(arguments) or "nothing"
        raise ValueError(f"NAME: expected a class name such as CentreLoss, got {given}")
    names = names_of(arguments[0])
    public = ROOT / "scriptable" / "__init__.py"
    listed = public.read_text()
    paths = {template: ROOT / place.format_map(names) for template, place in MADE.items()}
    for path in paths.values():
        if path.exists():
            raise ValueError(f"NAME: {path.relative_to(ROOT)} is there already")
    for name in (names["module"], names["function"]):
        if f'"{name}"' in listed:
            raise ValueError(f"NAME: {name} is a public name already")
    for template, path in paths.items():
        path.write_text(Template((TEMPLATES / template).read_text()).substitute(names))
    public.write_text(with_names(listed, names))
    # Ruff puts the names where they belong.
    for command in (["check", "--quiet", "--fix", "--exit-zero"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, str(public), *map(str, paths.values())]
        subprocess.run(ruff, cwd=ROOT, check=True)
    made = "\n".join(f"  {path.relative_to(ROOT)}" for path in (*paths.values(), public))
    return (
        f"{names['module']} is in place and complete; put your formula into it:\n{made}\n"
        f"then: make check ENTRY={names['module']} && make lint"
    )


def names_of(module: str) -> dict[str, str]:
    """The class, its function and their file.

    Example:
        >>> names_of("AMCentre")
        {'module': 'AMCentre', 'function': 'am_centre_loss', 'file': 'am_centre_loss'}
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", module).lower()
    function = f"{words.removesuffix('_loss')}_loss"
    return {"module": module, "function": function, "file": function}


def with_names(text: str, names: dict[str, str]) -> str:
    """The public module with an import and two more names in ``__all__``."""
    line = f"from scriptable.heads.{names['file']} import {names['module']}, {names['function']}\n"
    entries = f'__all__ = [\n    "{names["module"]}",\n    "{names["function"]}",\n'
    text = text.replace("\n__version__", f"\n{line}\n__version__", 1)
    return text.replace("__all__ = [\n", entries, 1)


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
