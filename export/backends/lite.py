"""The lite interpreter: the ``.ptl`` file of PyTorch Mobile."""

from pathlib import Path

import torch

from export.backends._base import CONTRACT_FILE, Artefact, Backend, Inputs, Source, flatten
from export.backends._script_scan import scan_script
from export.backends._torchscript import TorchScriptArtefact, quiet, read, scripted


class LiteArtefact(TorchScriptArtefact):
    """Run by the mobile bytecode interpreter; contract and weights read from the same archive."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        from torch.jit.mobile import _load_for_lite_interpreter

        with quiet():
            self._mobile = read(path, lambda: _load_for_lite_interpreter(str(path)))

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method in the lite interpreter."""
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            return flatten(self._mobile.run_method(method, *inputs))


class Lite(Backend):
    """Script and save with bytecode for the lite interpreter."""

    name = "lite"
    suffix = ".ptl"
    rank = 30
    keeps_weights = True
    tolerance = 1e-5

    def save(self, source: Source, path: Path) -> None:
        """Script and save."""
        with quiet():
            archive = scripted(source)._save_to_buffer_for_lite_interpreter(
                _extra_files={CONTRACT_FILE: source.contract}
            )
        # By Python: on a full disk torch's own writer ends the process.
        path.write_bytes(archive)

    def scan(self, path: Path) -> None:
        """Refuse code that does more than compute."""
        scan_script(path)

    def load(self, path: Path) -> Artefact:
        """Load by the lite interpreter."""
        return LiteArtefact(path)


BACKEND = Lite()
