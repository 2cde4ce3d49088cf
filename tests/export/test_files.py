"""What is written: whole or not at all, by one at a time, and never over what is not ours."""

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from artefact_helpers import Artefacts, Command, assert_refused

from export.errors import InputError
from export.files import STAGING, check_output, replacing, staged_folder


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def put(path: Path, text: str = "old") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# One file.


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = put(tmp_path / "new" / "a.json")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert tree(tmp_path) == {"new": None, "new/a.json": b"new"}


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = put(tmp_path / "a.json")
    for target in (path, tmp_path / "not" / "yet" / "b.json"):
        with pytest.raises(KeyboardInterrupt), replacing(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt
    assert tree(tmp_path) == {"a.json": b"old"}


def test_a_folder_a_pipe_and_a_device_are_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "thesis.mlpackage"
    put(folder / "chapter.txt")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (folder, pipe, Path("/dev/null"), tmp_path):
        with pytest.raises(InputError, match=r"never replaced|not a regular file"):
            check_output(path)
        with pytest.raises(InputError), replacing(path):
            raise AssertionError("the block must not be entered")
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(InputError, match="is not a folder"):
        check_output(put(tmp_path / "file") / "below.json")


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    path = put(tmp_path / "far" / "a.json")
    link = tmp_path / "link.json"
    link.symlink_to(path)
    with replacing(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink() and path.read_text() == "new"


def test_only_a_package_of_ours_is_replaced(artefacts: Artefacts, tmp_path: Path) -> None:
    from export import backends
    from export.backends import Source

    path = tmp_path / "tiny.mlpackage"
    package = artefacts.path("coreml")
    backend = backends.all_backends()["coreml"]
    source = Source(
        artefacts.pipeline,
        {"forward": (torch.zeros(1, 4000),)},
        artefacts.text,
    )
    for _ in range(2):
        backends.save(backend, source, path)
    assert sorted(tree(path)) == sorted(tree(package))
    put(path / "mine.txt")
    with pytest.raises(InputError, match="never replaced"):
        backends.save(backend, source, path)
    assert (path / "mine.txt").read_text() == "old"


@pytest.mark.parametrize(
    "words",
    [
        ("metrics", "{scores}", "--plot", "{folder}"),
        ("parity", "--entry", "mse_loss", "--json", "{folder}"),
        ("parity", "--entry", "mse_loss", "--html", "{folder}"),
    ],
)
def test_output_options_refuse_a_folder_before_work_begins(
    words: tuple[str, ...], tmp_path: Path, command: Command
) -> None:
    put(tmp_path / "precious" / "years.txt")
    scores = put(tmp_path / "scores.csv", "file,score,key\na,1,bonafide\nb,0,spoof\n")
    known = {"folder": tmp_path / "precious", "scores": scores}
    assert_refused(command(*(word.format(**known) for word in words)), "never replaced")
    assert tree(tmp_path / "precious") == {"years.txt": b"old"}


# A whole folder.


def test_a_set_takes_its_place_together(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("a", "b", "mine"):
        put(out / name)
    with staged_folder(out) as staging:
        put(staging / "a", "new")
        put(staging / "c", "new")
        assert (out / "a").read_text() == "old" and not (out / "c").exists()
    assert tree(out) == {"a": b"new", "b": b"old", "c": b"new", "mine": b"old"}


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out / "a")
    before = tree(tmp_path)
    for folder in (out, tmp_path / "not" / "yet"):
        with pytest.raises(ZeroDivisionError), staged_folder(folder) as staging:
            put(staging / "a", "new")
            raise ZeroDivisionError
    assert tree(tmp_path) == before


def test_an_entry_that_may_not_be_replaced_stops_the_swap_of_all(tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(out / "a")
    put(out / "z" / "mine")
    before = tree(out)
    with pytest.raises(InputError, match="never replaced"), staged_folder(out) as staging:
        put(staging / "a", "new")
        put(staging / "z", "new")
    assert tree(out) == before


def test_a_swap_that_fails_half_way_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for name in ("a", "b"):
        put(out / name)
    before, real, calls = tree(out), os.replace, []

    def failing(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) == 4:
            raise OSError(errno.EIO, "the disk died")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="the disk died"), staged_folder(out) as staging:
        for name in ("a", "b"):
            put(staging / name, "new")
    assert tree(out) == before


def test_only_what_is_listed_is_touched(tmp_path: Path) -> None:
    for name in ("a", "b", "mine"):
        put(tmp_path / name)
    with staged_folder(tmp_path, ours=("a", "b")) as staging:
        put(staging / "a", "new")
    assert tree(tmp_path) == {"a": b"new", "mine": b"old"}
    refused = pytest.raises(InputError, match="mine: is none of ours")
    with refused, staged_folder(tmp_path, ours=("a",)) as staging:
        put(staging / "mine", "new")
    assert tree(tmp_path) == {"a": b"new", "mine": b"old"}


def test_a_second_writer_is_told(tmp_path: Path) -> None:
    with staged_folder(tmp_path) as staging:
        put(staging / "a", "first")
        told = pytest.raises(InputError, match="another run is writing there")
        with told, staged_folder(tmp_path):
            raise AssertionError("the block must not be entered")
    assert tree(tmp_path) == {"a": b"first"}


WRITER = """
import sys, time
from pathlib import Path
from export.__main__ import main
from export import commands
from export.files import replacing, staged_folder

def work():
    with staged_folder(Path(sys.argv[1])) as staging, replacing(Path(sys.argv[2])) as path:
        (staging / "a").write_text("half")
        path.write_text("half")
        print("ready", flush=True)
        time.sleep(60)

commands.app = lambda **options: work()
main()
"""


@pytest.mark.parametrize(("number", "cleans"), [(signal.SIGTERM, True), (signal.SIGKILL, False)])
def test_a_stopped_process_leaves_nothing_or_the_next_one_clears_it(
    number: signal.Signals, cleans: bool, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    put(out / "a")
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(out), str(tmp_path / "b.json")],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(60) == (143 if cleans else -signal.SIGKILL)
    left = {name for name in tree(out) if name.startswith(STAGING)}
    assert not left if cleans else left
    if cleans:
        assert tree(tmp_path) == {"out": None, "out/a": b"old"}
    with staged_folder(out) as staging:
        put(staging / "a", "new")
    assert tree(out) == {"a": b"new"}


FULL = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from export.__main__ import main
sys.path.append("tests")
from artefact_helpers import Artefacts
from export import commands
from export import backends
from export.backends import Source
import torch

artefacts = Artefacts(Path(sys.argv[2]))

def work():
    source = Source(artefacts.pipeline, {"forward": (torch.zeros(1, 4000),)}, artefacts.text)
    backend = backends.all_backends()[sys.argv[1]]
    source.exported("forward")
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    backends.save(backend, source, Path(sys.argv[2]) / f"full{backend.suffix}")

commands.app = lambda **options: work()
main()
"""


@pytest.mark.parametrize(
    "name", ["torchscript", "trace", "lite", "torch_export", "executorch_portable"]
)
def test_a_full_disk_is_one_line_with_the_path(name: str, tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: writing fails in the same way."""
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FULL, name, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert ran.returncode == 2, ran.stderr
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path}/full.") and "File too large" in line
    assert tree(tmp_path) == {}


def test_names_and_errors_are_printed_without_what_steers_a_terminal(
    artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    path = tmp_path / "a\x1b[2J\u202eb.wav"
    path.write_text("no sound")
    ran = command("score", artefacts.path("torchscript"), path)
    assert ran.code == 2
    assert "\x1b" not in ran.err and "\\x1b[2J\\u202eb.wav: not readable" in ran.err


def test_a_name_that_is_no_utf8_is_scored_and_is_utf8_in_json(
    artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    import json
    import shutil

    from artefact_helpers import voice, write_wav

    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.wav"))
    shutil.copy(write_wav(tmp_path / "a.wav", voice(5000)), path)
    ran = command("score", artefacts.path("torchscript"), path, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)[0]["file"] == f"{tmp_path}/\ufffd\ufffd.wav"
    assert "\\xff\\xfe.wav" in command("score", artefacts.path("torchscript"), path).out


def test_time_is_not_what_the_lock_goes_by(tmp_path: Path) -> None:
    with staged_folder(tmp_path):
        os.utime(tmp_path, (time.time() - 10**6, time.time() - 10**6))
        with pytest.raises(InputError, match="another run"), staged_folder(tmp_path):
            pass
