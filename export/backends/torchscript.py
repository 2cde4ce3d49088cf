"""``torch.jit.script``: one archive with all exported methods."""

from pathlib import Path

import torch

from export.backends._base import CONTRACT_FILE, Artefact, Backend, Source
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
            torch.jit.save(
                scripted(source), str(path), _extra_files={CONTRACT_FILE: source.contract}
            )

    def load(self, path: Path) -> Artefact:
        """Load by ``torch.jit.load``."""
        return TorchScriptArtefact(path)


BACKEND = TorchScript()
