"""README and docs: every block of code runs, every link resolves, every name exists."""

import csv
import re
import shutil
from pathlib import Path

import pytest
import torch
from artefact_helpers import Artefacts, Command, voice, write_wav
from doc_blocks import DEVICE_PAGES, LANGUAGES, PAGES, ROOT, parse
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from test_verify import Made
from toolkits import imported

import matrix
import scriptable
from export.catalog import rows

README = (ROOT / "README.md").read_text()
MARKDOWN = MarkdownIt("commonmark").enable("table").use(anchors_plugin, max_level=4)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small verifier of both tasks."""
    return Made(tmp_path_factory.mktemp("verifiers"))


@pytest.fixture
def workplace(
    tmp_path: Path, artefacts: Artefacts, made: Made, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A folder with what the pages' commands name: a small demo's files, recordings, trials."""
    demo = tmp_path / "build" / "demo"
    demo.mkdir(parents=True)
    for backend in ("torchscript", "executorch_xnnpack", "coreml", "onnx"):
        path = artefacts.path(backend)
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, demo / path.name.replace("tiny", "spoof_scorer"))
    joint = tmp_path / "build" / "demo-sasv" / "sasv_verifier.pt"
    joint.parent.mkdir()
    shutil.copy(made.path("sasv", "torchscript"), joint)
    for i, name in enumerate(("a1", "a2", "b")):
        write_wav(tmp_path / f"{name}.wav", voice(9000, seed=i))
    write_wav(tmp_path / "my.wav", voice(9000))
    write_wav(tmp_path / "other.flac", voice(5000, seed=1))
    with (demo / "scores.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["part", "key", "file", "score", "llr"])
        for i in range(40):
            key, score = ("bonafide", 1.0 + i % 7) if i % 2 else ("spoof", 0.5 + i % 5 - 2.0)
            lines.writerow(["held_out", key, f"f{i}", score, 2 * score - 1])
    for i in range(4):
        write_wav(tmp_path / "recordings" / f"t{i}.wav", voice(5000, seed=i))
    keys = "".join(f"S t{i} - - {('spoof', 'bonafide')[i % 2]}\n" for i in range(4))
    (tmp_path / "trials.txt").write_text(keys)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("scriptable.config._REGISTERED", {})
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page: Path, workplace: Path, command: Command) -> None:
    if "from scriptable.compat.espnet" in page.read_text():
        imported("espnet2")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for example in parse(page, command):
            example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_in_a_language_that_is_checked(page: Path) -> None:
    fences = [token for token in MARKDOWN.parse(page.read_text()) if token.type == "fence"]
    assert {fence.info for fence in fences} <= LANGUAGES | {"{toctree}", "{eval-rst}"}
    assert not [t for t in MARKDOWN.parse(page.read_text()) if t.type == "code_block"]


@pytest.mark.parametrize("page", [*PAGES, *DEVICE_PAGES], ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            assert link.startswith("https://"), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def links(text: str) -> list[str]:
    """Targets of all links and pictures of a page."""
    inline = [child for token in MARKDOWN.parse(text) for child in token.children or []]
    return [str(t.attrGet("href") or t.attrGet("src")) for t in inline if _is_link(t)]


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings."""
    return {
        str(token.attrGet("id"))
        for token in MARKDOWN.parse(page.read_text())
        if token.type == "heading_open"
    }


def _is_link(token: Token) -> bool:
    return token.type in ("link_open", "image")


def test_every_entry_belongs_to_a_line_of_the_matrix() -> None:
    assert {matrix.family(row.entry) for row in rows()} == set(matrix.FAMILIES.values())


def test_an_entry_of_no_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert matrix.family("SphereFace2") == matrix.family("LogSoftmaxWrapper") == "heads"
    assert matrix.family("PitWrapper") == "separation"
    monkeypatch.setattr(scriptable, "odd", lambda: None, raising=False)
    with pytest.raises(ValueError, match="is in no folder"):
        matrix.family("odd")


def test_the_readme_is_short_and_its_first_screen_has_both_commands() -> None:
    lines = README.splitlines()
    assert len(lines) <= 230
    assert {"$ make demo", "$ make test"} <= {line.partition("  ")[0] for line in lines[:25]}


def test_the_matrix_counts_a_gap_as_none_passing() -> None:
    record = {"entry": "mse_loss", "variant": "", "method": "forward", "backend": "lite"}
    good = {**record, "content": "example", "status": "pass", "max_abs_error": 1e-6}
    bad = {**record, "content": "other", "status": "waived", "max_abs_error": None}
    table = matrix.matrix([{**good, "tolerance": 1e-5}, {**bad, "tolerance": None}])
    assert "| losses over frames | ✗ 0 of 1 |" in table
    assert "| largest error / tolerance | 10.0% |" in table


def test_names_in_tables_are_public() -> None:
    table = README.split("| heads |")[1].split("\n\n")[0]
    for name in re.findall(r"`([A-Za-z_0-9]+)`", table):
        assert hasattr(scriptable, name), name
