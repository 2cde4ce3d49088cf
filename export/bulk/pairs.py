"""Lists of pairs of recordings, in blocks: hundreds of millions of lines are no more than one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from export.errors import InputError
from export.extras import require
from export.metrics import formats
from export.metrics.formats import Format
from export.metrics.parsing import batches, first_line, head_of

_PLAIN = Format("pairs", ("enrol", "test"), ("keys",))
_COLUMNS = ("enrol", "test", "key", "flag")


def blocks_of(path: Path, most: int) -> Iterator[Any]:
    """Arrow tables of up to ``most`` pairs, or a batch more: ``enrol``, ``test`` and keys, if any.

    Each column holds its words once, and their numbers.

    Raises:
        InputError: if the file is no list of pairs.
    """
    arrow = require("pyarrow")
    waiting: list[Any] = []
    count = 0
    for batch in _batches(path):
        waiting.append(arrow.Table.from_batches([batch]))
        count += len(batch)
        if count >= most:
            yield _joined(waiting)
            waiting, count = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(tables: list[Any]) -> Any:
    table = require("pyarrow").concat_tables(tables)
    kept = [name for name in _COLUMNS if name in table.column_names]
    return table.select(kept).unify_dictionaries().combine_chunks()


def _batches(path: Path) -> Iterator[Any]:
    if path.suffix.lower() == ".parquet":
        yield from _parquet(path)
        return
    head = head_of(path, "keys")
    if len(head[0].split()) == 2 and "," not in head[0]:
        layout = _PLAIN
    else:
        layout = formats.detect(head, "keys", f"{path}:{first_line(path)}")
    if not {"enrol", "test"} <= set(layout.columns):
        raise InputError(f"{path}: lists recordings ({layout.name}), expected pairs enrol and test")
    yield from batches(path, layout)


def _parquet(path: Path) -> Iterator[Any]:
    arrow, parquet = require("pyarrow"), require("pyarrow.parquet")
    try:
        names = parquet.read_schema(path).names
    except (arrow.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not {"enrol", "test"} <= set(names):
        raise InputError(f"{path}: expected columns enrol and test, got {', '.join(names)}")
    kept = [name for name in _COLUMNS if name in names]
    file = parquet.ParquetFile(path, read_dictionary=kept)
    word = arrow.dictionary(arrow.int32(), arrow.string())
    for batch in file.iter_batches(1 << 20, columns=kept):
        yield arrow.RecordBatch.from_arrays([_words(c, word) for c in batch.columns], kept)


def _words(column: Any, word: Any) -> Any:
    """A column of words, numbered."""
    arrow = require("pyarrow")
    if arrow.types.is_dictionary(column.type):
        return column.cast(word)
    return column.cast(arrow.string()).dictionary_encode()
