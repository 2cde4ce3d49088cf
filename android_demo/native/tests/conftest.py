"""The programs that make builds, and small models that no other test needs."""

import sys
from pathlib import Path

import pytest
import torch

# Tests of the same library share their helpers.
_TESTS = Path(__file__).resolve().parents[3] / "tests"
sys.path[:0] = [str(_TESTS), str(_TESTS / "export" / "runtime")]

from artefact_helpers import (  # noqa: E402
    Artefacts,
    Command,
    contract_of,
    run_main,
    save_as,
    usable,
)
from native_helpers import DEMO, Program, built, run  # noqa: E402

from export.backends.executorch_arm64 import BACKEND as ARM64  # noqa: E402
from export.jobs.vectors import write_vectors  # noqa: E402
from export.runtime.audio import read_waveform  # noqa: E402
from export.runtime.contract import Windows  # noqa: E402
from export.runtime.scorer import load_scorer  # noqa: E402
from export.speech import HINT, speech_files  # noqa: E402
from scriptable import (  # noqa: E402
    LFCC,
    LightCNN,
    OCSoftmax,
    ScorePipeline,
    average_windows,
    cut_windows,
)

FULL_WINDOW, FULL_HOP = 64600, 32300


@pytest.fixture(scope="session")
def spoof_score() -> Program:
    program = built("native", "spoof_score")
    return lambda *words: run(program, *words)


@pytest.fixture(scope="session")
def sanitized() -> Program:
    program = built("native-sanitize", "spoof_score")
    return lambda *words: run(program, *words)


@pytest.fixture(scope="session")
def emulated() -> Program:
    program = built("native-arm64", "spoof_score")
    if ARM64.unavailable():
        pytest.skip(ARM64.unavailable())
    return lambda *words: run(*ARM64.emulator(), program, *words)


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """``python -m export``, run in this process."""
    return lambda *arguments: run_main(tuple(map(str, arguments)), capfd)


@pytest.fixture(scope="session")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Artefacts:
    """The tiny scorer of the other tests: windows of 4000 samples."""
    return Artefacts(tmp_path_factory.mktemp("artefacts"))


@pytest.fixture(scope="session")
def speech() -> list[Path]:
    files = speech_files()
    if not files:
        pytest.skip(HINT)
    return files


def _score(pipeline: ScorePipeline, path: Path) -> float:
    windows = cut_windows(read_waveform(path, 16000).waveform, FULL_WINDOW, FULL_HOP)
    with torch.no_grad():
        return average_windows(pipeline(windows))


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory, speech: list[Path]) -> Path:
    """An untrained scorer of full size, whose threshold splits the speech into halves."""
    usable("executorch_xnnpack")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(9)
        frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True, deltas=2)
        pipeline = ScorePipeline(frontend, LightCNN(60, 64), OCSoftmax(64), FULL_WINDOW).eval()
    llrs = sorted(contract_of(pipeline).llr(_score(pipeline, path)) for path in speech)
    middle = len(llrs) // 2
    contract = contract_of(pipeline, threshold=(llrs[middle - 1] + llrs[middle]) / 2)
    contract = contract.model_copy(
        update={"windows": Windows(num_samples=FULL_WINDOW, hop=FULL_HOP)}
    )
    path = tmp_path_factory.mktemp("full") / "full.xnnpack.pte"
    return save_as(
        "executorch_xnnpack", pipeline, contract.model_dump_json(), path, window=FULL_WINDOW
    )


@pytest.fixture(scope="session", params=["tiny", "tiny_portable", "full", "demo"])
def model(request: pytest.FixtureRequest, artefacts: Artefacts) -> Path:
    """Saved scorers, small and full-sized, of both ExecuTorch backends that run here."""
    if request.param == "tiny":
        return artefacts.path("executorch_xnnpack")
    if request.param == "tiny_portable":
        return artefacts.path("executorch_portable")
    if request.param == "full":
        path: Path = request.getfixturevalue("full")
        return path
    if not DEMO.exists():
        pytest.skip("no demo scorer: make demo")
    return DEMO


@pytest.fixture(scope="session")
def vectors(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden vectors of a model."""
    folder = tmp_path_factory.mktemp("vectors") / "golden"
    write_vectors(load_scorer(model), folder)
    return folder
