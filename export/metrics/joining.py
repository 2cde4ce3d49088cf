"""Scores beside the keys of a protocol, and the scores of the verification system of a tandem."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from export.errors import InputError
from export.extras import require
from export.metrics.formats import KEYS
from export.metrics.reading import Columns, as_numpy, check_unique, read

_NAMED = 3


def join(scores: Columns, keys: Columns, part: str | None = None) -> Columns:
    """The scores with the keys of a protocol, in the protocol's order, of one part or of all.

    Raises:
        InputError: if a trial of the protocol has no score, a score belongs to no trial of the
            protocol, or the two files disagree about a key; trials are named.
    """
    if scores.pairs != keys.pairs:
        kinds = {False: "files", True: "pairs of enrolment and test"}
        raise InputError(
            f"{scores.place}: scores {kinds[scores.pairs]}, "
            f"but the protocol lists {kinds[keys.pairs]}"
        )
    wanted = keys if part is None else keys.of_part(part)
    if wanted.trial.equals(scores.trial):
        check_unique(scores)
    else:
        places = _places(scores, keys, wanted)
        if not _one_to_one(places, len(scores)):
            check_unique(keys)
            check_unique(scores)
        scores = scores.at(places)
    if scores.key is not None:
        _refuse_other_keys(scores, wanted)
    return replace(
        wanted,
        place=scores.place,
        score=scores.score,
        llr=scores.llr,
        cm=scores.cm,
        asv=scores.asv,
        part=wanted.part if scores.part is None else scores.part,
    )


def _one_to_one(places: Any, count: int) -> bool:
    """Whether every score is taken once: then no trial comes twice, and none need be looked up."""
    taken = np.zeros(count, dtype=bool)
    taken[as_numpy(places)] = True
    return len(places) == count and bool(taken.all())


def _places(scores: Columns, keys: Columns, wanted: Columns) -> Any:
    """Where the wanted trials stand among the scores, as Arrow indices."""
    compute = require("pyarrow.compute")
    places = compute.index_in(wanted.trial, value_set=scores.trial)
    _refuse(scores, "without a score", wanted, places.is_null())
    if len(wanted) < len(scores):
        known = compute.is_in(scores.trial, value_set=keys.trial)
        _refuse(scores, "not in the protocol", scores, compute.invert(known))
    return places


def _refuse(place: Columns, what: str, columns: Columns, mask: Any) -> None:
    rows = as_numpy(require("pyarrow.compute").indices_nonzero(mask))
    if len(rows):
        names = [columns.name(row) for row in rows[:_NAMED]]
        first = ", ".join(names) + (", ..." if len(rows) > _NAMED else "")
        trials = "trial" if len(rows) == 1 else "trials"
        raise InputError(f"{place.place}: {len(rows)} {trials} {what}: {first}")


def _refuse_other_keys(scores: Columns, wanted: Columns) -> None:
    said, right = np.asarray(scores.key), np.asarray(wanted.key)
    other = np.flatnonzero((said >= 0) & (said != right))
    if len(other):
        row = other[0]
        raise InputError(
            f"{scores.place}: trial {wanted.name(row)!r}: key {KEYS[said[row]]}, "
            f"the protocol says {KEYS[right[row]]}"
        )


class TandemScores(NamedTuple):
    """Scores of a verification system ``[T]``, with 1 for target, 0 for nontarget, 2 for spoof."""

    scores: Tensor
    labels: Tensor


def read_tandem_scores(
    path: Path, protocol: Path | None = None, part: str | None = None
) -> TandemScores:
    """Read verification scores, spoofs among them: with keys inside, or in a protocol.

    ASVspoof 2019's, ``SOURCE KEY SCORE``, hold their keys and name no trial; 2021's,
    ``SPEAKER FILE SCORE``, have theirs in a protocol.

    Raises:
        InputError: naming file and line, if a line does not parse, or a key is missing.
    """
    columns = read(path, "tandem")
    if protocol is not None:
        keys = read(protocol, "keys")
        columns = join(columns, keys, chosen_part(keys, part))
    if columns.key is None:
        raise InputError(
            f"{path}: has no keys ({columns.format.name}: {columns.format.shown}); "
            "give the verification protocol with --asv-protocol"
        )
    bonafide = np.flatnonzero(columns.key == KEYS.index("bonafide"))
    if len(bonafide):
        raise InputError(
            f"{path}: trial {columns.name(bonafide[0])!r}: key: expected target, nontarget or "
            "spoof, got bonafide"
        )
    labels = np.array([-1, 2, 1, 0])[columns.key]
    return TandemScores(torch.tensor(columns.score), torch.from_numpy(labels))


def chosen_part(keys: Columns, part: str | None) -> str | None:
    """The part to use of a protocol; several are not pooled unless ``all`` says so.

    Raises:
        InputError: if there are several and none is chosen, or the chosen one is not there.
    """
    parts = keys.parts()
    shown = ", ".join(f"{name} ({count} trials)" for name, count in parts.items())
    if part is None and len(parts) > 1:
        raise InputError(
            f"{keys.place}: contains the parts {shown}, which are not pooled silently; "
            "choose one with --part, or pool them with --part all"
        )
    if part is None or part == "all" or not parts:
        return None
    if part not in parts:
        raise InputError(f"part: expected one of {shown}, got {part}")
    return part
