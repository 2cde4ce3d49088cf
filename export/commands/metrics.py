"""``python -m export metrics``."""

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.table import Table

from export.commands._app import app, note, out
from export.errors import InputError

_NAMES = {
    "eer": "EER, interpolated",
    "eer_convex_hull": "EER, ROC convex hull",
    "min_dcf": "minDCF",
    "act_dcf": "actDCF",
    "cllr": "Cllr, bit",
    "min_cllr": "minimum Cllr, bit",
    "min_a_dcf": "minimum a-DCF",
    "min_tdcf_2021": "minimum t-DCF, 2021 form",
    "min_tdcf_2019": "minimum t-DCF, 2019 form",
}


@app.command()
def metrics(
    scores: Annotated[Path, typer.Argument(help="ASVspoof, Kaldi or CSV scores.")],
    protocol: Annotated[
        Optional[Path],
        typer.Option(help="ASVspoof protocol, Kaldi trials or CSV; for scores without keys."),
    ] = None,
    part: Annotated[
        Optional[str], typer.Option(help="Only the lines of this part of a CSV: held_out, train.")
    ] = None,
    asv_scores: Annotated[
        Optional[Path], typer.Option(help="ASVspoof 2019 ASV scores, for the minimum t-DCF.")
    ] = None,
    prior: Annotated[
        Optional[float],
        typer.Option(help="Probability of bona fide (default 0.95) or of a target (0.01)."),
    ] = None,
    cost_miss: Annotated[float, typer.Option(help="Cost of a miss.")] = 1.0,
    cost_false_alarm: Annotated[
        Optional[float],
        typer.Option(help="Cost of a false alarm; default 10 for spoofing, 1 for speakers."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    plot: Annotated[Optional[Path], typer.Option(help="Write the DET curve here, as PNG.")] = None,
) -> None:
    """Error rates, detection costs and calibration of a score file, with 95 % intervals.

    Example: python -m export metrics build/demo/scores.csv --part held_out --plot det.png
    """
    from export.files import check_output
    from export.metrics.measures import Costs, measure, scored_trials
    from export.metrics.score_files import join, read_keys, read_scores, read_tandem_scores

    if plot is not None:
        check_output(plot)
    lines = read_scores(scores)
    parts = sorted({line.part for line in lines})
    if part is not None:
        lines = tuple(line for line in lines if line.part == part)
        if not lines:
            raise InputError(f"part: expected one of {', '.join(filter(None, parts))}, got {part}")
    elif len(parts) > 1:
        note(f"{scores}: holds the parts {', '.join(parts)}, all used; choose one with --part")
    keyed = lines if protocol is None else tuple(join(lines, read_keys(protocol), str(scores)))
    trials = scored_trials(keyed, str(scores))
    defaults = (0.01, 1.0) if trials.speaker else (0.95, 10.0)
    costs = Costs(
        defaults[0] if prior is None else prior,
        cost_miss,
        defaults[1] if cost_false_alarm is None else cost_false_alarm,
    )
    found = measure(trials, costs, read_tandem_scores(asv_scores) if asv_scores else ())
    if plot is not None:
        _draw(trials, plot)
    if as_json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return
    out.print(_table(found))
    note(f"LLR: {found['llr']}")


def _table(found: dict[str, Any]) -> Table:
    counts = ", ".join(f"{count} {key}" for key, count in found["counts"].items())
    table = Table(title=f"{found['trials']} trials: {counts}", header_style="bold")
    table.add_column("metric")
    for name in ("value", "95 % interval", "threshold"):
        table.add_column(name, justify="right")
    for key, name in _NAMES.items():
        if key not in found:
            continue
        entry = found[key]
        rate = "rate" in entry
        value = next(entry[unit] for unit in ("rate", "cost", "bits") if unit in entry)
        interval = [f"{x:.2%}" if rate else f"{x:.4f}" for x in entry.get("ci", ())]
        threshold = entry.get("threshold")
        table.add_row(
            name,
            f"{value:.2%}" if rate else f"{value:.4f}",
            f"[dim]{interval[0]} to {interval[1]}[/]" if interval else "",
            "" if threshold is None else f"{threshold:.4f}",
        )
    return table


def _draw(trials: Any, path: Path) -> None:
    """The DET curve as a PNG file."""
    from export.files import replacing
    from export.report import plots

    names = plots.Names("target", "nontarget") if trials.speaker else plots.SPOOFING
    figure = plots.det_figure(trials.scores, trials.labels, None, names)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=200)
