"""Print the table and write ``build/bench.json``: ``python -m benchmarks [--quick]``.

One thread, forward and backward, interleaved rounds. A case whose values or gradients differ from
the peer's is an error (exit code 1), not a time. glibc's allocator is told to keep freed memory
(``MALLOC_TRIM_THRESHOLD_`` and ``MALLOC_MMAP_THRESHOLD_``), since page faults would otherwise
dominate tensors above 5 MB; the process starts itself again with these set.
"""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.cases import CASES, Case, PeerMissing
from benchmarks.measure import compare, disagreement
from export.contract import versions

_QUIET = {"MALLOC_TRIM_THRESHOLD_": "4294967296", "MALLOC_MMAP_THRESHOLD_": "4294967296"}
_AGREE = 1e-4


def main(
    quick: Annotated[bool, typer.Option(help="Fewer rounds, under two minutes.")] = False,
    out: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("build/bench.json"),
) -> None:
    """Measure every case against its peer."""
    if any(os.environ.get(name) != value for name, value in _QUIET.items()):
        os.execve(
            sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]], _environment()
        )
    torch.set_num_threads(1)
    table = Table(title="forward + backward, one thread", header_style="bold")
    for column in ("loss", "shape", "ours ms", "peer", "peer ms", "ratio", "95 %", "MB", "peer MB"):
        table.add_column(column)
    records, wrong = [], 0
    for case in CASES:
        record = _measure(case, 15 if quick else 60)
        records.append(record)
        wrong += record.get("error", "").startswith("differs")
        table.add_row(*_cells(record))
    document = {"versions": {**versions(), "machine": platform.platform()}, "records": records}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(document, indent=1) + "\n")
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    raise typer.Exit(1 if wrong else 0)


def _environment() -> dict[str, str]:
    return {**os.environ, **_QUIET}


def _measure(case: Case, rounds: int) -> dict[str, Any]:
    record: dict[str, Any] = {"name": case.name, "shape": case.shape, "device": "cpu"}
    record["peer"] = case.peer
    try:
        ours, peer = case.make()
    except PeerMissing as missing:
        return {**record, "error": str(missing)}
    apart = disagreement(ours, peer)
    if not apart <= _AGREE:
        return {**record, "error": f"differs from the peer by {apart:.2g}"}
    found = compare(ours, peer, rounds)
    return {
        **record,
        "ours_ms": found.ours_ms,
        "peer_ms": found.peer_ms,
        "ratio": found.ratio,
        "ratio_ci": list(found.ratio_ci),
        "ours_mb": found.ours_mb,
        "peer_mb": found.peer_mb,
        "target": case.target,
        "met": found.ratio_ci[0] <= case.target,
    }


def _cells(record: dict[str, Any]) -> list[str]:
    if "error" in record:
        return [record["name"], record["shape"], "", record["peer"], record["error"]]
    low, high = record["ratio_ci"]
    return [
        record["name"],
        record["shape"],
        f"{record['ours_ms']:.3f}",
        record["peer"],
        f"{record['peer_ms']:.3f}",
        f"{record['ratio']:.2f}",
        f"{low:.2f}-{high:.2f}",
        f"{record['ours_mb']:.2f}",
        f"{record['peer_mb']:.2f}",
    ]


if __name__ == "__main__":
    typer.run(main)
