"""Pairs of embeddings scored in blocks, as matrix products, against a cohort or plain."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from export.bulk.facts import EMBEDDING
from export.bulk.pairs import blocks_of
from export.errors import InputError
from export.extras import require
from export.files import check_output, replacing
from export.metrics.reading import as_numpy
from export.metrics.shards import called, shards_in

BLOCK = 1 << 20
"""Pairs that are scored at once."""
# A matrix of all pairs of a block's recordings is made where at least this share of it is wanted.
_DENSE = 1 / 8
# Pairs whose two vectors are gathered at once, where they are few among many.
_GATHERED = 1 << 9
_ROWS = 1 << 10
# Scores that are normalised while they are in the processor's cache.
_CACHED = 1 << 16
# As scriptable.check_cohort has it.
_LEAST_SPREAD = 1e-4


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a bulk run.

    Attributes:
        vectors: unit vectors ``[N, D]``.
        table: paths, and a column ``file`` if any, of the N and of those without embedding.
        place: number of each row's vector, -1 where there is none.
        run: the document ``run.json``.
    """

    vectors: Tensor
    table: Any
    place: np.ndarray
    run: dict[str, Any]
    folder: Path


def read_embeddings(folder: Path) -> Embeddings:
    """The embeddings of a run, with their names.

    Raises:
        InputError: if there are none.
    """
    arrow, parquet = require("pyarrow"), require("pyarrow.parquet")
    shards = shards_in(folder)
    run = json.loads((folder / "run.json").read_text())
    names, vectors, known = [], [], []
    for path in shards:
        file = parquet.ParquetFile(path)
        if EMBEDDING not in file.schema_arrow.names:
            raise InputError(f"{folder}: contains scores, not embeddings; use a verifier's run")
        table = file.read([n for n in ("path", "file", EMBEDDING) if n in file.schema_arrow.names])
        column = table[EMBEDDING].combine_chunks()
        there = as_numpy(column.is_valid().cast("uint8")).astype(bool)
        size = column.type.list_size
        values = as_numpy(column.filter(column.is_valid()).flatten())
        vectors.append(values.reshape(-1, size))
        known.append(there)
        names.append(table.drop_columns([EMBEDDING]))
    there = np.concatenate(known)
    if not there.any():
        raise InputError(f"{folder}: contains no embeddings")
    place = np.where(there, np.cumsum(there) - 1, -1)
    table = arrow.concat_tables(names).combine_chunks()
    return Embeddings(torch.from_numpy(np.concatenate(vectors)), table, place, run, folder)


class PairScorer:
    """Cosines of pairs of unit vectors; with a cohort, adaptive S-norm of them.

    Equal to :class:`scriptable.ScoreNorm` with ``form="as"``, for lists of pairs.

    Args:
        vectors: ``[N, D]``.
        cohort: ``[C, D]``, or None for plain cosines.
        top: how many cohort scores count, at least 2 and at most C.

    Raises:
        InputError: if there are too few in the cohort.
    """

    def __init__(self, vectors: Tensor, cohort: Tensor | None = None, top: int = 300) -> None:
        self._vectors = vectors
        self._cohort = cohort
        self._top = top
        if cohort is not None and not 2 <= top <= len(cohort):
            raise InputError(f"top: expected 2 to {len(cohort)}, the size of the cohort, got {top}")
        # Of each recording, once it is met: 1/(2σ) and μ/(2σ).
        self._scale = torch.full((len(vectors),), math.nan)
        self._shift = torch.zeros(len(vectors))
        self._columns: tuple[Tensor, Tensor] | None = None

    def score(self, enrol: Tensor, test: Tensor) -> Tensor:
        """Scores ``[P]`` of pairs of numbers of vectors, ``[P]`` and ``[P]`` of int32."""
        if (width := _width(enrol.numpy(), test.numpy())) > 1:
            return self._crossed(enrol[::width].long(), test[:width].long())
        enrol, test = enrol.long(), test.long()
        rows, row_of = self._met(enrol)
        columns, column_of = self._met(test)
        if len(enrol) >= _DENSE * len(rows) * len(columns):
            matrix = _taken(self._vectors, rows) @ _taken(self._vectors, columns).T
            place = _taken(row_of, enrol).mul_(len(columns)).add_(_taken(column_of, test))
            scores = _taken(matrix.view(-1), place)
        else:
            scores = torch.cat(
                [
                    _taken(self._vectors, some).mul_(_taken(self._vectors, others)).sum(1)
                    for some, others in zip(
                        enrol.split(_GATHERED), test.split(_GATHERED), strict=True
                    )
                ]
            )
        if self._cohort is None:
            return scores
        self._learn(rows)
        self._learn(columns)
        scores *= _taken(self._scale, enrol).add_(_taken(self._scale, test))
        return scores.sub_(_taken(self._shift, enrol)).sub_(_taken(self._shift, test))

    def _crossed(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The same of every row with every column."""
        # One block after the other is of the same columns, and to gather them takes its time.
        if self._columns is None or not torch.equal(self._columns[0], columns):
            self._columns = (columns, self._vectors[columns])
        matrix = self._vectors[rows] @ self._columns[1].T
        if self._cohort is None:
            return matrix.view(-1)
        self._learn(rows)
        self._learn(columns)
        scale, shift = self._scale[columns], self._shift[columns]
        at_once = max(1, _CACHED // len(columns))
        for some, numbers in zip(matrix.split(at_once), rows.split(at_once), strict=True):
            own = self._scale[numbers].unsqueeze(1)
            some.mul_(own + scale).sub_(self._shift[numbers].unsqueeze(1)).sub_(shift)
        return matrix.view(-1)

    def _met(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors that are meant, and the place among them of each vector."""
        # By numpy, which is many times as fast at this.
        marked = np.zeros(len(self._vectors), dtype=bool)
        marked[numbers.numpy()] = True
        return torch.from_numpy(np.flatnonzero(marked)), torch.from_numpy(marked.cumsum() - 1)

    def _learn(self, numbers: Tensor) -> None:
        """Scores against the cohort, of vectors that were not met before."""
        assert self._cohort is not None
        new = numbers[self._scale[numbers].isnan()]
        for some in new.split(_ROWS):
            best = torch.topk(self._vectors[some] @ self._cohort.T, self._top, 1, sorted=False)[0]
            mean = best.mean(1)
            spread = (best - mean.unsqueeze(1)).square().mean(1).sqrt()
            if bool((spread < _LEAST_SPREAD).any()):
                raise InputError(
                    f"cohort: expected recordings that differ, got the same score from {self._top}"
                )
            self._scale[some] = 0.5 / spread
            self._shift[some] = 0.5 * mean / spread


def _taken(values: Tensor, numbers: Tensor) -> Tensor:
    """``values[numbers]``, several times as fast."""
    return values.index_select(0, numbers)


def _width(enrol: np.ndarray, test: np.ndarray) -> int:
    """Of pairs that are all of some recordings with all of others, row by row: how many others."""
    if len(enrol) == 0:
        return 0
    looked = 64
    # As far as the first recording goes, and no further: most lists are no such product.
    while (same := enrol[:looked] == enrol[0]).all() and looked < len(enrol):
        looked *= 2
    width = len(same) if same.all() else int(same.argmin())
    if len(enrol) % width:
        return 0
    rows, columns = enrol.reshape(-1, width), test.reshape(-1, width)
    # Beside its neighbour, not the first: those two read memory in order.
    alike = np.array_equal(rows[:, 1:], rows[:, :-1])
    return width if alike and np.array_equal(columns[1:], columns[:-1]) else 0


@dataclass(frozen=True)
class Scored:
    """What came of a list of pairs."""

    pairs: int
    left_out: int
    """Pairs with a recording that has no embedding."""


def score_pairs(
    embeddings: Embeddings, pairs: Path, out: Path, cohort: Embeddings | None, top: int | None
) -> Scored:
    """Score a list of pairs into a file: ``.parquet``, ``.csv``, or lines ``ENROL TEST SCORE``.

    Raises:
        InputError: if a recording is unknown, or the cohort does not fit.
    """
    check_output(out)
    scoring = _scoring(embeddings, cohort)
    vectors = None if cohort is None else cohort.vectors
    scorer = PairScorer(embeddings.vectors, vectors, top or scoring["top_n"] or 300)
    known: dict[str, int] = {}
    count = left_out = 0
    with replacing(out) as made, _Writer(made, out.suffix.lower()) as writer:
        for block in blocks_of(pairs, BLOCK):
            known = known or _names(embeddings, block)
            numbers = [_numbers(block[name], known, embeddings.folder) for name in _PAIR]
            whole = np.logical_and(*(each >= 0 for each in numbers))
            if not whole.all():
                block = block.filter(require("pyarrow").array(whole))
                numbers = [each[whole] for each in numbers]
                left_out += int((~whole).sum())
            enrol, test = map(torch.from_numpy, numbers)
            scores = scorer.score(enrol, test)
            writer.write(_result(block, scores, embeddings.run, cohort is not None))
            count += len(scores)
        if not count:
            raise InputError(f"{pairs}: contains no pairs that could be scored")
    return Scored(count, left_out)


_PAIR = ("enrol", "test")


def _scoring(embeddings: Embeddings, cohort: Embeddings | None) -> dict[str, Any]:
    scoring: dict[str, Any] = embeddings.run["contract"]["scoring"]
    if scoring["backend"] != "cosine":
        raise InputError(
            f"{embeddings.folder}: its contract scores by {scoring['backend']}, trials by cosines "
            "only; use verify, which runs the artefact's own scorer"
        )
    if cohort is None:
        if scoring["normalisation"] != "none":
            raise InputError(
                f"{embeddings.folder}: its contract normalises scores by a cohort; give one, "
                "embedded by the same artefact, with --cohort"
            )
    elif cohort.run["artefact"] != embeddings.run["artefact"]:
        raise InputError(f"{cohort.folder}: is of another artefact than {embeddings.folder}")
    return scoring


def _names(embeddings: Embeddings, block: Any) -> dict[str, int]:
    """Recordings as the list calls them, and the numbers of their vectors."""
    arrow = require("pyarrow")
    first = arrow.array([block[name][0].as_py() for name in _PAIR], arrow.string())
    names = called(embeddings.table, first, str(embeddings.folder)).to_pylist()
    known = dict(zip(names, embeddings.place.tolist(), strict=True))
    if len(known) < len(names):
        raise InputError(f"{embeddings.folder}: several recordings are called alike in this list")
    return known


def _numbers(column: Any, known: dict[str, int], folder: Path) -> np.ndarray:
    """For each line of a column the number of its recording's vector."""
    words = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    try:
        found = np.array([known[word] for word in words.dictionary.to_pylist()], dtype=np.int32)
    except KeyError as error:
        raise InputError(f"{folder}: contains no recording {error.args[0]!r}") from error
    return found[as_numpy(words.indices)]


def _result(block: Any, scores: Tensor, run: dict[str, Any], normalised: bool) -> Any:
    arrow = require("pyarrow")
    table = block.append_column("score", arrow.array(scores.numpy()))
    if run["task"] == "verification" and not normalised:
        decision = run["contract"]["decision"]
        llr = decision["scale"] * scores.double() + decision["offset"]
        table = table.append_column("llr", arrow.array(llr.numpy()))
    return table


class _Writer:
    """A file that grows block by block; a context manager."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._kind = kind
        self._writer: Any = None

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, table: Any) -> None:
        """Append a block."""
        arrow = require("pyarrow")
        if self._kind == ".parquet":
            if self._writer is None:
                parquet = require("pyarrow.parquet")
                self._writer = parquet.ParquetWriter(self._path, table.schema)
            self._writer.write_table(table)
            return
        if self._kind != ".csv":
            table = table.select([*_PAIR, "score"])
        words = [
            arrow.field(f.name, arrow.string() if arrow.types.is_dictionary(f.type) else f.type)
            for f in table.schema
        ]
        table = table.cast(arrow.schema(words))
        if self._writer is None:
            writing = require("pyarrow.csv")
            options = writing.WriteOptions(include_header=True)
            if self._kind != ".csv":
                options = writing.WriteOptions(
                    include_header=False, delimiter=" ", quoting_style="none"
                )
            self._writer = writing.CSVWriter(self._path, table.schema, write_options=options)
        self._writer.write_table(table)
