"""Graph size and time to lower, of every entry of the catalogue."""

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from export.backends import Source, all_backends, quiet_executorch
from export.catalog import Row, rows


def entries(names: set[str] | None = None) -> list[Row]:
    """The first row of each entry, or of the named ones."""
    found: dict[str, Row] = {}
    for row in rows():
        if names is None or row.entry in names:
            found.setdefault(row.entry, row)
    return list(found.values())


def measure(row: Row) -> dict[str, Any]:
    """Operators of the exported graph of the first method, and seconds to export and to lower."""
    method = next(iter(row.methods))
    record: dict[str, Any] = {"name": row.entry, "variant": row.variant, "method": method}
    source = Source(row.build(), {method: row.draw(method, 0)})
    backend = all_backends()["executorch_portable"]
    if backend.unavailable():
        return {**record, "reason": backend.unavailable()}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.process_time()
        with quiet_executorch():
            program = source.exported(method)
        exported = time.process_time()
        path = Path(folder) / f"row{backend.suffix}"
        backend.save(source, path)
        lowered = time.process_time()
        size = path.stat().st_size
    return {
        **record,
        "ops": sum(node.op == "call_function" for node in program.graph.nodes),
        "export_s": exported - start,
        "lower_s": lowered - exported,
        "bytes": size,
    }
