"""The measurements in ``docs/performance.md``, from ``build/bench.json``."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bounds import bound
from benchmarks.peers import with_version
from benchmarks.plot import plot_scaling
from benchmarks.table import figure
from export.files import replacing

START, END = "<!-- performance: start -->", "<!-- performance: end -->"
GPU_START, GPU_END = "<!-- gpu: start -->", "<!-- gpu: end -->"
FRONT_START, FRONT_END = "<!-- front ends: start -->", "<!-- front ends: end -->"
PLOT = "time-over-size.svg"
_SCORER = "spoof scorer"
_HEADS_SHOWN = ("executorch_xnnpack", "onnx")
_NO_SLOWER = 1.05


def fill(source: Path, target: Path) -> None:
    """Replace what stands between the markers of ``target``: a GPU's rows have their own.

    Raises:
        ValueError: if the measurements cannot be read, or the markers are missing.
    """
    try:
        document = json.loads(source.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{source}: {error}") from error
    text = target.read_text()
    if document.get("files"):
        text = _between(text, (FRONT_START, FRONT_END), frontends(document), target)
    on_gpu = [record for record in document["records"] if record["device"] == "cuda"]
    # A run of some rows knows nothing of the others.
    if on_gpu:
        text = _between(text, (GPU_START, GPU_END), gpu_section(document, on_gpu), target)
    elif not document.get("only"):
        text = _between(text, (START, END), section(document), target)
    elif not document.get("files"):
        raise ValueError(f"{source}: neither a full run nor one of the front ends")
    if document.get("scaling"):
        plot_scaling(document["scaling"], target.parent / PLOT)
    with replacing(target) as made:
        made.write_text(text)


def _between(text: str, markers: tuple[str, str], new: str, target: Path) -> str:
    start, end = markers
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise ValueError(f"{target}: expected the markers {start} and {end} once, in this order")
    before, rest = text.split(start)
    return f"{before}{start}\n{new}\n{end}{rest.split(end)[1]}"


def gpu_section(document: dict[str, Any], records: Sequence[dict[str, Any]]) -> str:
    """What was measured on a graphics processor, in Markdown; the targets are a processor's."""
    versions = document["versions"]
    shown = ", ".join(with_version(name, versions) for name in ("torch", "torchaudio"))
    rows = _ratios([{**record, "target": None} for record in records], versions)
    return (
        f"Measured by `python -m benchmarks --device cuda` on one {document['machine']['gpu']}, "
        f"with {shown}; the time is the clock's, the memory the highest sum of allocations. "
        "Losses of this size keep such a device busy for microseconds, so that the ratio is that "
        "of the calls: whoever masks the padding before the arithmetic makes more of them. Where "
        "there is work to do, with a million classes or many permutations, it is the ratio of the "
        "work. The transducer takes two calls for each of the 130 diagonals of its lattice; "
        f"torchaudio has a kernel of its own for it.\n\n{rows}"
    )


def section(document: dict[str, Any]) -> str:
    """The section in Markdown: what has a target of its own, the rest folded away."""
    records, versions = document["records"], document["versions"]
    chosen = [record for record in records if record["target"] not in (None, _NO_SLOWER)]
    parts = [_introduction(document)]
    if chosen:
        parts.append(_ratios(chosen, versions))
    parts.append(_folded("Every loss compared with its counterpart", _ratios(records, versions)))
    if missed := _missed(document):
        parts.append(_folded("Missed targets, and what bounds them", missed))
    if document.get("scaling"):
        plot = f"![Time over size, on logarithmic axes; dashed: the expected slope]({PLOT})\n\n"
        body = plot + _scaling(document["scaling"])
        parts.append(_folded("Time over size, forward and backward", body))
    if document.get("artefacts"):
        title = (
            "The scorer (4 s of audio) in every format, and each head's score with XNNPACK and ONNX"
        )
        parts.append(_folded(title, _artefacts(document["artefacts"])))
    if document.get("training"):
        parts.append(
            _folded("Training steps: eager, script or compile", _training(document["training"]))
        )
    return "\n\n".join(parts)


def _folded(title: str, body: str) -> str:
    """A part that opens on a click; the empty lines let Markdown be read inside."""
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"


def _introduction(document: dict[str, Any]) -> str:
    machine, versions = document["machine"], document["versions"]
    shown = ", ".join(f"{k} {v}" for k, v in versions.items() if v != "not installed")
    loaded = document["import"]
    return (
        f"Measured by `make bench` on {machine['processor']}, one thread of {machine['cores']} "
        f"cores, with {shown}. A ratio is our processor time over theirs, forward and backward: "
        "below 1, we are faster. It is the median over interleaved rounds, with a 95 % bootstrap "
        "interval. Values and gradients are compared first; where they disagree, the benchmark "
        "fails. glibc is set to keep freed memory (`MALLOC_TRIM_THRESHOLD_`, "
        "`MALLOC_MMAP_THRESHOLD_`), because page faults would dominate otherwise. `import "
        f"scriptable` takes {loaded['scriptable_s']:.2f} s on top of `import torch`."
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def frontends(document: dict[str, Any]) -> str:
    """Front ends as files, and in eager mode without a gradient, each with its targets."""
    versions = document["versions"]
    forward = [record for record in document.get("forward", []) if record["target"] is not None]
    rows = []
    for record in document["files"]:
        if "bytes" not in record:
            continue
        beside = with_version(record["beside"], versions)
        its = " ".join([figure(record.get("its_ms")), "ms," if "ms" in record else ""]).strip()
        rows.append(
            [
                f"`{record['name']}`, {record['shape']}",
                f"`{record['backend']}`",
                figure(record.get("ms")),
                f"{record['bytes'] / 1000:.0f}",
                f"{beside}: {its} {record['its_bytes'] / 1000:.0f} kB",
                _with_interval(record),
                _target(record.get("target"), record.get("met")),
                figure(record["bytes_ratio"]),
                _target(record.get("size_target"), record.get("size_met")),
            ]
        )
    columns = ["front end, 4 s of audio", "file", "ms", "kB", "compared with", "time ratio"]
    text = (
        "Front ends as files, in "
        f"{', '.join(with_version(name, versions) for name in ('torch', 'executorch'))} on "
        f"{document['machine']['processor']}; *one convolution* is the same front end with its "
        "Fourier transform as one convolution, as it was before it took two stages:\n\n"
    )
    text += _table([*columns, "target", "size ratio", "target"], rows)
    if forward:
        text += "\n\nIn eager mode, forward alone:\n\n" + _ratios(forward, versions)
    if missed := _missed_front_ends(document):
        text += "\n\nMissed:\n\n" + "\n".join(missed)
    return text


def _missed_front_ends(document: dict[str, Any]) -> list[str]:
    lines = []
    for record in document.get("forward", []):
        if record["met"] is False:
            what = f"{figure(record['ratio'])} × the time of {record['peer']}, forward alone"
            lines.append(_miss(record["name"], record["shape"], what))
    for record in document.get("files", []):
        for key, met, kind in (("ratio", "met", "time"), ("bytes_ratio", "size_met", "size")):
            if record.get(met) is False:
                what = f"{figure(record[key])} × the {kind} of {record['beside']}"
                shape = f"{record['shape']}, {record['backend']}"
                lines.append(_miss(record["name"], shape, what))
    return lines


def _with_interval(record: Mapping[str, Any]) -> str:
    if record.get("ratio") is None:
        return ""
    low, high = record["ratio_ci"]
    return f"{figure(record['ratio'])} ({figure(low)}–{figure(high)})"


def _target(limit: float | None, met: bool | None) -> str:
    return "" if limit is None else f"≤ {limit:g}{'' if met else ', missed'}"


def _ratios(records: Sequence[dict[str, Any]], versions: Mapping[str, str]) -> str:
    rows = []
    for record in records:
        if record["ratio"] is None:
            continue
        rows.append(
            [
                f"`{record['name']}`",
                record["shape"],
                figure(record["ours_ms"]),
                with_version(record["peer"] or record["limit"], versions),
                _with_interval(record),
                _target(record["target"], record["met"]),
                _megabytes(record),
            ]
        )
    return _table(
        ["loss", "shape", "ms", "compared with", "time ratio", "target", "MB, its MB"], rows
    )


def _megabytes(record: dict[str, Any]) -> str:
    ours, theirs = figure(record["ours_mb"]), figure(record["peer_mb"])
    return f"{ours}, {theirs}" if ours and theirs else ours


def _missed(document: dict[str, Any]) -> str:
    """Every miss of time or memory, with what bounds it."""
    lines = []
    for record in document["records"]:
        if record["met"] is False:
            beside = record["peer"] or record["limit"]
            what = f"{figure(record['ratio'])} × the time of {beside}"
            lines.append(_miss(record["name"], record["shape"], what))
    for record in document["memory"]:
        if not record["met"]:
            what = f"{figure(record['ratio'])} × the memory of {record['reference']}"
            lines.append(_miss(record["name"], record["shape"], what))
    for record in document.get("artefacts", []):
        if record.get("met") is False:
            what = f"{figure(record['ratio'])} × the time of eager"
            lines.append(_miss(record["name"], record["backend"], what))
    return "\n".join(lines)


def _miss(name: str, shape: str, what: str) -> str:
    reason = bound(name, shape)
    return f"- `{name}` ({shape}): {what}{'; ' + reason if reason else ''}"


def _scaling(curves: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            f"`{c['name']}`",
            f"{c['variable']} = {c['sizes'][0]:,} … {c['sizes'][-1]:,}, {c['fixed']}",
            f"{figure(c['ms'][0])} … {figure(c['ms'][-1])}",
            f"{c['slope']:.2f}",
            f"{c['expected']:g}",
        ]
        for c in curves
    ]
    columns = ["loss", "over", "ms", "exponent (larger half)", "expected"]
    return _table(columns, rows)


def _artefacts(records: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            r["name"],
            f"`{r['backend']}`",
            f"{r['bytes'] / 1000:.1f}",
            figure(r["load_ms"]),
            f"{figure(r['p50_ms'])}, {figure(r['p95_ms'])}",
            f"{figure(r['ratio'])}{'' if r.get('met') is not False else ' (missed)'}",
            figure(r["peak_mb"]),
            "" if r.get("delegated") is None else f"{100 * r['delegated']:.0f} %",
        ]
        for r in records
        if "p50_ms" in r and (r["name"] == _SCORER or r["backend"] in _HEADS_SHOWN)
    ]
    columns = ["artefact", "backend", "kB", "load ms", "p50, p95 ms", "of eager", "peak MB"]
    return _table([*columns, "operators delegated"], rows)


def _training(steps: Sequence[dict[str, Any]]) -> str:
    rows = []
    for step in steps:
        modes = step["modes"]
        cells = [f"`{step['name']}`", step["shape"], figure(modes["eager"].get("ms"))]
        cells += [figure(modes[mode].get("ratio")) or "fails" for mode in ("script", "compile")]
        rows.append([*cells, f"{figure(modes['compile'].get('ready_s'))}", step["take"]])
    columns = ["head", "shape", "eager ms", "script", "compile", "s to compile", "take"]
    return (
        "Training steps with `torch.jit.script` and `torch.compile`, as ratios to eager. Four "
        "shapes alternate, at 100, 90, 80 and 70 % of the batch size (of T and S for losses over "
        "frames), because speech batches vary in shape; *s to compile* is the time until each has "
        "run four times. The last column names the mode to use: eager, unless another is at least "
        "5 % faster with confidence.\n\n" + _table(columns, rows)
    )
