"""Ratios kept per commit, and what compares them."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import command, history, readme
from benchmarks.cases import cases
from benchmarks.peers import with_version

VERSIONS = {"torch": "9.9", "speechbrain": "1.2", "executorch": "3.0", "espnet": "not installed"}


def document(ratio: float = 1.0, size: float = 0.2) -> dict[str, Any]:
    record = {"name": "mse_loss", "shape": "B2", "device": "cpu", "peer": "speechbrain"}
    record |= {"limit": None, "ratio": ratio, "ratio_ci": [ratio, ratio], "target": 1.0}
    record |= {"met": ratio <= 1.0, "ours_ms": 1.0, "ours_mb": 1.0, "peer_mb": 1.0}
    common = {"name": "LogMel", "shape": "512", "backend": "coreml"}
    file = {**common, "backend": "executorch_xnnpack"}
    file |= {"beside": "one convolution", "ms": 1.0, "its_ms": 2.0, "ratio": 0.5}
    file |= {"ratio_ci": [0.4, 0.6], "target": 0.5, "met": True, "bytes": 300_000}
    file |= {"its_bytes": 1_500_000, "bytes_ratio": size, "size_target": 0.25}
    file |= {"size_met": size <= 0.25}
    return {
        "versions": VERSIONS,
        "machine": {"processor": "A processor"},
        "only": ["frontend"],
        "records": [record],
        "forward": [record],
        "memory": [{**record, "reference": "speechbrain", "ratio": 1.0}],
        "files": [file, {**common, "beside": "one convolution", "reason": "not installed"}],
    }


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ("speechbrain", "speechbrain 1.2"),
        ("F.mse_loss", "F.mse_loss 9.9"),
        ("ExecuTorch's mel spectrogram", "ExecuTorch's mel spectrogram 3.0"),
        ("espnet", "espnet"),
        ("nested loops", "nested loops"),
    ],
)
def test_what_a_ratio_is_compared_with_has_its_version(beside: str, expected: str) -> None:
    assert with_version(beside, VERSIONS) == expected


def test_rows_have_the_family_of_their_file() -> None:
    families = {row.name: row.family for row in cases()}
    assert families["LogMel"] == families["LFCC"] == "frontend"
    assert families["GE2ELoss"] == "metric"


def test_every_ratio_is_kept_with_its_interval() -> None:
    found = history.rows(document())
    assert found.keys() == {
        "mse_loss, B2, forward and backward / speechbrain",
        "mse_loss, B2, forward / speechbrain",
        "mse_loss, B2, memory / speechbrain",
        "LogMel, 512, executorch_xnnpack, time / one convolution",
        "LogMel, 512, executorch_xnnpack, bytes / one convolution",
    }
    row = found["LogMel, 512, executorch_xnnpack, time / one convolution"]
    assert row == {"ratio": 0.5, "interval": [0.4, 0.6], "beside": "one convolution"}
    assert found["mse_loss, B2, forward / speechbrain"]["beside"] == "speechbrain 1.2"


def test_a_commits_file_grows_with_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "commit", lambda: "abc")
    first = document()
    first["records"] = first["forward"] = first["memory"] = []
    assert history.keep(first, tmp_path) == tmp_path / "abc.json"
    second = document()
    second["files"] = []
    history.keep(second, tmp_path)
    assert len(history.load(tmp_path / "abc.json")["rows"]) == 5
    # Another machine's ratios do not stand beside these.
    second["machine"] = {"processor": "Another"}
    history.keep(second, tmp_path)
    assert len(history.load(tmp_path / "abc.json")["rows"]) == 3


def test_the_commit_says_whether_files_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert history.commit() == "unknown"
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org"]
    (tmp_path / "a").write_text("1")
    for words in (["init", "-q"], ["add", "a"], ["commit", "-qm", "A"]):
        subprocess.run([*git, *words], check=True)
    name = history.commit()
    assert len(name) == 10 and "-" not in name
    (tmp_path / "b").write_text("not of the commit")
    assert history.commit() == name
    (tmp_path / "a").write_text("2")
    assert history.commit() == f"{name}-changed"


def keep(folder: Path, name: str, found: dict[str, Any]) -> Path:
    path = folder / f"{name}.json"
    head = {"commit": name, "processor": "P", "versions": found["versions"]}
    path.write_text(json.dumps({**head, "rows": history.rows(found)}))
    return path


def run(*arguments: object) -> Any:
    return CliRunner().invoke(command.app, ["compare", *map(str, arguments)])


def test_ratios_that_have_grown_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "FOLDER", tmp_path)
    old = keep(tmp_path, "aaa111", document())
    new = keep(tmp_path, "bbb222", document(ratio=1.09, size=0.23))
    result = run(old, new)
    assert result.exit_code == 1
    assert "LogMel, 512, executorch_xnnpack, bytes" in result.output.replace("\n", " ")
    assert "1.15" in result.output and "mse_loss" not in result.output
    assert "1 of 5 ratios have grown by more than 10 %" in result.output
    result = run(new, old)
    assert result.exit_code == 0 and "0 of 5 ratios" in result.output


def test_what_else_has_changed_is_said(tmp_path: Path) -> None:
    old = keep(tmp_path, "a", document())
    changed = {**document(), "versions": {**VERSIONS, "torch": "10.0"}, "memory": []}
    result = run(old, keep(tmp_path, "b", changed))
    assert result.exit_code == 0
    assert "torch: 9.9, now 10.0" in result.output
    assert "not measured again: 1 of 5 ratios" in result.output


def test_commits_are_found_by_their_beginning(tmp_path: Path) -> None:
    for name in ("aaa111", "aaa222", "aaa222-changed"):
        keep(tmp_path, name, document())
    assert history.find("aaa1", tmp_path).stem == "aaa111"
    assert history.find("aaa222", tmp_path).stem == "aaa222"
    for name in ("aaa", "zzz"):
        with pytest.raises(ValueError, match=f"^{name}: expected a file, or a commit with one"):
            history.find(name, tmp_path)


@pytest.mark.parametrize("name", ["", "*", "**", "/none/a.json", "none/a.json", ".."])
def test_what_is_neither_a_file_nor_a_commit_is_a_bad_usage(name: str, tmp_path: Path) -> None:
    keep(tmp_path, "aaa111", document())
    with pytest.raises(ValueError, match=r"expected a file, or a commit with one .* got none$"):
        history.find(name, tmp_path)


def kept_text(ratio: str = "1.0", beside: str = '"x 1"', versions: str = '{"torch": "1"}') -> str:
    row = f'{{"ratio": {ratio}, "beside": {beside}}}'
    return f'{{"versions": {versions}, "rows": {{"a": {row}}}}}'


def test_the_shape_of_a_kept_file_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(kept_text())
    assert run(path, path).exit_code == 0


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "[" * 100_000, '{"rows": {}}'),
        *(kept_text(ratio=r) for r in ("0", "-1", '"2"', "true", "NaN", "Infinity", "null")),
        *(kept_text(beside="3"), kept_text(versions='["torch"]'), kept_text(versions='{"a": 1}')),
        kept_text().replace('"beside"', '"reason"'),
    ],
    ids=lambda text: text[:80],
)
def test_another_file_is_a_bad_usage(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    result = run(path, path)
    assert result.exit_code == 2 and "not a file of ratios" in result.output


def test_a_run_of_the_front_ends_fills_its_own_place(tmp_path: Path) -> None:
    source, target = tmp_path / "bench.json", tmp_path / "page.md"
    source.write_text(json.dumps(document(ratio=1.2, size=0.3)))
    outer = f"{readme.START}\nkept\n{readme.END}\n"
    target.write_text(f"{outer}{readme.FRONT_START}\nold\n{readme.FRONT_END}\n")
    readme.fill(source, target)
    text = target.read_text()
    assert text.startswith(outer) and "\nold\n" not in text
    assert (
        "| `LogMel`, 512 | `executorch_xnnpack` | 1 | 300 | one convolution: 2 ms, 1500 kB" in text
    )
    assert "| 0.5 (0.4–0.6) | ≤ 0.5 | 0.3 | ≤ 0.25, missed |" in text
    assert "- `mse_loss` (B2): 1.2 × the time of speechbrain, forward alone" in text
    found = document()
    found["files"] = []
    source.write_text(json.dumps(found))
    with pytest.raises(ValueError, match="neither a full run nor one of the front ends"):
        readme.fill(source, target)
