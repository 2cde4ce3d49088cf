"""``parity.json``: versions, one record per comparison, and the ladder of decisions."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from export.files import replacing
from export.parity.decisions import Rung
from export.parity.record import Record
from export.runtime.contract import versions


def write_json(records: Sequence[Record], path: Path, ladder: Sequence[Rung] = ()) -> None:
    """Write the document."""
    with replacing(path) as temporary:
        temporary.write_text(parity_json(records, ladder) + "\n")


def parity_json(records: Sequence[Record], ladder: Sequence[Rung] = ()) -> str:
    """The document as text."""
    document = {
        "versions": versions(),
        "records": [_fields(record) for record in records],
        "ladder": [asdict(rung) for rung in ladder],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def _fields(record: Record) -> dict[str, object]:
    fields = asdict(record)
    # Said in the reason, too.
    del fields["slow_pass"]
    return fields
