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
    "tandem_eer": "tandem EER",
    "min_tdcf_2021": "minimum t-DCF, 2021 form",
    "min_tdcf_2019": "minimum t-DCF, 2019 form",
}


@app.command()
def metrics(
    scores: Annotated[
        Path,
        typer.Argument(help="Scores: ASVspoof, Kaldi, WeSpeaker, SpeechBrain, CSV, a bulk run."),
    ],
    protocol: Annotated[
        Optional[Path],
        typer.Option(help="ASVspoof protocol or key, Kaldi or VoxCeleb trials, or CSV."),
    ] = None,
    part: Annotated[
        Optional[str],
        typer.Option(help="Only this part: eval, progress, hidden, held_out, ...; all pools them."),
    ] = None,
    layout: Annotated[
        Optional[str],
        typer.Option("--format", help="Layout of the scores; detected by default."),
    ] = None,
    protocol_layout: Annotated[
        Optional[str],
        typer.Option("--protocol-format", help="Layout of the protocol; detected by default."),
    ] = None,
    asv_scores: Annotated[
        Optional[Path],
        typer.Option(help="ASVspoof 2019 or 2021 ASV scores, for the minimum t-DCF."),
    ] = None,
    asv_protocol: Annotated[
        Optional[Path], typer.Option(help="ASV protocol, for ASV scores without keys.")
    ] = None,
    asv_rates: Annotated[
        Optional[str],
        typer.Option(help="Instead of ASV scores: asvspoof5, or MISS,FALSE_ALARM,SPOOF."),
    ] = None,
    convention: Annotated[
        str,
        typer.Option(help="exact, or asvspoof: EER, t-DCF, a-DCF as its packages print them."),
    ] = "exact",
    prior: Annotated[
        Optional[float],
        typer.Option(help="Probability of bona fide (default 0.95) or of a target (0.01)."),
    ] = None,
    cost_miss: Annotated[Optional[float], typer.Option(help="Cost of a miss; default 1.")] = None,
    cost_false_alarm: Annotated[
        Optional[float],
        typer.Option(help="Cost of a false alarm; default 10 for spoofing, 1 for speakers."),
    ] = None,
    a_dcf_costs: Annotated[
        str, typer.Option(help="Priors and costs of the a-DCF: those of a_dcf or of asvspoof5.")
    ] = "a_dcf",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    plot: Annotated[Optional[Path], typer.Option(help="Write the DET curve here, as PNG.")] = None,
) -> None:
    """Error rates, detection costs and calibration of a score file, with 95 % intervals.

    Example: scriptable metrics build/demo/scores.csv --part held_out --plot det.png
    """
    from export.files import check_output
    from export.jobs.threshold import ThresholdChoice
    from export.metrics.joining import read_tandem_scores
    from export.metrics.measures import Choices, inverted, measure, scored_trials, tandem_rates
    from scriptable import SPOOFING_COSTS, VERIFICATION_COSTS

    if plot is not None:
        check_output(plot)
    if convention not in ("exact", "asvspoof"):
        raise InputError(f"convention: expected exact or asvspoof, got {convention}")
    columns = _read(scores, layout, protocol, protocol_layout, part)
    trials = scored_trials(columns)
    rates = _rates(asv_rates)
    if asv_scores is not None:
        rates = tandem_rates(read_tandem_scores(asv_scores, asv_protocol, part), convention)
    usual = VERIFICATION_COSTS if trials.speaker else SPOOFING_COSTS
    given = ThresholdChoice("min_dcf", prior, cost_miss, cost_false_alarm)
    choices = Choices(given.costs(usual), _a_dcf(a_dcf_costs), convention, rates)
    found = measure(trials, choices)
    said = inverted(columns, trials, found["eer"]["rate"])
    if said:
        note(said)
    if plot is not None:
        _draw(trials, plot)
    if as_json:
        print(json.dumps(found, indent=1, allow_nan=False))
        return
    out.print(_table(found))
    note(f"LLR: {found['llr']}")


def _read(
    scores: Path,
    layout: str | None,
    protocol: Path | None,
    protocol_layout: str | None,
    part: str | None,
) -> Any:
    """The scores with their keys, of one part."""
    from export.metrics.joining import chosen_part, join
    from export.metrics.reading import check_unique, read
    from export.metrics.shards import read_shards, without_trials

    keys = None if protocol is None else read(protocol, "keys", protocol_layout)
    if scores.is_dir():
        columns, without = read_shards(scores, keys)
        if len(without):
            note(f"{scores}: {len(without)} recordings have no score, and are left out")
        keys = keys and without_trials(keys, without)
    else:
        columns = read(scores, "scores", layout)
    parts = columns.parts()
    if parts and part not in (None, "all"):
        if part not in parts:
            raise InputError(f"part: expected one of {', '.join(parts)}, got {part}")
        columns = columns.of_part(part)
    elif len(parts) > 1 and part is None:
        note(
            f"{scores}: contains the parts {', '.join(parts)}; all are used; choose one with --part"
        )
    elif part not in (None, "all") and (keys is None or not keys.parts()):
        raise InputError(f"part: neither the scores nor the protocol have parts, got {part}")
    if keys is None:
        check_unique(columns)
        return columns
    return join(columns, keys, chosen_part(keys, part))


def _rates(said: str | None) -> Any:
    """Error rates of a verification system from the command line."""
    from scriptable import ASVSPOOF5_ASV, ASVErrorRates

    if said is None or said == "asvspoof5":
        return None if said is None else ASVSPOOF5_ASV
    try:
        miss, false_alarm, spoof = (float(number) for number in said.split(","))
    except ValueError as error:
        raise InputError(
            f"asv-rates: expected asvspoof5 or three rates MISS,FALSE_ALARM,SPOOF, got {said!r}"
        ) from error
    return ASVErrorRates(miss, false_alarm, spoof)


def _a_dcf(name: str) -> Any:
    from scriptable import ASVSPOOF5_ADCF, ADCFCosts

    known = {"a_dcf": ADCFCosts(), "asvspoof5": ASVSPOOF5_ADCF}
    if name not in known:
        raise InputError(f"a-dcf-costs: expected one of {', '.join(known)}, got {name}")
    return known[name]


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
