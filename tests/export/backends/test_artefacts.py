"""Files that are damaged, foreign or tampered with, and files that are being written."""

import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from artefact_helpers import (
    EMULATED,
    LOWERED,
    RUNNABLE,
    VERIFIED,
    WINDOW,
    Artefacts,
    Command,
    assert_refused,
    contract_of,
    save_as,
    tiny_pipeline,
    usable,
    voice,
    write_wav,
)
from torch import nn

from export import backends
from export.backends import Artefact, Backend, Source
from export.backends._seal import seal
from export.errors import ArtefactError, InputError
from export.runtime.scorer import load_scorer

ROOT = Path(__file__).resolve().parents[3]
FILES = tuple(name for name in RUNNABLE if name != "coreml")
SUFFIXES = {name: backend.suffix for name, backend in backends.all_backends().items()}


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("audio") / "good.wav", voice(WINDOW))


def test_suffixes_tell_the_backends_apart() -> None:
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)
    assert set(SUFFIXES) == {*RUNNABLE, *LOWERED, *EMULATED}


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_good_file_scores(artefacts: Artefacts, name: str, wav: Path, command: Command) -> None:
    ran = command("score", artefacts.path(name), wav)
    assert ran.code == 0
    assert str(wav) in ran.out
    verified = "file and weights" if name in VERIFIED else "file"
    assert ran.err == f"note: {name}: {verified} verified by sha256\n"


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_missing_file_is_refused(name: str, wav: Path, tmp_path: Path, command: Command) -> None:
    path = tmp_path / f"missing{usable(name).suffix}"
    assert_refused(command("score", path, wav), f"{path}: no such file")


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("content", [b"", b"x", b"just a note to self\n" * 40, bytes(4096)])
def test_a_file_of_anything_else_is_refused(
    name: str, content: bytes, wav: Path, tmp_path: Path, command: Command
) -> None:
    path = tmp_path / f"anything{usable(name).suffix}"
    path.write_bytes(content)
    assert_refused(command("score", path, wav), str(path))


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused_wherever_it_was_cut(
    artefacts: Artefacts, name: str, wav: Path, tmp_path: Path, command: Command
) -> None:
    whole = artefacts.path(name).read_bytes()
    size = len(whole)
    path = tmp_path / f"cut{SUFFIXES[name]}"
    for length in (4, 8, 64, 1000, size // 4, size // 2, size * 3 // 4, size - 100, size - 1):
        path.write_bytes(whole[:length])
        assert_refused(command("score", path, wav), str(path))


@pytest.mark.parametrize("part", ["model.mlmodel", "weights/weight.bin"])
def test_a_truncated_core_ml_package_is_refused(
    artefacts: Artefacts, part: str, wav: Path, tmp_path: Path, command: Command
) -> None:
    path = tmp_path / "cut.mlpackage"
    shutil.copytree(artefacts.path("coreml"), path)
    inside = path / "Data/com.apple.CoreML" / part
    whole = inside.read_bytes()
    for length in (0, 20, len(whole) // 2, len(whole) - 1):
        inside.write_bytes(whole[:length])
        assert_refused(command("score", path, wav), str(path))


# TorchScript archives are one kind of file in three files' clothing, and so are the two .pte.
FAMILIES = {
    "torchscript": "TorchScript",
    "trace": "TorchScript",
    "lite": "TorchScript",
    "executorch_portable": "ExecuTorch",
    "executorch_xnnpack": "ExecuTorch",
}


@pytest.mark.parametrize("claimed", RUNNABLE)
def test_the_content_of_another_kind_is_refused(
    artefacts: Artefacts, claimed: str, wav: Path, tmp_path: Path, command: Command
) -> None:
    path = tmp_path / f"disguised{usable(claimed).suffix}"
    for actual in FILES:
        if FAMILIES.get(actual, actual) != FAMILIES.get(claimed, claimed):
            shutil.copyfile(artefacts.path(actual), path)
            assert_refused(command("score", path, wav), str(path))


def test_lite_refuses_an_archive_without_bytecode(
    artefacts: Artefacts, wav: Path, tmp_path: Path, command: Command
) -> None:
    path = shutil.copyfile(artefacts.path("torchscript"), tmp_path / "script.ptl")
    assert_refused(command("score", path, wav), str(path))


@pytest.mark.parametrize("name", FILES)
def test_a_folder_is_refused(name: str, wav: Path, tmp_path: Path, command: Command) -> None:
    path = tmp_path / f"folder{usable(name).suffix}"
    path.mkdir()
    assert_refused(command("score", path, wav), str(path))


@pytest.mark.parametrize("name", ["scorer.tflite", "scorer", "scorer.pth", "scorer.pte"])
def test_an_unknown_suffix_is_refused_and_the_known_ones_listed(
    name: str, wav: Path, tmp_path: Path, command: Command
) -> None:
    (tmp_path / name).write_bytes(b"x")
    assert_refused(
        command("score", tmp_path / name, wav),
        f"{tmp_path / name}: unknown kind",
        *SUFFIXES.values(),
    )


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_file_without_a_contract_is_refused(
    name: str, wav: Path, tmp_path: Path, command: Command
) -> None:
    path = tmp_path / f"bare{usable(name).suffix}"
    save_as(name, tiny_pipeline(), "", path)
    assert_refused(command("score", path, wav), f"{path}: has no score contract")


def test_a_program_that_does_not_fit_its_contract_is_refused(
    wav: Path, tmp_path: Path, command: Command
) -> None:
    pipeline = tiny_pipeline()
    contract = contract_of(pipeline)
    short = contract.windows.model_copy(update={"num_samples": WINDOW - 1})
    text = contract.model_copy(update={"windows": short}).model_dump_json()
    for name in ("torchscript", "torch_export", "executorch_xnnpack"):
        path = save_as(name, pipeline, text, tmp_path / f"misfit{usable(name).suffix}")
        assert_refused(command("score", path, wav), f"{path}: takes windows of shape ")
    # A trace says nothing of its shape before it is run.
    path = save_as("trace", pipeline, text, tmp_path / "misfit.trace.pt")
    ran = command("score", path, wav)
    assert ran.code == 2 and f"{path}: fails on a window of {WINDOW - 1} samples" in ran.err


def test_a_score_that_is_not_finite_is_refused(wav: Path, tmp_path: Path, command: Command) -> None:
    pipeline = tiny_pipeline()
    with torch.no_grad():
        pipeline.encoder.embedding.bias[0] = float("nan")
    path = tmp_path / "nan.pt"
    save_as("torchscript", pipeline, contract_of(pipeline).model_dump_json(), path)
    ran = command("score", path, wav, "--json")
    assert ran.code == 2
    assert json.loads(ran.out)[0]["error"] == f"{path}: gives a score that is not finite"


@pytest.mark.parametrize("name", VERIFIED)
def test_one_changed_weight_is_noticed(
    artefacts: Artefacts, name: str, wav: Path, tmp_path: Path, command: Command
) -> None:
    pipeline = tiny_pipeline()
    with torch.no_grad():
        pipeline.encoder.embedding.weight[0, 0] += 1e-4
    path = tmp_path / f"tampered{SUFFIXES[name]}"
    save_as(name, pipeline, artefacts.text, path)
    ran = command("score", path, wav)
    assert_refused(ran, f"{path}: its weights are not the ones of its contract")
    assert artefacts.contract.weights_sha256[:12] in ran.err


def test_a_weight_changed_in_the_saved_file_is_noticed(
    artefacts: Artefacts, tmp_path: Path
) -> None:
    path = tmp_path / "edited.pt"
    extra = {"contract.json": ""}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".?torch\.jit\.\w+.? is deprecated")
        module = torch.jit.load(str(artefacts.path("torchscript")), _extra_files=extra)
        with torch.no_grad():
            next(module.parameters()).view(-1)[0].mul_(1.0001)
        torch.jit.save(module, str(path), _extra_files=extra)
    with pytest.raises(ArtefactError, match=r"edited\.pt: not verified: it has no digest"):
        load_scorer(path)
    seal(path)
    with pytest.raises(ArtefactError, match=r"edited\.pt: its weights are not the ones"):
        load_scorer(path)


# The same by a real process: nothing native may add a line.


def score_in_a_process(path: Path, wav: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "export", "score", path, wav],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["torchscript", "executorch_xnnpack"])
def test_a_truncated_file_in_a_process_of_its_own(
    artefacts: Artefacts, name: str, wav: Path, tmp_path: Path
) -> None:
    whole = artefacts.path(name).read_bytes()
    path = tmp_path / f"cut{SUFFIXES[name]}"
    path.write_bytes(whole[: len(whole) // 2])
    ran = score_in_a_process(path, wav)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.count("\n") == 1 and ran.stderr.startswith(f"error: {path}: "), ran.stderr


@pytest.mark.parametrize("name", ["executorch_portable", "coreml"])
def test_bad_audio_in_a_process_of_its_own(
    artefacts: Artefacts, name: str, wav: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.wav"
    ran = subprocess.run(
        [sys.executable, "-m", "export", "score", artefacts.path(name), wav, missing, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    good, bad = json.loads(ran.stdout)
    assert good["error"] is None and good["score"] is not None
    assert bad["error"] == f"{missing}: no such file; check the path"
    (_, line) = ran.stderr.splitlines()
    assert line == f"error: {bad['error']}"


# Writing.


class Fake(Backend):
    """Writes the text it was made with, and then does what it was told to."""

    name = "fake"
    suffix = ".fake"
    tolerance = 0.0

    def __init__(self, text: str, folder: bool = False, error: Exception | None = None) -> None:
        self.text, self.folder, self.error = text, folder, error
        self.written: Path | None = None

    def save(self, source: Source, path: Path) -> None:
        assert not path.exists()
        assert not any(part.training for part in source.module.modules())
        self.written = path
        torch.manual_seed(99)
        if self.folder:
            path.mkdir()
        (path / "part" if self.folder else path).write_text(self.text)
        if self.error is not None:
            raise self.error

    def load(self, path: Path) -> Artefact:
        raise NotImplementedError


def a_source(module: nn.Module | None = None) -> Source:
    return Source(module or nn.Linear(2, 2), {"forward": (torch.zeros(1, 2),)})


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("error", [RuntimeError("converter"), KeyboardInterrupt()])
def test_a_failing_save_leaves_nothing(tmp_path: Path, folder: bool, error: Exception) -> None:
    with pytest.raises(type(error)):
        backends.save(Fake("half", folder, error), a_source(), tmp_path / "new" / "a.fake")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", [False, True])
def test_a_failing_save_leaves_the_older_file_as_it_was(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "a.fake"
    backends.save(Fake("old"), a_source(), path)
    with pytest.raises(RuntimeError):
        backends.save(Fake("new", folder, RuntimeError("late")), a_source(), path)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_a_folder_in_the_place_of_a_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.fake"
    backends.save(Fake("mine", folder=True), a_source(), path)
    with pytest.raises(InputError, match="is a folder, which is never replaced"):
        backends.save(Fake("new"), a_source(), path)
    assert (path / "part").read_text() == "mine"


@pytest.mark.parametrize("new", [False, True])
def test_a_new_save_takes_the_place_of_an_older_file(tmp_path: Path, new: bool) -> None:
    path = tmp_path / "a.fake"
    backends.save(Fake("old"), a_source(), path)
    backend = Fake("new", new)
    backends.save(backend, a_source(), path)
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "part" if new else path).read_text() == "new"
    # Renaming is only atomic within a file system, so it was written beside its place.
    assert backend.written is not None and backend.written.parent.parent == tmp_path


@pytest.mark.parametrize("error", [None, RuntimeError("converter")])
def test_saving_leaves_modes_and_random_state_as_they_were(
    tmp_path: Path, error: Exception | None
) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)))
    module.train()
    module[1][1].eval()
    modes = [part.training for part in module.modules()]
    assert len(set(modes)) == 2
    before = torch.get_rng_state()
    try:
        backends.save(Fake("x", error=error), a_source(module), tmp_path / "a.fake")
    except RuntimeError:
        assert error is not None
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", RUNNABLE)
def test_real_saves_leave_the_module_as_it_was_and_end_alone(name: str, tmp_path: Path) -> None:
    pipeline = tiny_pipeline().train()
    pipeline.head.eval()
    modes = [part.training for part in pipeline.modules()]
    state = {key: value.clone() for key, value in pipeline.state_dict().items()}
    random = torch.get_rng_state()
    path = tmp_path / f"a{usable(name).suffix}"
    save_as(name, pipeline, "text", path)
    assert list(tmp_path.iterdir()) == [path]
    assert [part.training for part in pipeline.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    after = pipeline.state_dict()
    assert after.keys() == state.keys()
    assert all(torch.equal(after[key], state[key]) for key in state)


def test_sources_need_methods_that_exist() -> None:
    with pytest.raises(ValueError, match="at least one method"):
        Source(nn.Linear(2, 2), {})
    with pytest.raises(ValueError, match="Linear has no method 'score'"):
        Source(nn.Linear(2, 2), {"score": (torch.zeros(1, 2),)})


def test_unknown_backends_are_named_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"expected one of torchscript, .*, got tflite"):
        backends.select(["trace", "tflite"])


def test_a_backend_whose_package_is_missing_says_what_to_install(
    artefacts: Artefacts, wav: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = artefacts.path("executorch_xnnpack")
    monkeypatch.setattr(type(usable("executorch_xnnpack")), "package", "not_there_at_all")
    assert_refused(
        command("score", path, wav),
        f"{path}: not_there_at_all is not installed: pip install 'scriptable-speech[executorch]'",
    )


@pytest.mark.parametrize(
    "name", ["torch_export", "executorch_portable", "executorch_xnnpack", "onnx"]
)
def test_a_dynamic_batch_stays_open_in_the_file(name: str, tmp_path: Path) -> None:
    backend, pipeline = usable(name), tiny_pipeline()
    example = torch.randn(2, WINDOW) * 0.1
    path = tmp_path / f"scorer{backend.suffix}"
    backends.save(backend, Source(pipeline, {"forward": (example,)}, dynamic_batch=True), path)
    artefact = backend.load(path)
    for batch in (1, 2, 7):
        waveform = torch.randn(batch, WINDOW) * 0.1
        (scores,) = artefact.run("forward", (waveform,))
        torch.testing.assert_close(scores, pipeline(waveform), atol=backend.tolerance, rtol=0.0)
