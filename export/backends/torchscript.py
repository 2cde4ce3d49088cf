"""``torch.jit.script``: one archive with all exported methods."""

import io
from pathlib import Path

import torch

from export.backends._base import CONTRACT_FILE, Artefact, Backend, Source
from export.backends._script_scan import scan_script
from export.backends._torchscript import TorchScriptArtefact, quiet, scripted


class TorchScript(Backend):
    """Script the module; the archive runs from C++ and from ``torch.jit.load``."""

    name = "torchscript"
    suffix = ".pt"
    rank = 10
    keeps_weights = True
    tolerance = 1e-5

    def save(self, source: Source, path: Path) -> None:
        """Script and save."""
        with quiet():
            archive = io.BytesIO()
            torch.jit.save(scripted(source), archive, _extra_files={CONTRACT_FILE: source.contract})
        # By Python: on a full disk torch's own writer may end the process.
        path.write_bytes(archive.getvalue())

    def scan(self, path: Path) -> None:
        """Refuse code that does more than compute."""
        scan_script(path)

    def load(self, path: Path) -> Artefact:
        """Load by ``torch.jit.load``."""
        return TorchScriptArtefact(path)


BACKEND = TorchScript()
