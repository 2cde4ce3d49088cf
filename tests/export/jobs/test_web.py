"""The folder of the page that scores in a browser."""

import json
from pathlib import Path

import pytest
from artefact_helpers import Artefacts, Command, assert_refused

from export.errors import InputError, MissingPackageError
from export.jobs.web import INDEX, MODEL, write_page

ROOT = Path(__file__).resolve().parents[3]
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """The page's own sources beside a stand-in for the runtime that npm installs."""
    folder = tmp_path / "web_demo"
    folder.mkdir()
    (folder / "page").symlink_to(ROOT / "web_demo" / "page")
    packages = folder / "node_modules/onnxruntime-web/dist"
    packages.mkdir(parents=True)
    for name in RUNTIME:
        (packages / name).write_text(name)
    return folder


def test_the_folder_holds_page_runtime_and_model(
    artefacts: Artefacts, demo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page"
    names = write_page(artefacts.path("onnx"), out, demo)
    assert sorted(names) == sorted(path.name for path in out.iterdir())
    assert {"index.html", "worker.js", MODEL, *RUNTIME} <= set(names)
    assert (out / MODEL).read_bytes() == artefacts.path("onnx").read_bytes()
    index = json.loads((out / INDEX).read_text())
    assert {*index["files"], INDEX} == set(names)


def test_a_page_is_replaced_and_what_is_not_of_it_stays(
    artefacts: Artefacts, demo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page"
    write_page(artefacts.path("onnx"), out, demo)
    index = json.loads((out / INDEX).read_text())
    index["files"].append("old.js")
    (out / INDEX).write_text(json.dumps(index))
    for name in ("old.js", "mine.txt"):
        (out / name).write_text(name)
    write_page(artefacts.path("onnx"), out, demo)
    assert (out / "mine.txt").exists() and not (out / "old.js").exists()


def test_a_folder_of_something_else_is_left_alone(
    artefacts: Artefacts, demo: Path, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("my own")
    with pytest.raises(InputError, match="exists and contains no such page"):
        write_page(artefacts.path("onnx"), tmp_path, demo)
    assert (tmp_path / "index.html").read_text() == "my own"


def test_what_is_missing_is_named(artefacts: Artefacts, demo: Path, tmp_path: Path) -> None:
    out = tmp_path / "page"
    with pytest.raises(MissingPackageError, match="in a checkout of the repository"):
        write_page(artefacts.path("onnx"), out, tmp_path / "nowhere")
    (demo / "node_modules/onnxruntime-web/dist" / RUNTIME[2]).unlink()
    with pytest.raises(MissingPackageError, match="make web-packages installs it"):
        write_page(artefacts.path("onnx"), out, demo)
    assert not out.exists()


def test_only_a_whole_onnx_file_is_taken(
    artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    path = artefacts.path("torchscript")
    ran = command("web", path, "--out", tmp_path / "page")
    assert_refused(ran, f"{path}: expected an .onnx file")
    content = bytearray(artefacts.path("onnx").read_bytes())
    content[len(content) // 2] ^= 1
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(content)
    ran = command("web", damaged, "--out", tmp_path / "page")
    assert_refused(ran, f"{damaged}: damaged: its sha256")
    assert not (tmp_path / "page").exists()


def test_the_page_names_every_file_that_it_loads() -> None:
    page = ROOT / "web_demo" / "page"
    html = (page / "index.html").read_text()
    assert "default-src 'none'" in html and "connect-src 'self'" in html
    assert "http://" not in html and "https://" not in html
    scripts = "".join(path.read_text() for path in page.glob("*.js"))
    for path in page.glob("*.js"):
        assert f"./{path.name}'" in scripts or f'"{path.name}"' in html, path.name
