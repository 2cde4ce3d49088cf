"""``metrics`` on the folder of a bulk run."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from artefact_helpers import Command, assert_refused

COUNT = 40


def write_run(folder: Path, **more: list[Any]) -> Path:
    """Two shards, in which the last recording is an error."""
    scores: list[float | None] = [index % 7 + 3.0 * (index % 2) for index in range(COUNT)]
    columns: dict[str, list[Any]] = {
        "path": [f"/data/eval/s{index % 2}/r{index}.wav" for index in range(COUNT)],
        "score": [*scores[:-1], None],
        "llr": [*(2 * score - 1 for score in scores[:-1] if score is not None), None],
        "error": [*[None] * (COUNT - 1), "damaged"],
        **more,
    }
    (folder / "shards").mkdir(parents=True)
    table = pyarrow.table(columns)
    for number, part in enumerate((table[:25], table[25:])):
        pyarrow.parquet.write_table(part, folder / "shards" / f"{number:08d}.parquet")
    return folder


def keys_of(form: str) -> str:
    lines = (form.format(index=index, half=index % 2) for index in range(COUNT))
    return "".join(
        f"S {name} - - {('spoof', 'bonafide')[index % 2]}\n" for index, name in enumerate(lines)
    )


@pytest.mark.parametrize(
    "form", ["r{index}", "r{index}.wav", "s{half}/r{index}", "/data/eval/s{half}/r{index}.wav"]
)
def test_a_protocol_may_call_recordings_by_path_or_name(
    form: str, tmp_path: Path, command: Command
) -> None:
    run = write_run(tmp_path / "run")
    protocol = tmp_path / "keys.txt"
    protocol.write_text(keys_of(form))
    ran = command("metrics", run, "--protocol", protocol, "--json")
    assert ran.code == 0, ran
    assert "1 recordings have no score, and are left out" in ran.err
    found = json.loads(ran.out)
    assert found["counts"] == {"bonafide": 19, "spoof": 20}

    scores = tmp_path / "scores.txt"
    rows = [
        row
        for path in sorted((run / "shards").iterdir())
        for row in pyarrow.parquet.read_table(path).to_pylist()
    ]
    lines = [f"{Path(row['path']).stem} {row['score']}\n" for row in rows[:-1]]
    scores.write_text("".join(lines))
    keys = tmp_path / "by_name.txt"
    keys.write_text("".join(keys_of("r{index}").splitlines(True)[:-1]))
    same = json.loads(command("metrics", scores, "--protocol", keys, "--json").out)
    assert found["eer"]["rate"] == same["eer"]["rate"]
    assert found["min_dcf"]["cost"] == same["min_dcf"]["cost"]


def test_keys_may_be_a_column_that_was_carried_through(tmp_path: Path, command: Command) -> None:
    keys = [("spoof", "bonafide")[index % 2] for index in range(COUNT)]
    ran = command("metrics", write_run(tmp_path / "run", key=keys), "--json")
    assert ran.code == 0, ran
    assert json.loads(ran.out)["counts"] == {"bonafide": 19, "spoof": 20}


def test_what_is_no_run_or_fits_no_protocol_is_refused(tmp_path: Path, command: Command) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(command("metrics", tmp_path / "empty"), "not the folder of a bulk run")
    run = write_run(tmp_path / "run")
    protocol = tmp_path / "keys.txt"
    protocol.write_text(keys_of("other{index}"))
    assert_refused(command("metrics", run, "--protocol", protocol), "no recording 'other0'")
    alike = write_run(tmp_path / "alike", file=["a"] * COUNT)
    protocol.write_text("S a - - spoof\n")
    assert_refused(command("metrics", alike, "--protocol", protocol), "are called 'a'")
