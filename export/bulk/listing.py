"""The slices of an input, written down before any of them is scored."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from export.bulk.inputs import Input, json_text, listing_schema, slices
from export.bulk.store import Store
from export.errors import InputError
from export.extras import require

FOLDER = "listing"
_COMPLETE = "listing.json"


def name_of(folder: str, number: int) -> str:
    """The file of a slice or a shard."""
    return f"{folder}/{number:08d}.parquet"


def numbers(store: Store, folder: str) -> list[int]:
    """The slices that are listed, or the shards that are finished, in order."""
    names = (name.partition(".parquet") for name in store.names(folder))
    return sorted(int(stem) for stem, dot, _ in names if dot and stem.isdigit())


def read_slice(store: Store, number: int) -> Any:
    """A slice as an Arrow table."""
    content = store.read(name_of(FOLDER, number))
    # Not read_table, which loads a third of a second's worth of code for folders of files first.
    return require("pyarrow.parquet").ParquetFile(io.BytesIO(content)).read()


def as_parquet(table: Any) -> bytes:
    """A table as the content of a file."""
    sink = io.BytesIO()
    require("pyarrow.parquet").write_table(table, sink, compression="zstd")
    return sink.getvalue()


class Listing:
    """What of an input is listed, and the rest of it, while others work on what is there."""

    def __init__(self, store: Store, source: Input, rows: int) -> None:
        self._store = store
        self._source = source
        self._rows = rows
        self._known = numbers(store, FOLDER)
        if self._known != list(range(len(self._known))):
            raise InputError(
                f"{store.place}: a file of its {FOLDER} folder is missing; give another folder"
            )
        self.done: dict[str, Any] | None = None
        """Once all is listed: the number of slices, of recordings, of duplicates, and some."""
        if _COMPLETE in store.names(""):
            self.done = json.loads(store.read(_COMPLETE))

    def slices(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[tuple[int, int]]:
        """Number and size of each slice, as soon as it is listed.

        Raises:
            InputError: if the input cannot be read on.
        """
        for number in self._known:
            yield number, self._rows
        if self.done is not None:
            return
        count, after = self._stopped_at()
        number = len(self._known)
        schema = listing_schema(self._source.columns)
        for table in slices(self._source.tables(count, after), self._rows):
            if stopped():
                return
            self._store.create(name_of(FOLDER, number), as_parquet(table.cast(schema)))
            count += len(table)
            yield number, len(table)
            number += 1
        if not count:
            raise InputError(f"{self._source.place}: contains no recordings")
        self.done = {
            "slices": number,
            "recordings": count,
            "duplicates": self._source.duplicates,
            "examples": self._source.examples,
        }
        self._store.create(_COMPLETE, json_text(self.done))

    def _stopped_at(self) -> tuple[int, str]:
        """How many recordings are listed, and the last of them."""
        if not self._known:
            return 0, ""
        last = read_slice(self._store, self._known[-1])
        path = last["path"][-1].as_py().decode("utf-8", "surrogateescape")
        return (len(self._known) - 1) * self._rows + len(last), path
