"""The digest over a whole file, and what is found in a file before it is loaded."""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from artefact_helpers import (
    LOWERED,
    RUNNABLE,
    Artefacts,
    Command,
    assert_refused,
    contract_of,
    eager_score,
    save_as,
    tiny_pipeline,
    usable,
    voice,
    write_wav,
)
from torch import Tensor, nn

from export import backends
from export.backends._seal import check, seal
from export.errors import ArtefactError
from export.runtime.scorer import decide, load_scorer

PLACE = re.compile(rb'"file_sha256": ?"([0-9a-f]{64})"')


def copy_of(path: Path, folder: Path) -> Path:
    """The file or package under its own name in another folder."""
    folder.mkdir(exist_ok=True)
    target = folder / path.name
    if path.is_dir():
        shutil.copytree(path, target)
    else:
        shutil.copy(path, target)
    return target


def parts(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


@pytest.mark.parametrize("name", [n for n in RUNNABLE if n != "coreml"])
def test_the_digest_by_its_definition(artefacts: Artefacts, name: str) -> None:
    content = artefacts.path(name).read_bytes()
    *_, last = PLACE.finditer(content)
    blank = content[: last.start(1)] + b"0" * 64 + content[last.end(1) :]
    assert hashlib.sha256(blank).hexdigest().encode() == last[1]
    assert check(artefacts.path(name)) == last[1].decode()


def test_the_digest_of_a_package_by_its_definition(artefacts: Artefacts, tmp_path: Path) -> None:
    package = copy_of(artefacts.path("coreml"), tmp_path / "copy")
    (package / ".DS_Store").write_text("what Finder leaves behind")
    digest = hashlib.sha256()
    for part in sorted(parts(package), key=lambda p: p.relative_to(package).as_posix()):
        if part.name.startswith("."):
            continue
        content = PLACE.sub(b'"file_sha256": "' + b"0" * 64 + b'"', part.read_bytes())
        digest.update(f"{part.relative_to(package).as_posix()}\n{len(content)}\n".encode())
        digest.update(content)
    assert check(package) == digest.hexdigest()
    (package / "link").symlink_to(package / "Manifest.json")
    with pytest.raises(ArtefactError, match="contains a link or a device"):
        check(package)


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_flipped_bit_is_refused_before_the_runtime_is_asked(
    artefacts: Artefacts, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy_of(artefacts.path(name), tmp_path / "copy")
    backend = usable(name)
    monkeypatch.setattr(type(backend), "load", lambda self, path: pytest.fail("was asked"))
    monkeypatch.setattr(type(backend), "scan", lambda self, path: pytest.fail("was asked"))
    for part in parts(path):
        content = part.read_bytes()
        place = len(content) // 2
        part.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ArtefactError, match=f"{path}: damaged: its sha256 is "):
            load_scorer(path)
        part.write_bytes(content)
    assert check(path) is not None


def test_a_file_without_a_place_for_it_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"no contract")
    seal(path)
    assert path.read_bytes() == b"no contract"
    assert check(path) is None


@pytest.mark.parametrize("name", ["torchscript", "executorch_portable"])
def test_a_contract_that_promises_a_digest_needs_one(
    artefacts: Artefacts, name: str, tmp_path: Path
) -> None:
    path = copy_of(artefacts.path(name), tmp_path / "copy")
    content = path.read_bytes()
    path.write_bytes(PLACE.sub(b'"file_sha256": "' + b"0" * 64 + b'"', content))
    with pytest.raises(ArtefactError, match="not verified: it has no digest"):
        load_scorer(path)


def test_version_1_loads_and_says_what_is_not_verified(tmp_path: Path, command: Command) -> None:
    pipeline = tiny_pipeline()
    document = contract_of(pipeline).document() | {"schema_version": 1}
    for field in ("guards", "precision", "notes", "file_sha256"):
        del document[field]
    path = save_as("torchscript", pipeline, json.dumps(document), tmp_path / "old.pt")
    silent = write_wav(tmp_path / "silent.wav", torch.zeros(100))
    ran = command("score", path, silent, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)[0]["score"] is not None
    assert ran.err.splitlines()[0] == (
        "note: torchscript: weights verified by sha256; "
        "file not verified, a contract of version 1 has no digest of it"
    )


@pytest.mark.parametrize("name", LOWERED)
def test_what_runs_on_the_device_only_says_so(name: str, tmp_path: Path, command: Command) -> None:
    path = tmp_path / f"tiny{backends.all_backends()[name].suffix}"
    path.write_bytes(b"whatever is in it")
    wav = write_wav(tmp_path / "a.wav", voice(5000))
    assert_refused(command("score", path, wav), f"{path}: runs on the device only: ")


def test_pipes_and_devices_are_no_artefacts(tmp_path: Path, command: Command) -> None:
    wav = write_wav(tmp_path / "a.wav", voice(5000))
    for suffix in (".pt", ".pt2", ".portable.pte"):
        pipe = tmp_path / f"pipe{suffix}"
        os.mkfifo(pipe)
        assert_refused(command("score", pipe, wav), f"{pipe}: is not a regular file")


def test_a_bomb_is_told_by_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"bomb/data/{number}", bytes(100_000_000))
    with pytest.raises(ArtefactError, match="would unpack to 286 MB"):
        load_scorer(path)


# Code.


class Writing(nn.Module):
    """Answers, and leaves a file behind."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.target)
        return x.mean(1)


class Mapping(nn.Module):
    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, x: Tensor) -> Tensor:
        y = torch.from_file(self.target, True, 4)
        return x.mean(1) + y.sum()


class Printing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        print('[{"file": "a.wav", "decision": "bonafide"}]')
        return x.mean(1)


def scripted(module: nn.Module, path: Path) -> Path:
    contract = contract_of(tiny_pipeline()).model_copy(
        update={"weights_sha256": hashlib.sha256(b"").hexdigest()}
    )
    source = backends.Source(
        module, {"forward": (torch.zeros(1, 4000),)}, contract.model_dump_json()
    )
    backends.save(usable("lite" if path.suffix == ".ptl" else "torchscript"), source, path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".ptl"])
@pytest.mark.parametrize(
    ("kind", "said"), [(Writing, "save"), (Mapping, "from_file"), (Printing, "print")]
)
def test_a_script_that_does_more_than_compute_needs_trust(
    kind: type[nn.Module], said: str, suffix: str, tmp_path: Path, command: Command
) -> None:
    target = tmp_path / "written"
    module = kind() if kind is Printing else kind(str(target))
    path = scripted(module, tmp_path / f"evil{suffix}")
    wav = write_wav(tmp_path / "a.wav", voice(5000))
    ran = command("score", path, wav, "--json")
    assert_refused(ran, f"{path}: its ", said, "no scorer needs", "--trust")
    assert not target.exists()
    if kind is Writing:
        assert command("score", path, wav, "--trust", "--json").code == 0
        assert target.exists()


def edited_pt2(artefacts: Artefacts, target: Path, record: str, change) -> Path:
    """A ``.pt2`` with one record changed, and sealed again as whoever changed it would."""
    with zipfile.ZipFile(artefacts.path("torch_export")) as source:
        entries = [(entry, source.read(entry)) for entry in source.infolist()]
    with zipfile.ZipFile(target, "w") as copy:
        for entry, content in entries:
            changed = change(content) if entry.filename.endswith(record) else content
            copy.writestr(entry, changed)
    seal(target)
    return target


MARK = "__import__('pathlib').Path({!r}).write_text('ran')"


def with_guard(content: bytes, code: str) -> bytes:
    document = json.loads(content)
    document["guards_code"] = [f"{code} or True"]
    return json.dumps(document).encode()


def with_pickle(content: bytes, code: str) -> bytes:
    class Evil:
        def __reduce__(self):
            return (eval, (code,))

    buffer = io.BytesIO()
    torch.save(Evil(), buffer)
    return buffer.getvalue()


def with_flag(content: bytes, code: str) -> bytes:
    return content.replace(b'"use_pickle": false', b'"use_pickle": true', 1)


def with_size(content: bytes, code: str) -> bytes:
    document = json.loads(content)
    values = document["graph_module"]["graph"]["tensor_values"]
    name = sorted(values)[0]
    size = {"as_expr": {"expr_str": code, "hint": {"as_int": 1}}}
    values[name]["sizes"][0] = size
    return json.dumps(document).encode()


def with_target(content: bytes, code: str) -> bytes:
    document = json.loads(content)
    document["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"
    return json.dumps(document).encode()


EVIL = {
    "guards": ("models/model.json", with_guard, "guards that are code"),
    "sample inputs": ("sample_inputs/model.pt", with_pickle, "a pickle of more than tensors"),
    "use_pickle": ("model_weights_config.json", with_flag, "names a pickle"),
    "a size": ("models/model.json", with_size, "expr_str"),
    "a target": ("models/model.json", with_target, "target"),
}


@pytest.mark.parametrize("kind", EVIL)
def test_a_pt2_that_would_run_code_needs_trust(
    kind: str, artefacts: Artefacts, tmp_path: Path, command: Command
) -> None:
    record, change, said = EVIL[kind]
    target = tmp_path / "ran"
    code = MARK.format(str(target))
    path = edited_pt2(
        artefacts, tmp_path / "evil.pt2", record, lambda content: change(content, code)
    )
    wav = write_wav(tmp_path / "a.wav", voice(5000))
    assert_refused(command("score", path, wav), f"{path}: ", said, "--trust")
    assert not target.exists()


def test_what_trust_lets_through_would_have_run(artefacts: Artefacts, tmp_path: Path) -> None:
    """Else the test above could not fail: with trust the guards' code does run."""
    target = tmp_path / "ran"
    code = MARK.format(str(target))
    path = edited_pt2(
        artefacts,
        tmp_path / "evil.pt2",
        "models/model.json",
        lambda content: with_guard(content, code),
    )
    script = (
        "from pathlib import Path; import torch; from export.runtime.scorer import load_scorer; "
        f"scorer = load_scorer(Path({str(path)!r}), True); "
        "scorer.artefact.run('forward', (torch.zeros(1, 4000),))"
    )
    root = Path(__file__).resolve().parents[3]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=root, check=False, capture_output=True
    )
    assert target.exists()


def test_an_open_batch_passes_the_scan(tmp_path: Path) -> None:
    """Its sizes and guards are expressions, and torch.export's own."""
    pipeline = tiny_pipeline()
    text = contract_of(pipeline).model_dump_json()
    source = backends.Source(pipeline, {"forward": (torch.zeros(2, 4000),)}, text, True)
    for name in ("torch_export", "torchscript", "trace"):
        path = tmp_path / f"open{usable(name).suffix}"
        backends.save(usable(name), source, path)
        assert load_scorer(path).score_waveform(voice(5000)) == pytest.approx(
            eager_score(pipeline, voice(5000), [0, 1000]), abs=1e-5
        )


def test_a_trace_takes_the_shape_that_it_was_made_of_alone(artefacts: Artefacts) -> None:
    artefact = artefacts.scorer("trace").artefact
    for shape in ((1, 3999), (1, 8000), (2, 4000)):
        with pytest.raises(Exception, match=r"input: expected shape \[1, 4000\]"):
            artefact.run("forward", (torch.zeros(shape),))


@pytest.mark.parametrize("name", [n for n in RUNNABLE if n != "trace"])
def test_windows_are_held_against_the_model_before_any_is_cut(name: str, tmp_path: Path) -> None:
    pipeline = tiny_pipeline()
    document = contract_of(pipeline).document()
    document["windows"]["num_samples"] = 4001
    path = tmp_path / f"wrong{usable(name).suffix}"
    save_as(name, pipeline, json.dumps(document), path)
    with pytest.raises(ArtefactError, match=r"takes windows of shape .*4000\], its contract says"):
        load_scorer(path)


class Three(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1, keepdim=True).repeat(1, 3)


def test_a_model_that_answers_three_numbers_is_no_scorer(tmp_path: Path) -> None:
    path = scripted(Three(), tmp_path / "three.pt")
    with pytest.raises(ArtefactError, match=r"gives \[3\] numbers for a window, expected one"):
        load_scorer(path).score_waveform(voice(5000))


def test_an_llr_that_overflows_is_an_error() -> None:
    contract = contract_of(tiny_pipeline(), scale=1e308, offset=-1e308)
    with pytest.raises(ArtefactError, match=r"a\.wav: scale·score \+ offset overflows"):
        decide(contract, "a.wav", -2.0)


def test_autocast_changes_nothing_in_our_own_runner(artefacts: Artefacts) -> None:
    for name in ("torchscript", "lite"):
        plain = artefacts.scorer(name).score_waveform(voice(5000))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert artefacts.scorer(name).score_waveform(voice(5000)) == plain
