"""The ratios of every commit in a small file each, and what has become worse between two of them.

``build/bench/COMMIT.json`` holds ``commit``, ``processor``, ``versions`` and ``rows``: for each
comparison its ratio, the interval, and what it was compared with, version included. A commit's
file grows with every run; the tree's own state is ``COMMIT-changed`` while files differ from it.
"""

import json
import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers import with_version
from export.files import replacing

FOLDER = Path("build/bench")
KEPT = Path(__file__).parent / "results"
"""The files that are part of the repository."""
_WORSE = 1.1

Row = dict[str, Any]


def commit() -> str:
    """The commit that is checked out, marked where files that it tracks have changed."""
    try:
        name = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name}-changed" if changed else name


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def rows(document: Mapping[str, Any]) -> dict[str, Row]:
    """The comparisons of a run, by what they compare."""
    versions = document["versions"]
    found: dict[str, Row] = {}

    def add(record: Mapping[str, Any], what: str, beside: str | None, key: str = "ratio") -> None:
        value = record.get(key)
        if value is None or not beside:
            return
        parts = [record["name"], record.get("shape", ""), what]
        if record.get("device", "cpu") != "cpu":
            parts.append(record["device"])
        name = ", ".join(part for part in parts if part)
        interval = record.get(f"{key}_ci")
        found[f"{name} / {beside}"] = {
            "ratio": _short(value),
            "interval": None if interval is None else [_short(end) for end in interval],
            "beside": with_version(beside, versions),
        }

    for record in document.get("records", []):
        add(record, "forward and backward", record["peer"] or record["limit"])
    for record in document.get("forward", []):
        add(record, "forward", record["peer"] or record["limit"])
    for record in document.get("memory", []):
        add(record, "memory", record["reference"])
    for record in document.get("artefacts", []):
        add(record, record["backend"], "eager")
    for record in document.get("files", []):
        add(record, f"{record['backend']}, time", record["beside"])
        add(record, f"{record['backend']}, bytes", record["beside"], "bytes_ratio")
    return found


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def keep(document: Mapping[str, Any], folder: Path) -> Path:
    """Write the rows of a run under its commit, beside those of earlier runs of the same kind."""
    name = commit()
    head = {
        "commit": name,
        "processor": document["machine"]["processor"],
        "versions": document["versions"],
    }
    path = folder / f"{name}.json"
    earlier: dict[str, Row] = {}
    if path.is_file():
        before = load(path)
        if all(before.get(key) == value for key, value in head.items()):
            earlier = before["rows"]
    with replacing(path) as made:
        made.write_text(json.dumps({**head, "rows": earlier | rows(document)}, indent=1) + "\n")
    return path


def find(name: str, folder: Path = FOLDER) -> Path:
    """The file that a path or a commit, abbreviated or not, stands for.

    Raises:
        ValueError: if there is none, or more than one.
    """
    if Path(name).is_file():
        return Path(name)
    # What was measured here goes before what the repository keeps.
    kept = [*KEPT.glob("*.json"), *folder.glob("*.json")]
    found = {path.stem: path for path in kept if name and path.stem.startswith(name)}
    if name in found:
        return found[name]
    if len(found) != 1:
        places = f"{folder} and {KEPT.name}"
        raise ValueError(
            f"{name or 'commit'}: expected a file, or a commit with one result in {places}, "
            f"got {len(found) or 'none'}"
        )
    return next(iter(found.values()))


def load(path: Path) -> dict[str, Any]:
    """What :func:`keep` wrote.

    Raises:
        ValueError: if it is something else.
    """
    try:
        found = json.loads(path.read_text())
        versions = found["versions"].values()
        if all(map(_is_row, found["rows"].values())) and all(isinstance(v, str) for v in versions):
            return dict(found)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ValueError(f"{path}: not a file of ratios, as a run of the benchmarks keeps it")


def _is_row(row: Mapping[str, Any]) -> bool:
    ratio = row["ratio"]
    number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
    return number and 0 < ratio < math.inf and isinstance(row["beside"], str)


@dataclass(frozen=True)
class Change:
    """One comparison in two commits."""

    name: str
    old: Row
    new: Row

    @property
    def factor(self) -> float:
        """The new ratio over the old one: above 1 is worse."""
        return float(self.new["ratio"] / self.old["ratio"])

    @property
    def worse(self) -> bool:
        """Whether the ratio has grown by more than a tenth."""
        return self.factor > _WORSE


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """The comparisons that both commits have, the worst first."""
    shared = old["rows"].keys() & new["rows"].keys()
    found = [Change(name, old["rows"][name], new["rows"][name]) for name in sorted(shared)]
    return sorted(found, key=lambda change: -change.factor)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What else has changed between the two runs, and what only the older one measured."""
    said = []
    if old.get("processor") != new.get("processor"):
        said.append(f"processor: {old.get('processor')}, now {new.get('processor')}")
    before, after = old.get("versions", {}), new.get("versions", {})
    for package in sorted(before.keys() | after.keys()):
        if before.get(package) != after.get(package):
            said.append(f"{package}: {before.get(package)}, now {after.get(package)}")
    lost = len(old["rows"].keys() - new["rows"].keys())
    if lost:
        said.append(f"not measured again: {lost} of {len(old['rows'])} ratios")
    return said
