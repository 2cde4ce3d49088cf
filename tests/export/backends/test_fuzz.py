"""Damage at random: bits, ends, and contracts, in every format.

A few of each here; ``make test-fuzz`` tries 200 flips, 20 truncations and 100 contracts a format,
and prints the counts.
"""

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from artefact_helpers import RUNNABLE, Artefacts, voice

from export.backends._seal import seal
from export.errors import ArtefactError
from export.runtime.contract import parse_any

ROOT = Path(__file__).resolve().parents[3]
FULL = os.environ.get("SCRIPTABLE_FUZZ") == "full"
FLIPS, CUTS, EDITS = (200, 20, 100) if FULL else (12, 4, 10)
WAVE = voice(5000)
LETTERS = '0123456789.,:"{}[]-+eE truefalsn\\\x01\xe9'


class Worker:
    """The process that loads and scores; started anew after a crash."""

    def __init__(self, folder: Path) -> None:
        self.wave = folder / "wave.pt"
        torch.save(WAVE, self.wave)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fuzz_worker.py")), str(self.wave)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def ask(self, path: Path) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(f"{path}\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return dict(json.loads(line))
        self.stop()
        crashed = {"crash": self.process.returncode}
        self.start()
        return crashed

    def stop(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            # What could not be written to a process that is gone is lost.
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        self.process.wait(60)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    made = Worker(tmp_path_factory.mktemp("worker"))
    yield made
    made.stop()


def copy_of(path: Path, folder: Path) -> Path:
    target = folder / path.name
    if target.exists():
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    (shutil.copytree if path.is_dir() else shutil.copy)(path, target)
    return target


def a_part(path: Path, draw: random.Random) -> Path:
    """The file, or one of a package's, by its size."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return draw.choices(files, weights=[1 + p.stat().st_size for p in files])[0]


def told(name: str, what: str, answers: list[dict[str, Any]], capsys: Any) -> Counter[str]:
    """How often each kind of answer came; printed in the full run."""
    counts = Counter(next(iter(answer)) for answer in answers)
    if FULL:
        with capsys.disabled():
            print(f"\n{name}: {len(answers)} {what}: {dict(counts)}")
    assert not counts["crash"] and not counts["traceback"], answers
    assert all("\n" not in answer.get("refused", "") for answer in answers)
    return counts


@pytest.mark.parametrize("name", RUNNABLE)
def test_flipped_bits(
    artefacts: Artefacts, name: str, tmp_path: Path, worker: Worker, capsys: Any
) -> None:
    expected = worker.ask(artefacts.path(name))["score"]
    draw, answers = random.Random(f"flips {name}"), []
    for _ in range(FLIPS):
        path = copy_of(artefacts.path(name), tmp_path)
        part = a_part(path, draw)
        content = bytearray(part.read_bytes())
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        part.write_bytes(content)
        answers.append(worker.ask(path))
    told(name, "flips", answers, capsys)
    assert all(answer.get("score", expected) == expected for answer in answers)


@pytest.mark.parametrize("name", RUNNABLE)
def test_truncations(
    artefacts: Artefacts, name: str, tmp_path: Path, worker: Worker, capsys: Any
) -> None:
    draw, answers = random.Random(f"cuts {name}"), []
    for _ in range(CUTS):
        path = copy_of(artefacts.path(name), tmp_path)
        part = a_part(path, draw)
        part.write_bytes(part.read_bytes()[: draw.randrange(part.stat().st_size)])
        answers.append(worker.ask(path))
    assert told(name, "truncations", answers, capsys)["refused"] == CUTS


def with_contract(path: Path, old: bytes, new: bytes) -> None:
    """The file with another contract of the same length, sealed as whoever changed it would."""
    if path.is_dir():
        path = next(path.rglob("model.mlmodel"))
    if not zipfile.is_zipfile(path):
        content = path.read_bytes()
        assert content.count(old) == 1
        path.write_bytes(content.replace(old, new))
        return
    with zipfile.ZipFile(path) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries:
            kept = new if entry.filename.endswith("/contract.json") else content
            archive.writestr(entry, kept)


def edited(text: bytes, draw: random.Random) -> bytes:
    """One to three letters changed; a text stays one of UTF-8 letters, of the same length."""
    letters = bytearray(text)
    for _ in range(draw.randint(1, 3)):
        letters[draw.randrange(len(letters))] = ord(draw.choice(LETTERS)) & 0x7F
    return bytes(letters)


@pytest.mark.parametrize("name", RUNNABLE)
def test_edited_contracts(
    artefacts: Artefacts, name: str, tmp_path: Path, worker: Worker, capsys: Any
) -> None:
    """Taken where the contract alone is one that can be kept, and refused in one line else."""
    scorer = artefacts.scorer(name)
    text = scorer.artefact.contract().encode("utf-8")
    window = f'"num_samples": {scorer.contract.windows.num_samples}'.encode()
    draw, answers = random.Random(f"edits {name}"), []
    for _ in range(EDITS):
        path = copy_of(artefacts.path(name), tmp_path)
        new = edited(text, draw)
        with_contract(path, text, new)
        seal(path)
        answers.append(worker.ask(path))
        try:
            contract = parse_any(new.decode("utf-8"), "x")
        except ArtefactError:
            assert "refused" in answers[-1], (new, answers[-1])
            continue
        same = contract.weights_sha256 == scorer.contract.weights_sha256
        keeps = window in new and (same or scorer.artefact.weights() is None)
        assert ("score" in answers[-1]) == keeps, (new, answers[-1])
    told(name, "contracts", answers, capsys)


def test_the_worker_tells_a_crash(worker: Worker, artefacts: Artefacts, tmp_path: Path) -> None:
    """Else none of the tests above could see one."""
    worker.process.kill()
    worker.process.wait(60)
    assert worker.ask(tmp_path) == {"crash": -9}
    assert "score" in worker.ask(artefacts.path("torchscript"))
