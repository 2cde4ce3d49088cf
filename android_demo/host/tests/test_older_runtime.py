"""What this project's ExecuTorch exports, on an older one: the rule by which the app loads."""

import json
import os
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

with warnings.catch_warnings():
    # Their import warns of importlib.
    warnings.simplefilter("ignore")
    import executorch.exir._serialize._program
    import executorch.runtime

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "build"
MODEL = BUILD / "demo" / "spoof_scorer.xnnpack.pte"
VECTORS = BUILD / "android" / "vectors" / "vectors.json"
AAR = BUILD / "android" / "aars" / "executorch-android.aar"
# ExecuTorch 1.3.1 without torch; needs Python 3.12.
PACKAGE = "executorch-numpy-runtime==1.4.0"
ENVIRONMENT = BUILD / "android" / "older-runtime"
PROGRAM = """
import json, sys
import numpy as np
import executorch_numpy_runtime as runtime
model, windows, samples = sys.argv[1:]
program = runtime.Runtime.get().load_program(model)
window = np.fromfile(windows, dtype="<f4").reshape(-1, 1, int(samples))
forward = program.load_method("forward")
print(json.dumps({
    "executorch": runtime.__et_version__,
    "methods": sorted(program.method_names),
    "scores": [float(forward([one])[0].reshape(())) for one in window],
}))
"""


def _python() -> str:
    found = [shutil.which(f"python3.{minor}") for minor in (12, 13, 14)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found += [str(path) for path in sorted(pyenv.glob("3.1[2-9]*/bin/python"))]
    for command in filter(None, found):
        if subprocess.run([command, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(command)
    pytest.skip(f"{PACKAGE} needs Python 3.12 or newer: pyenv install 3.12")


@pytest.fixture(scope="module")
def older() -> Path:
    if not (ENVIRONMENT / "complete").exists():
        python = _python()
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        subprocess.run([python, "-m", "venv", ENVIRONMENT], check=True)
        pip = [ENVIRONMENT / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, PACKAGE], check=False).returncode:
            pytest.skip(f"pip install {PACKAGE} fails, see above: it needs a package index")
        (ENVIRONMENT / "complete").touch()
    return ENVIRONMENT / "bin" / "python"


def _needs(path: Path, target: str) -> Path:
    if not path.exists():
        pytest.skip(f"{path.name} is not there: {target}")
    return path


def test_the_demo_scores_the_same_on_executorch_1_3(older: Path) -> None:
    index = json.loads(_needs(VECTORS, "make test-android").read_text())
    samples = index["contract"]["windows"]["num_samples"]
    assert index["contract"]["versions"]["executorch"].startswith("1.5.")
    worst = 0.0
    for case in index["cases"]:
        windows = VECTORS.parent / case["windows_file"]
        command = [older, "-c", PROGRAM, _needs(MODEL, "make demo"), windows, str(samples)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(ran.stdout)
        assert found["executorch"] == "1.3.1"
        assert {"forward", "get_contract"} <= set(found["methods"])
        worst = max(worst, np.abs(np.subtract(found["scores"], case["window_scores"])).max())
    print(f"largest window score difference between ExecuTorch 1.5 and 1.3.1: {worst:.1e}")
    assert worst <= 1e-5


def test_the_contract_is_read_where_forward_cannot_be_loaded() -> None:
    """A runtime without the delegate names what made the file, with the code that the app knows."""
    lowered = _needs(MODEL.with_name("spoof_scorer.vulkan.pte"), "make demo")
    program = executorch.runtime.Runtime.get().load_program(lowered)
    (text,) = program.load_method("get_contract").execute([])
    assert json.loads(text)["versions"]["executorch"].startswith("1.5.")
    with pytest.raises(RuntimeError, match="0x:20"):
        program.load_method("forward")
    engine = ROOT / "android_demo/host/runtime/src/main/kotlin/org/pytorch/executorch"
    codes = (engine / "ExecutorchRuntimeException.kt").read_text()
    assert "const val NOT_FOUND = 0x20" in codes


@pytest.mark.parametrize("abi", ["arm64-v8a", "x86_64"])
def test_the_packed_library_has_what_the_demo_asks_for(abi: str) -> None:
    """Every operator and delegate of the demo's program is a name in the library."""
    content = _needs(MODEL, "make demo").read_bytes()
    program = executorch.exir._serialize._program.deserialize_pte_binary(content).program
    forward = next(plan for plan in program.execution_plan if plan.name == "forward")
    asked = {f"{op.name}.{op.overload}" if op.overload else op.name for op in forward.operators}
    asked |= {delegate.id for delegate in forward.delegates}
    assert "XnnpackBackend" in asked
    with zipfile.ZipFile(_needs(AAR, "make test-android")) as package:
        library = package.read(f"jni/{abi}/libexecutorch.so")
    assert content[4:8] in library, "the program's format"
    missing = sorted(name for name in asked if name.encode() + b"\0" not in library)
    assert missing == []
