"""Lists of pairs, scored in blocks as one pair at a time would be."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from artefact_helpers import Command, assert_refused
from torch import Tensor

from export.bulk import trials
from export.bulk.trials import PairScorer
from export.errors import InputError
from scriptable import ScoreNorm

DIM = 16
COHORT = 30
TOP = 10


def unit_vectors(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, DIM, generator=generator))


def write_run(
    folder: Path,
    vectors: Tensor,
    normalised: bool = False,
    digest: str = "a",
    backend: str = "cosine",
) -> Path:
    """A verifier's run of which recording 2 is an error."""
    (folder / "shards").mkdir(parents=True)
    normalisation = "as_norm" if normalised else "none"
    contract = {
        "scoring": {"backend": backend, "normalisation": normalisation, "top_n": TOP},
        "decision": {"scale": 2.0, "offset": -1.0},
    }
    run = {"artefact": digest, "task": "verification", "contract": contract}
    (folder / "run.json").write_text(json.dumps(run))
    rows: list[Any] = vectors.tolist()
    rows[2] = None
    table = pyarrow.table(
        {
            "path": [f"/data/s{n % 3}/r{n}.wav" for n in range(len(rows))],
            "embedding": pyarrow.array(rows, pyarrow.list_(pyarrow.float32(), DIM)),
        }
    )
    for number, part in enumerate((table[:5], table[5:])):
        pyarrow.parquet.write_table(part, folder / "shards" / f"{number:08d}.parquet")
    return folder


@pytest.mark.parametrize("form", ["crossed", "dense", "scattered"])
@pytest.mark.parametrize("with_cohort", [True, False], ids=["AS-norm", "cosine"])
def test_pairs_score_as_one_at_a_time(form: str, with_cohort: bool) -> None:
    vectors, cohort = unit_vectors(400, 1), unit_vectors(COHORT, 2)
    generator = torch.Generator().manual_seed(3)
    if form != "scattered":
        pairs = torch.cartesian_prod(torch.arange(5, 40), torch.arange(100, 180))
        shuffled = torch.randperm(len(pairs), generator=generator)
        pairs = pairs if form == "crossed" else pairs[shuffled]
    else:
        pairs = torch.randint(0, 400, (trials._GATHERED + 100, 2), generator=generator)
    enrol, test = pairs.int().T.contiguous()
    scorer = PairScorer(vectors, cohort if with_cohort else None, TOP)
    found = torch.cat(
        [scorer.score(a, b) for a, b in zip(enrol.split(960), test.split(960), strict=True)]
    )
    exact = vectors.double()
    expected = (exact[enrol] * exact[test]).sum(1)
    if with_cohort:
        norm = ScoreNorm(cohort.double(), "as", TOP)
        few = slice(0, 500)
        expected = torch.stack([norm(exact[[a]], exact[[b]])[0, 0] for a, b in pairs[few].tolist()])
        found = found[few]
    assert torch.allclose(found.double(), expected, rtol=0, atol=2e-5 if with_cohort else 1e-6)


def test_products_of_two_sets_are_known_as_such() -> None:
    rows, columns = torch.cartesian_prod(torch.arange(7), torch.arange(10, 210)).T.numpy()
    assert trials._width(rows, columns) == 200
    assert trials._width(rows[:200], columns[:200]) == 200
    assert trials._width(rows[1:], columns[1:]) == 0
    swapped = columns.copy()
    swapped[[500, 501]] = columns[[501, 500]]
    assert trials._width(rows, swapped) == 0


def test_both_ways_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pairs, once as a part of a matrix and once gathered."""
    vectors = unit_vectors(50, 1)
    enrol, test = torch.cartesian_prod(*2 * [torch.arange(50, dtype=torch.int32)]).T.contiguous()
    order = torch.randperm(len(enrol))
    enrol, test = enrol[order], test[order]
    dense = PairScorer(vectors).score(enrol, test)
    monkeypatch.setattr(trials, "_DENSE", 2.0)
    gathered = PairScorer(vectors).score(enrol, test)
    assert torch.allclose(dense, gathered, rtol=0, atol=1e-6) and not torch.equal(dense, gathered)


def pair_file(folder: Path, kind: str) -> Path:
    """All pairs of recordings 0, 1 and 3 with 4, 5 and 6, by name."""
    pairs = [(f"r{a}", f"r{b}") for a in (0, 1, 3) for b in (4, 5, 6)]
    path = folder / f"pairs.{'txt' if kind in ('plain', 'kaldi', 'voxceleb') else kind}"
    form = {
        "plain": "{0} {1}\n",
        "kaldi": "{0}  {1}\ttarget\n",
        "voxceleb": "1 {0} {1}\n",
        "csv": "{0},{1},nontarget\n",
    }
    if kind == "parquet":
        columns = {"enrol": [a for a, _ in pairs], "test": [b for _, b in pairs]}
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
        return path
    lines = "".join(form[kind].format(*pair) for pair in pairs)
    path.write_text(("enrol,test,key\n" if kind == "csv" else "") + lines)
    return path


@pytest.mark.parametrize("kind", ["plain", "kaldi", "voxceleb", "csv", "parquet"])
def test_lists_of_all_kinds_give_the_same_scores(
    kind: str, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "BLOCK", 4)
    vectors = unit_vectors(8, 1)
    run = write_run(tmp_path / "run", vectors)
    out = tmp_path / "scores.txt"
    ran = command("trials", run, pair_file(tmp_path, kind), "--out", out)
    assert ran.code == 0 and "9 pairs scored" in ran.out, ran
    for line in out.read_text().splitlines():
        enrol, test, score = line.split(" ")
        expected = vectors[int(enrol[1:])] @ vectors[int(test[1:])]
        assert float(score) == pytest.approx(float(expected), abs=1e-6)
    tables = []
    for name in ("scores.csv", "scores.parquet"):
        assert command("trials", run, pair_file(tmp_path, kind), "--out", tmp_path / name).code == 0
    tables = [
        pyarrow.csv.read_csv(tmp_path / "scores.csv").to_pylist(),
        pyarrow.parquet.read_table(tmp_path / "scores.parquet").to_pylist(),
    ]
    for table in tables:
        assert len(table) == 9
        for row in table:
            assert row["llr"] == pytest.approx(2 * row["score"] - 1, abs=1e-6)
            assert ("key" in row) == (kind in ("kaldi", "csv"))


def test_a_plda_is_not_scored_as_a_cosine(tmp_path: Path, command: Command) -> None:
    run = write_run(tmp_path / "run", unit_vectors(8, 1), backend="plda")
    out = tmp_path / "scores.txt"
    refused = command("trials", run, pair_file(tmp_path, "plain"), "--out", out)
    assert_refused(refused, "scores by plda, trials by cosines only")
    assert not out.exists()


def test_scores_of_a_cohort_are_those_of_the_library(tmp_path: Path, command: Command) -> None:
    vectors, impostors = unit_vectors(8, 1), unit_vectors(COHORT, 2)
    run = write_run(tmp_path / "run", vectors, normalised=True)
    cohort = write_run(tmp_path / "cohort", impostors)
    pairs = pair_file(tmp_path, "plain")
    out = tmp_path / "scores.txt"
    refused = command("trials", run, pairs, "--out", out)
    assert_refused(refused, "normalises scores by a cohort; give one")
    ran = command("trials", run, pairs, "--out", out, "--cohort", cohort)
    assert ran.code == 0, ran
    norm = ScoreNorm(impostors[[n for n in range(COHORT) if n != 2]], "as", TOP)
    for line in out.read_text().splitlines():
        enrol, test, score = line.split(" ")
        expected = norm(vectors[[int(enrol[1:])]], vectors[[int(test[1:])]])
        assert float(score) == pytest.approx(float(expected), abs=2e-5)
    other = write_run(tmp_path / "other", impostors, digest="b")
    assert_refused(
        command("trials", run, pairs, "--out", out, "--cohort", other), "is of another artefact"
    )
    refused = command("trials", run, pairs, "--out", out, "--cohort", cohort, "--top", 99)
    assert_refused(refused, "top: expected 2 to 29, the size of the cohort, got 99")


def test_a_cohort_of_one_voice_is_refused() -> None:
    vectors = unit_vectors(4, 1)
    scorer = PairScorer(vectors, vectors[:1].repeat(5, 1), 4)
    with pytest.raises(InputError, match="expected recordings that differ"):
        scorer.score(*torch.tensor([[0], [1]], dtype=torch.int32))


def test_pairs_without_an_embedding_are_left_out_and_counted(
    tmp_path: Path, command: Command
) -> None:
    run = write_run(tmp_path / "run", unit_vectors(8, 1))
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("s0/r0.wav s1/r1.wav\ns2/r2.wav s1/r1.wav\n")
    ran = command("trials", run, pairs, "--out", tmp_path / "scores.txt")
    assert ran.code == 0 and "1 pairs are left out" in ran.err, ran
    assert len((tmp_path / "scores.txt").read_text().splitlines()) == 1


def test_what_is_no_list_or_no_run_is_refused(tmp_path: Path, command: Command) -> None:
    run = write_run(tmp_path / "run", unit_vectors(8, 1))
    out = tmp_path / "scores.txt"

    def refused(text: str, said: str, name: str = "pairs.txt") -> None:
        (tmp_path / name).write_text(text)
        assert_refused(command("trials", run, tmp_path / name, "--out", out), said)
        assert not out.exists()

    refused("r0 r1\nr0 r99\n", "contains no recording 'r99'")
    refused("r98 r99\n", "contains no recording 'r98'")
    refused("", "contains no keys")
    refused("r0 r1\nr0\n", "Expected 2 columns, got 1")
    refused("S r0 - - spoof\n", "lists recordings")
    refused("no Parquet", "cannot be read", "pairs.parquet")
    refused("r2 r0\n", "no pairs that could be scored")
    ran = command("trials", tmp_path, tmp_path / "pairs.txt", "--out", out)
    assert_refused(ran, "is not the folder of a bulk run")
