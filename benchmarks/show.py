"""Everything that was measured, on the terminal."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from benchmarks.artefacts import SCORER
from benchmarks.table import (
    console,
    figure,
    interval,
    missed_memory_table,
    records_table,
    table,
    verdict,
)

_LONGEST = 8


def show(document: dict[str, Any]) -> None:
    """Print the tables of what there is."""
    out = console()
    versions = document["versions"]
    tables: list[Table | None] = [
        records_table("forward, without a gradient", document["forward"], versions),
        records_table("forward + backward, one thread", document["records"], versions),
        missed_memory_table(document["memory"]),
    ]
    for key, make in _FURTHER.items():
        if document.get(key):
            tables.append(make(document[key]))
    for made in tables:
        if made is not None and made.row_count:
            out.print(made)
    found = document["import"]
    out.print(
        f"import scriptable: {found['scriptable_s']:.3f} s beyond import torch "
        f"({found['torch_s']:.2f} s), target {found['target_s']:g} s: {verdict(found['met'])}"
    )
    for kind, colour in (("missing", "yellow"), ("errors", "red")):
        for row in document[kind]:
            text = f"{row['name']} {row['shape']} ({row['device']}): {row['reason']}"
            out.print(text, style=colour, markup=False)


def scaling_table(curves: Sequence[dict[str, Any]]) -> Table:
    """Exponents beside the expected ones."""
    rows = [
        [
            c["name"],
            c["variable"],
            c["fixed"],
            ", ".join(f"{size:g}" for size in c["sizes"]),
            ", ".join(figure(ms) for ms in c["ms"]),
            f"{c['slope']:.2f}",
            f"{c['expected']:g}",
        ]
        for c in curves
    ]
    columns = ("loss", "over", "at", "sizes", "ms", "exponent", "expected")
    return table("forward + backward over size; the exponent is of the larger half", columns, rows)


def lowering_table(lowered: Sequence[dict[str, Any]]) -> Table:
    """Graph sizes and times to lower."""
    rows = [
        [
            r["name"],
            r["method"],
            str(r.get("ops", "")),
            figure(r.get("export_s")),
            figure(r.get("lower_s")),
            str(r.get("bytes", r.get("reason", ""))),
        ]
        for r in lowered
    ]
    columns = ("entry", "method", "ops", "export s", "lower s", "bytes of .pte")
    return table("graphs, exported and lowered to portable kernels", columns, rows)


def artefacts_table(records: Sequence[dict[str, Any]]) -> Table:
    """Files at work."""
    rows = [
        [
            r["name"],
            r["backend"],
            str(r.get("bytes", "")),
            figure(r.get("load_ms")),
            figure(r.get("p50_ms")),
            figure(r.get("p95_ms")),
            figure(r.get("eager_ms")),
            figure(r.get("ratio")) or r.get("reason") or r.get("error", ""),
            interval(r.get("ratio_ci")),
            verdict(r.get("met")),
            figure(r.get("peak_mb")),
            "" if r.get("delegated") is None else f"{100 * r['delegated']:.0f} %",
        ]
        for r in records
    ]
    columns = ("artefact", "backend", "bytes", "load ms", "p50 ms", "p95 ms", "eager ms", "ratio")
    return table("artefacts, one thread", (*columns, "95 %", "met", "peak MB", "delegated"), rows)


def files_table(records: Sequence[dict[str, Any]]) -> Table:
    """Front ends as files, with their targets for time and size."""
    rows = [
        [
            r["name"],
            r["shape"],
            r["backend"],
            r["beside"],
            figure(r.get("ms")),
            figure(r.get("its_ms")),
            figure(r.get("ratio")) or r.get("reason") or r.get("error", ""),
            interval(r.get("ratio_ci")),
            f"≤ {r['target']:g}" if r.get("target") else "",
            verdict(r.get("met")),
            str(r.get("bytes", "")),
            figure(r.get("bytes_ratio")),
            f"≤ {r['size_target']:g}" if r.get("size_target") else "",
            verdict(r.get("size_met")),
        ]
        for r in records
    ]
    columns = ("file", "shape", "backend", "beside", "ms", "its ms", "ratio", "95 %", "target")
    more = ("met", "bytes", "of its", "target", "met")
    return table("front ends as files, 4 s of audio, one thread", (*columns, *more), rows)


def profile_table(profiles: Sequence[dict[str, Any]]) -> Table:
    """The operators of the scorer that take longest."""
    rows = []
    for one in profiles:
        if one["name"] != SCORER:
            continue
        total = sum(operator["ms"] for operator in one["operators"])
        longest = sorted(one["operators"], key=lambda operator: -operator["ms"])[:_LONGEST]
        for operator in longest:
            share = f"{100 * operator['ms'] / total:.0f} %"
            place = "delegate" if operator["delegated"] else "portable"
            rows.append([one["backend"], operator["name"], place, figure(operator["ms"]), share])
    columns = ("backend", "operator", "runs in", "ms", "share")
    return table("the scorer's longest operators, by ExecuTorch's trace", columns, rows)


def training_table(steps: Sequence[dict[str, Any]]) -> Table:
    """Modes of training steps."""
    rows = []
    for step in steps:
        cells = [step["name"], step["shape"], figure(step["modes"]["eager"].get("ms"))]
        for mode in ("script", "compile"):
            found = step["modes"][mode]
            cells += [
                figure(found.get("ratio")) or found.get("error", ""),
                interval(found.get("ratio_ci")),
                figure(found.get("ready_s")),
            ]
        rows.append([*cells, step["take"]])
    columns = ("head", "shape", "eager ms", "script", "95 %", "ready s")
    return table(
        "training steps; script and compile as ratios to eager",
        (*columns, "compile", "95 %", "ready s", "take"),
        rows,
    )


_FURTHER = {
    "files": files_table,
    "scaling": scaling_table,
    "lowering": lowering_table,
    "artefacts": artefacts_table,
    "profile": profile_table,
    "training": training_table,
}
