"""What is to be scored: a folder, a manifest or an archive, cut into slices that are written down.

Every slice is a table with a row for each recording: ``path`` (bytes), ``_offset`` and ``_size`` in
an archive, ``_error`` for what could not be looked into, and the manifest's other columns.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from export.bulk.manifest import Manifest
from export.bulk.places import absolute, is_url, opened
from export.bulk.walk import ARCHIVE, Counts, Found, is_audio, members, walk
from export.errors import InputError
from export.extras import require

_BATCH = 1024


@dataclass
class Input:
    """An input that was found and opened.

    Attributes:
        place: path or URL, absolute.
        identity: what tells it from another one of the same name.
        columns: the Arrow schema of the columns that are carried through.
    """

    place: str
    identity: str
    columns: Any
    manifest: Manifest | None = None
    counts: Counts = field(default_factory=Counts)
    copy: Any = None
    """Of a manifest that lies elsewhere; it goes away with this object."""

    @property
    def duplicates(self) -> int:
        """Recordings that were named again and left out; known when all tables were read."""
        return self.counts.duplicates if self.manifest is None else self.manifest.duplicates

    @property
    def examples(self) -> list[str]:
        """Some of them."""
        return [] if self.manifest is None else self.manifest.examples

    def tables(self, skip: int, after: str) -> Iterator[Any]:
        """What follows ``skip`` recordings, the last of which was ``after``."""
        if self.manifest is not None:
            schema = listing_schema(self.columns)
            for table in self.manifest.tables(skip):
                yield _as_listing(table, schema)
            return
        self.counts.duplicates = 0
        inside = members if self.place.lower().endswith(ARCHIVE) else walk
        found: list[Found] = []
        for recording in inside(self.place, self.counts, after):
            found.append(recording)
            if len(found) == _BATCH:
                yield _table(found)
                found = []
        if found:
            yield _table(found)


def find_input(place: str) -> Input:
    """What lies at a path or a URL.

    Raises:
        InputError: if nothing does, it has no recordings, or a manifest has no column ``path``.
    """
    empty = require("pyarrow").schema([])
    place = absolute(place)
    if _is_folder(place):
        return Input(place, "folder", empty)
    if is_audio(place):
        raise InputError(f"{place}: is one recording; give a folder or a list, or use score")
    with opened(place) as file:
        if place.lower().endswith(ARCHIVE):
            size = file.seek(0, os.SEEK_END)
            return Input(place, f"archive of {size} bytes", empty)
        if not is_url(place):
            manifest = Manifest(Path(place), place)
            return Input(place, manifest.sha256, manifest.columns, manifest)
        copy = tempfile.NamedTemporaryFile(prefix="scriptable-bulk-")  # noqa: SIM115
        shutil.copyfileobj(file, copy)
        copy.flush()
    manifest = Manifest(Path(copy.name), place)
    return Input(place, manifest.sha256, manifest.columns, manifest, copy=copy)


def _is_folder(place: str) -> bool:
    if not is_url(place):
        return Path(place).is_dir()
    from export.bulk.places import filesystem

    system, path = filesystem(place)
    return bool(system.isdir(path))


def _table(found: Iterable[Found]) -> Any:
    arrow = require("pyarrow")
    rows = [
        {"path": os.fsencode(f.path), "_offset": f.offset, "_size": f.size, "_error": f.error}
        for f in found
    ]
    return arrow.Table.from_pylist(rows, listing_schema(arrow.schema([])))


def listing_schema(columns: Any) -> Any:
    """Of a slice."""
    arrow = require("pyarrow")
    own = [
        ("path", arrow.binary()),
        ("_offset", arrow.int64()),
        ("_size", arrow.int64()),
        ("_error", arrow.string()),
    ]
    return arrow.schema([*(arrow.field(*each) for each in own), *columns])


def _as_listing(table: Any, schema: Any) -> Any:
    """A manifest's rows with the columns of a slice."""
    arrow = require("pyarrow")
    columns = {
        f.name: table[f.name] if f.name in table.column_names else arrow.nulls(len(table), f.type)
        for f in schema
    }
    return arrow.table(columns, schema=schema)


def slices(tables: Iterable[Any], rows: int) -> Iterator[Any]:
    """Tables of ``rows`` rows each, and a last one of what is left."""
    arrow = require("pyarrow")
    waiting: list[Any] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += len(table)
        if count < rows:
            continue
        whole = arrow.concat_tables(waiting)
        start = 0
        while count - start >= rows:
            yield whole.slice(start, rows)
            start += rows
        waiting, count = [whole.slice(start)], count - start
    if count:
        yield arrow.concat_tables(waiting)


def json_text(document: dict[str, Any]) -> bytes:
    """As it is written beside the shards."""
    return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()
