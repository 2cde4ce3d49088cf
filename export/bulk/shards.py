"""From a slice to a shard: every recording of it judged, and all rows written at once."""

import json
import math
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from export.bulk.ahead import ReadAhead, Wanted
from export.bulk.facts import EMBEDDING, FOLDER, FOOTER, STEP, Facts, Pulse, read_facts
from export.bulk.judges import Judge
from export.bulk.listing import as_parquet, name_of, read_slice
from export.bulk.places import beside
from export.bulk.store import Store
from export.errors import InputError, MissingPackageError
from export.extras import require
from export.text import in_json

_OWN = ("path", "_offset", "_size", "_error")


def make_shard(
    store: Store,
    manifest: str,
    number: int,
    judge: Judge,
    limit: float,
    spoiled: Mapping[int, str],
    pulse: Pulse,
) -> tuple[Facts, bool]:
    """Judge the recordings of a slice, and write them; a shard that is there is left as it is.

    Args:
        store: of the run.
        manifest: where relative paths begin.
        number: of the slice.
        judge: what is said of a recording.
        limit: seconds that a recording may give nothing for.
        spoiled: recordings that are not to be tried again, and why.
        pulse: told how far it is.

    Returns:
        What is in the shard, and whether a thread is stuck in this process.
    """
    pulse.start()
    name = name_of(FOLDER, number)
    if store.exists(name):
        return read_facts(store.read(name), judge.digest, f"{store.place}/{name}"), False
    listed = read_slice(store, number)
    wanted = _wanted(listed, manifest, spoiled)
    turns = judge.artefact.holds_interpreter
    ahead = ReadAhead(wanted, judge.rate, limit, pulse.beat, turns=turns)
    before, start = judge.artefact.seconds, time.process_time()
    rows = []
    try:
        for index, heard in enumerate(ahead):
            pulse.at(index)
            rows.append(_row(judge, wanted[index].name, heard))
            pulse.done(rows[-1]["error"] is not None)
    finally:
        ahead.close()
    facts = _facts(rows)
    table = _table(listed, rows, judge)
    stages = {**ahead.seconds, "model": judge.artefact.seconds - before}
    other = time.process_time() - start - stages["decode"] - stages["model"]
    facts.stages = {**stages, "other": max(0.0, other)}
    said = json.dumps({**asdict(facts), "artefact": judge.digest})
    content = as_parquet(table.replace_schema_metadata({FOOTER: said}))
    if not store.create(name, content):
        facts = read_facts(store.read(name), judge.digest, f"{store.place}/{name}")
    return facts, ahead.stuck > 0


def _wanted(listed: Any, manifest: str, spoiled: Mapping[int, str]) -> list[Wanted]:
    offsets, sizes, errors = (listed[name].to_pylist() for name in _OWN[1:])
    found = []
    for index, raw in enumerate(listed["path"].to_pylist()):
        path = os.fsdecode(raw)
        name = place = beside(manifest, path)
        part = None
        if offsets[index] is not None:
            name, place, part = path, path.partition("::")[2], (offsets[index], sizes[index])
        error = f"{name}: {spoiled[index]}" if index in spoiled else errors[index]
        found.append(Wanted(name, place, part, error))
    return found


def _row(judge: Judge, name: str, heard: Any) -> dict[str, Any]:
    """All that is said of one recording."""
    row: dict[str, Any] = {"error": None, "seconds": None, "sample_rate": None}
    try:
        meter = heard.open()
        row["sample_rate"] = heard.rate
        row |= judge.judged(name, heard.blocks(), meter)
        row["seconds"] = meter.seconds
    except MissingPackageError:
        raise
    except (InputError, OSError) as error:
        row["error"] = in_json(str(error))
    return row


def _table(listed: Any, rows: Sequence[dict[str, Any]], judge: Judge) -> Any:
    arrow = require("pyarrow")
    paths = [in_json(os.fsdecode(path)) for path in listed["path"].to_pylist()]
    columns: dict[str, Any] = {
        "path": arrow.array(paths, arrow.string()),
        "seconds": _column(rows, "seconds", arrow.float64()),
        "sample_rate": _column(rows, "sample_rate", arrow.int32()),
    }
    columns |= {name: _column(rows, name, kind) for name, kind in judge.fields()}
    columns["error"] = _column(rows, "error", arrow.string())
    columns["artefact"] = arrow.repeat(judge.digest, len(rows))
    columns["contract_version"] = arrow.repeat(judge.contract.schema_version, len(rows))
    carried = {n: listed[n] for n in listed.column_names if n not in _OWN}
    return arrow.table({**columns, **carried})


def _column(rows: Sequence[dict[str, Any]], name: str, kind: Any) -> Any:
    arrow = require("pyarrow")
    values = [row.get(name) for row in rows]
    if name != EMBEDDING:
        return arrow.array(values, kind)
    missing = np.array([value is None for value in values])
    zero = np.zeros(kind.list_size, np.float32)
    flat = np.concatenate([zero if value is None else value for value in values])
    return arrow.FixedSizeListArray.from_arrays(flat, type=kind, mask=arrow.array(missing))


def _facts(rows: Sequence[dict[str, Any]]) -> Facts:
    decisions = Counter(row["decision"] for row in rows if row.get("decision") is not None)
    scores = [row["score"] for row in rows if row.get("score") is not None]
    steps = Counter(str(math.floor(score / STEP)) for score in scores)
    return Facts(
        len(rows),
        sum(row["error"] is not None for row in rows),
        decisions.get("undecided", 0),
        math.fsum(row["seconds"] or 0.0 for row in rows),
        dict(decisions),
        scores=dict(steps),
    )
