"""Write the matrix in parity-report.md: python docs/matrix.py build/parity.json."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import scriptable

PAGE = Path(__file__).resolve().parent / "parity-report.md"
_FRONT = "front ends, encoders, pipelines"
FAMILIES = {
    "frontend": _FRONT,
    "encoders": _FRONT,
    "pipeline": _FRONT,
    "cached": _FRONT,
    "streaming": _FRONT,
    "heads": "heads",
    "scoring": "scores",
    "losses": "losses over frames",
    "losses.separation": "separation",
    "losses.sequence": "CTC, transducer",
}
"""By the folder of the library that an entry lies in; the longest that fits."""


def family(entry: str) -> str:
    """The line of the table that an entry belongs to.

    Raises:
        ValueError: if the entry is in no folder of the table.
    """
    module = getattr(scriptable, entry).__module__.removeprefix("scriptable.")
    fitting = [folder for folder in FAMILIES if f"{module}.".startswith(f"{folder}.")]
    if not fitting:
        raise ValueError(f"{entry}: scriptable.{module} is in no folder of docs/matrix.py")
    return FAMILIES[max(fitting, key=len)]


def matrix(records: list[dict[str, Any]]) -> str:
    """Families × backends: how many cells pass, and the worst error as a share of tolerance."""
    backends = list(dict.fromkeys(r["backend"] for r in records if r["status"] != "not_run"))
    columns = {b: [r for r in records if r["backend"] == b] for b in backends}
    lines = [["cells that pass", *(f"`{b}`" for b in backends)], ["---"] * (len(backends) + 1)]
    for name in dict.fromkeys(FAMILIES.values()):
        cells = [_passing([r for r in c if family(r["entry"]) == name]) for c in columns.values()]
        if any(cells):
            lines.append([name, *cells])
    lines.append(["largest error / tolerance", *map(_share, columns.values())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _passing(records: list[dict[str, Any]]) -> str:
    cells: dict[tuple[str, str, str], list[bool]] = {}
    for r in records:
        cells.setdefault((r["entry"], r["variant"], r["method"]), []).append(r["status"] == "pass")
    passing = sum(map(all, cells.values()))
    if not cells:
        return ""
    return f"✓ {passing}" if passing == len(cells) else f"✗ {passing} of {len(cells)}"


def _share(records: list[dict[str, Any]]) -> str:
    share = max((r["max_abs_error"] / r["tolerance"] for r in records if r["tolerance"]), default=0)
    return f"{share:.1%}"


def main() -> None:
    """Replace what stands between the page's markers."""
    document = json.loads(Path(sys.argv[1]).read_text())
    text = f"<!-- matrix: start -->\n{matrix(document['records'])}\n<!-- matrix: end -->"
    PAGE.write_text(
        re.sub(r"<!-- matrix: start -->.*<!-- matrix: end -->", text, PAGE.read_text(), flags=re.S)
    )


if __name__ == "__main__":
    main()
