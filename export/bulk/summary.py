"""What a run came to: counts, scores, throughput, and the stage that took longest."""

import csv
from pathlib import Path
from typing import Any

from export.bulk.facts import EMBEDDING, FOLDER, STEP, Facts, local_shards, read_facts
from export.bulk.listing import name_of, numbers
from export.bulk.store import Store
from export.extras import require
from export.files import replacing

_BARS = 40


def gathered(store: Store, digest: str) -> Facts:
    """What all shards hold, from their footers.

    Raises:
        InputError: naming a shard that is damaged or of another artefact.
    """
    total = Facts()
    opened = local_shards(store)
    for number in numbers(store, FOLDER):
        name = name_of(FOLDER, number)
        total += read_facts(opened(name), digest, f"{store.place}/{name}")
    return total


def histogram(steps: dict[str, int]) -> list[dict[str, float]]:
    """Bars of equal width that hold the scores, at most 40 of them; each is ``low ≤ score < high``.

    Example:
        >>> histogram({"0": 2, "1": 1})
        [{'low': 0.0, 'high': 0.015625, 'count': 2}, {'low': 0.015625, 'high': 0.03125, 'count': 1}]
        >>> len(histogram({"-70": 1, "900": 1}))
        32
    """
    if not steps:
        return []
    counts = {int(step): count for step, count in steps.items()}
    width = STEP
    while max(counts) - min(counts) >= _BARS:
        halved: dict[int, int] = {}
        for step, count in counts.items():
            halved[step // 2] = halved.get(step // 2, 0) + count
        counts, width = halved, width * 2
    return [
        {"low": step * width, "high": (step + 1) * width, "count": counts.get(step, 0)}
        for step in range(min(counts), max(counts) + 1)
    ]


def summary(
    facts: Facts, run: dict[str, Any], listed: dict[str, Any], this_time: dict[str, Any]
) -> dict[str, Any]:
    """The document ``summary.json``."""
    stages = {name: round(seconds, 3) for name, seconds in sorted(facts.stages.items())}
    return {
        "artefact": run["artefact"],
        "contract_version": run["contract_version"],
        "input": run["input"],
        "recordings": facts.recordings,
        "scored": facts.recordings - facts.errors - facts.undecided,
        "undecided": facts.undecided,
        "errors": facts.errors,
        "duplicates": listed["duplicates"],
        "duplicates_such_as": listed["examples"],
        "decisions": facts.decisions,
        "audio_hours": round(facts.audio_seconds / 3600, 6),
        "seconds_by_stage": stages,
        "slowest_stage": max(stages, key=lambda name: stages[name]) if stages else None,
        "this_start": this_time,
        "scores": histogram(facts.scores),
    }


def write_csv(store: Store, path: Path) -> None:
    """All rows of the scores as text, in the order of the input."""
    parquet = require("pyarrow.parquet")
    opened = local_shards(store)
    writer: Any = None
    with replacing(path) as made, made.open("w", encoding="utf-8", newline="") as file:
        for number in numbers(store, FOLDER):
            table = parquet.ParquetFile(_source(opened(name_of(FOLDER, number)))).read()
            if EMBEDDING in table.column_names:
                table = table.drop_columns([EMBEDDING])
            if writer is None:
                writer = csv.writer(file)
                writer.writerow(table.column_names)
            writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _source(content: Any) -> Any:
    return require("pyarrow").BufferReader(content) if isinstance(content, bytes) else content
