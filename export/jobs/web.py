"""The folder of a page that scores in a browser: page, runtime and model, as they are served."""

import hashlib
import json
from pathlib import Path

import export
from export.errors import InputError, MissingPackageError
from export.files import listed_files, staged_folder
from export.runtime.live import LIVE
from export.runtime.scorer import load_scorer

MODEL = "model.onnx"
INDEX = "files.json"
"""Says which files the folder holds; the page keeps these for when there is no network."""

_DEMO = Path(export.__file__).resolve().parent.parent / "web_demo"
_RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
_PACKAGE = Path("node_modules/onnxruntime-web")


def write_page(artifact: Path, out: Path, demo: Path = _DEMO) -> list[str]:
    """Write the whole folder, or nothing; what an earlier run wrote there is replaced.

    Args:
        artifact: an ``.onnx`` file of a spoofing scorer.
        out: a new folder, or one of an earlier page.
        demo: where the page's sources and its installed packages are.

    Returns:
        The names of the files.

    Raises:
        InputError: if the artefact cannot be scored with, or the folder holds something else.
        MissingPackageError: if the sources or the runtime for browsers are not there.
    """
    if artifact.suffix != ".onnx":
        raise InputError(f"{artifact}: expected an .onnx file, which a browser can run")
    scorer = load_scorer(artifact)
    if scorer.artefact.input_shape(LIVE) is not None:
        raise InputError(
            f"{artifact}: has a method {LIVE}, and the page takes a file of forward alone: "
            "export it without --live"
        )
    listed = listed_files(out, INDEX, lambda document: document["files"], "such page")
    sources = {**_page(demo), **_runtime(demo), MODEL: artifact}
    with staged_folder(out, ours=listed) as staging:
        digest = hashlib.sha256()
        for name, source in sorted(sources.items()):
            content = source.read_bytes()
            digest.update(f"{name}\n{len(content)}\n".encode() + content)
            (staging / name).write_bytes(content)
        index = {"version": digest.hexdigest(), "files": sorted(sources)}
        (staging / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    return [*sorted(sources), INDEX]


def _page(demo: Path) -> dict[str, Path]:
    """The page's files by name; the folder that is served is flat."""
    found = {path.name: path for path in (demo / "page").glob("*") if path.is_file()}
    if "index.html" not in found:
        raise MissingPackageError(
            f"{demo}: the page's sources are not there: run it in a checkout of the repository"
        )
    return found


def _runtime(demo: Path) -> dict[str, Path]:
    package = demo / _PACKAGE
    found = {name: package / "dist" / name for name in _RUNTIME}
    if not all(path.is_file() for path in found.values()):
        raise MissingPackageError(
            "the runtime for browsers is not installed: make web-packages installs it"
        )
    return found
