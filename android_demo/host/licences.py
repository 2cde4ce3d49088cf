"""The notices that the app shows: whose each part is, under what licence, and the licences' texts.

licences.py OUT.txt
"""

import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOTICES = ROOT / "android_demo" / "app" / "notices"
# In the order in which they are printed; the first is this project's own.
TEXTS = {
    "Apache-2.0": ROOT / "LICENSE",
    "LLVM-exception": NOTICES / "LLVM-exception.txt",
    "BSD-2-Clause": NOTICES / "BSD-2-Clause.txt",
    "BSD-3-Clause": NOTICES / "BSD-3-Clause.txt",
    "MIT": NOTICES / "MIT.txt",
    "MPL-2.0": NOTICES / "MPL-2.0.txt",
}


def components() -> list[dict[str, Any]]:
    """The table of what the app packs."""
    found: list[dict[str, Any]] = tomllib.loads((NOTICES / "components.toml").read_text())[
        "component"
    ]
    return found


def _notice(component: dict[str, Any]) -> str:
    owners = "\n".join(f"Copyright (c) {owner}" for owner in component["copyright"])
    return f"{component['name']}\n{component['licence']}\n{owners}"


def _unwrapped(text: str) -> str:
    """Paragraphs of one line each, which a narrow screen breaks itself."""
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return "\n\n".join(filter(None, paragraphs))


def notices() -> str:
    """The whole text."""
    found = components()
    used = {part for one in found for part in one["licence"].split(" WITH ")}
    unknown = used - TEXTS.keys()
    if unknown:
        raise ValueError(f"licence: expected one of {', '.join(TEXTS)}, got {sorted(unknown)}")
    texts = [
        f"{name}\n\n{_unwrapped(path.read_text())}" for name, path in TEXTS.items() if name in used
    ]
    return "\n\n\n".join(["\n\n".join(map(_notice, found)), *texts]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(notices())
