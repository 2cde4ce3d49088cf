"""``make test-oldest``: the lowest versions that pyproject.toml declares, as requirements for pip.

``python tools/oldest_versions.py cli pytest hypothesis``: the library's own, those of the extra
``cli``, and of the extra ``dev`` the named ones.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def oldest(requirement: str) -> str:
    """The requirement pinned to its lowest minor version, in its newest repair.

    Raises:
        ValueError: if it has no lower bound.

    Example:
        >>> oldest("torch>=2.9"), oldest("executorch>=1.5,<1.6"), oldest("rich>=13")
        ('torch==2.9.*', 'executorch==1.5.*', 'rich==13.0.*')
    """
    found = re.fullmatch(r"([\w.-]+)>=(\d+)(?:\.(\d+))?(?:\.\d+)?(?:,.*)?", requirement)
    if not found:
        raise ValueError(f"{requirement}: expected a lower bound, as in torch>=2.9")
    return f"{found[1]}=={found[2]}.{found[3] or 0}.*"


def chosen(project: dict[str, dict[str, list[str]]], names: list[str]) -> list[str]:
    """The library's requirements, whole extras, and single packages of ``dev``.

    Raises:
        ValueError: if a name is neither.

    Example:
        >>> chosen({"dependencies": ["torch>=2.9"], "optional-dependencies": {
        ...     "cli": ["rich>=13"], "dev": ["pytest>=8", "ruff>=0.12"]}}, ["cli", "pytest"])
        ['torch>=2.9', 'rich>=13', 'pytest>=8']
    """
    extras = project["optional-dependencies"]
    dev = {re.split("[<>=]", text)[0]: text for text in extras["dev"]}
    found = list(project["dependencies"])
    for name in names:
        if name not in extras and name not in dev:
            raise ValueError(f"{name}: neither an extra nor a package of dev")
        found += extras.get(name) or [dev[name]]
    return found


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text())["project"]
    print("\n".join(map(oldest, chosen(project, sys.argv[1:]))))
