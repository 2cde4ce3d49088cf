"""The plots: ratios, and time over size, both on logarithmic axes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.files import replacing


def plot_ratios(records: Sequence[dict[str, Any]], path: Path) -> None:
    """One bar per record, shortest first, with its interval and its target."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = sorted((r for r in records if r["ratio"] is not None), key=lambda r: -r["ratio"])
    if not shown:
        return
    figure, axes = pyplot.subplots(figsize=(9, 0.27 * len(shown) + 1.2), layout="constrained")
    ratios = [r["ratio"] for r in shown]
    below = [r["ratio"] - r["ratio_ci"][0] for r in shown]
    above = [r["ratio_ci"][1] - r["ratio"] for r in shown]
    colours = ["tab:red" if r["met"] is False else "tab:blue" for r in shown]
    axes.barh(range(len(shown)), ratios, xerr=[below, above], color=colours, ecolor="black")
    for place, record in enumerate(shown):
        if record["target"] is not None:
            axes.plot([record["target"]] * 2, [place - 0.4, place + 0.4], color="black")
    axes.axvline(1.0, color="grey", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), [_label(r) for r in shown], fontsize=7)
    axes.set_xlabel("our time / its time, forward and backward; | is the target")
    with replacing(path) as made:
        figure.savefig(made, dpi=150)
    pyplot.close(figure)


def plot_scaling(curves: Sequence[dict[str, Any]], path: Path) -> None:
    """One small plot per curve: what was measured, and the slope that is expected."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 3
    lines = -(-len(curves) // columns)
    # Text stays text, and the file is the same whenever it is written.
    style: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "scriptable", "font.size": 8}
    with pyplot.rc_context(style):
        figure, grid = pyplot.subplots(
            lines, columns, figsize=(9, 2.2 * lines), layout="constrained", squeeze=False
        )
        for curve, axes in zip(curves, grid.flat, strict=False):
            last = curve["ms"][-1]
            expected = [
                last * (n / curve["sizes"][-1]) ** curve["expected"] for n in curve["sizes"]
            ]
            axes.loglog(curve["sizes"], expected, color="tab:grey", linestyle="--", linewidth=0.8)
            axes.loglog(curve["sizes"], curve["ms"], marker="o", markersize=3)
            axes.set_title(curve["name"])
            axes.set_xlabel(f"{curve['variable']} ({curve['fixed']})", wrap=True)
            axes.set_ylabel("ms")
        for axes in grid.flat[len(curves) :]:
            axes.set_visible(False)
        with replacing(path) as made:
            figure.savefig(made, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _label(record: dict[str, Any]) -> str:
    beside = record["peer"] or record["limit"]
    device = "" if record["device"] == "cpu" else f" ({record['device']})"
    return f"{record['name']} {record['shape']} / {beside}{device}"
