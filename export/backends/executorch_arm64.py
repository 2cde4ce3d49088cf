"""ExecuTorch with XNNPACK on 64-bit ARM, a phone's processor, emulated by QEMU on this host.

The file is the one of ``executorch_xnnpack``; what runs it is ExecuTorch's runtime for ARM under a
C++ program of this project (``android_demo/native``), with NEON kernels instead of the host's.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

from safetensors.torch import load_file, save_file

from export.backends._base import CONTRACT_METHOD, Artefact, Inputs
from export.backends.executorch_xnnpack import ExecuTorchXNNPACK
from export.errors import ArtefactError

RUNNER = Path(__file__).resolve().parents[2] / "build" / "native-arm64" / "run_method"
EMULATOR = "qemu-aarch64-static"
SYSTEM = Path("/usr/aarch64-linux-gnu")
# Always a named processor: QEMU's "max" has SME, whose int8 kernels give wrong results there.
CPU = "cortex-a76"
_SECONDS = 900


class EmulatedArtefact(Artefact):
    """A ``.pte`` program, each run a process of the emulator."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._methods = _emulate(str(RUNNER), str(path)).split()

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method; tensors go in and out through files."""
        with tempfile.TemporaryDirectory() as folder:
            given, found = Path(folder) / "inputs", Path(folder) / "outputs"
            named = {str(index): x.detach().contiguous() for index, x in enumerate(inputs)}
            save_file(named, given)
            _emulate(str(RUNNER), str(self._path), method, str(given), str(found))
            results = load_file(found)
        return tuple(results[str(index)] for index in range(len(results)))

    def contract(self) -> str:
        """The contract kept as a constant method."""
        if CONTRACT_METHOD not in self._methods:
            return ""
        (text,) = self.run(CONTRACT_METHOD, ())
        return text.numpy().tobytes().decode("utf-8")


class ExecuTorchARM64(ExecuTorchXNNPACK):
    """XNNPACK's file, run on an emulated processor of a phone."""

    name = "executorch_arm64"
    suffix = ".arm64.xnnpack.pte"
    rank = 110
    emulated = True
    unmeasured = "emulated: a phone's numbers, not its speed"

    def unavailable(self) -> str:
        """What to install, or to build."""
        if missing := super().unavailable():
            return missing
        if shutil.which(EMULATOR) is None:
            return f"{EMULATOR} is not installed: apt-get install qemu-user-static"
        if not SYSTEM.is_dir():
            return f"{SYSTEM} is not installed: apt-get install g++-aarch64-linux-gnu"
        if not RUNNER.is_file():
            return "the runner for ARM is not built: make native-arm64"
        return ""

    @staticmethod
    def emulator() -> list[str]:
        """What stands before a program for ARM on a command line."""
        return [EMULATOR, "-cpu", CPU, "-L", str(SYSTEM)]

    def load(self, path: Path) -> Artefact:
        """Load by the ExecuTorch runtime for ARM."""
        return EmulatedArtefact(path)


def _emulate(*command: str) -> str:
    ran = subprocess.run(
        [*ExecuTorchARM64.emulator(), *command],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if ran.returncode != 0:
        said = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        raise ArtefactError(said[-1].removeprefix("error: "))
    return ran.stdout


BACKEND = ExecuTorchARM64()
