"""The shared tables of contracts, in C++ under the sanitizers."""

import subprocess
from pathlib import Path

import pytest
from contract_table import STREAMING, TASKS_OF_WINDOWS, contract_cases
from native_helpers import built


@pytest.mark.parametrize("table", [TASKS_OF_WINDOWS, STREAMING])
def test_takes_the_good_and_refuses_the_bad(table: str, tmp_path: Path) -> None:
    program, cases = built("native-sanitize", "read_contract"), contract_cases(table)
    paths = [tmp_path / f"{number}.json" for number in range(len(cases))]
    for path, case in zip(paths, cases, strict=True):
        path.write_bytes(case.text.encode("utf-8"))
    ran = subprocess.run(
        [str(program)],
        input="".join(f"{path}\n" for path in paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert len(lines) == len(cases)
    for case, line in zip(cases, lines, strict=True):
        assert line == "ok" if case.good else line.startswith("error: score contract: "), (
            case.name,
            line,
        )
