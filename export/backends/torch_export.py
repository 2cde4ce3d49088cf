"""``torch.export``: one exported program per method, in one ``.pt2`` archive."""

import hashlib
import io
import json
from pathlib import Path

import torch
from torch import Tensor

from export.backends._base import CONTRACT_FILE, Artefact, Backend, Inputs, Source, flatten
from export.backends._pt2_scan import scan_pt2
from export.backends._torchscript import read

# The name under which torch.export.load looks for the only program of an archive.
_FORWARD = "model"
# Where an archive keeps its weights, and how the file ends that says which are whose.
_WEIGHTS, _LIST = "data/weights/", "_weights_config.json"


class ExportedArtefact(Artefact):
    """A ``.pt2`` archive."""

    def __init__(self, path: Path) -> None:
        # Not above: it takes two seconds and 80 MB that no other kind of file needs.
        from torch.export.pt2_archive._package import load_pt2

        archive = read(path, lambda: load_pt2(str(path)))
        self._programs = archive.exported_programs
        self._modules = read(
            path, lambda: {name: program.module() for name, program in self._programs.items()}
        )
        self._contract = archive.extra_files.get(CONTRACT_FILE, "")

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run the program of one method."""
        with torch.no_grad():
            return flatten(self._modules[_FORWARD if method == "forward" else method](*inputs))

    def input_shape(self, method: str, place: int = 0) -> tuple[int | None, ...] | None:
        """As the program declares it."""
        program = self._programs.get(_FORWARD if method == "forward" else method)
        if program is None:
            return None
        names = program.graph_signature.user_inputs[place : place + 1]
        for node in program.graph.nodes:
            if node.op == "placeholder" and node.name in names:
                return tuple(size if type(size) is int else None for size in node.meta["val"].shape)
        return None

    def contract(self) -> str:
        """The contract kept as an extra file of the archive."""
        return self._contract

    def weights(self) -> dict[str, Tensor] | None:
        """The programs' state, under the names it was trained with."""
        state: dict[str, Tensor] = {}
        for program in self._programs.values():
            state.update(program.state_dict)
        return state


def _stored_once(packed: io.BytesIO) -> io.BytesIO:
    """The archive with each distinct weight stored once; torch stores one set for each program."""
    from torch.export.pt2_archive._package import PT2ArchiveReader, PT2ArchiveWriter

    packed.seek(0)
    reader = PT2ArchiveReader(packed)
    names = [name for name in reader.get_file_names() if not name.startswith(".data/")]
    configurations = [name for name in names if name.startswith(_WEIGHTS) and name.endswith(_LIST)]
    kept: dict[str, str] = {}
    first: dict[bytes, str] = {}
    for name in names:
        if name.startswith(_WEIGHTS) and name not in configurations:
            digest = hashlib.sha256(reader.read_bytes(name)).digest()
            kept[name] = first.setdefault(digest, name)
    made = io.BytesIO()
    with PT2ArchiveWriter(made) as writer:
        for name in names:
            if name in configurations:
                listed = json.loads(reader.read_bytes(name))
                for entry in listed["config"].values():
                    place = kept[f"{_WEIGHTS}{entry['path_name']}"]
                    entry["path_name"] = place.removeprefix(_WEIGHTS)
                writer.write_bytes(name, json.dumps(listed).encode())
            elif kept.get(name, name) == name:
                writer.write_bytes(name, reader.read_bytes(name))
    return made


class TorchExport(Backend):
    """Export each method; ``torch.export.load`` opens the archive of a single ``forward``."""

    name = "torch_export"
    suffix = ".pt2"
    rank = 40
    keeps_weights = True
    tolerance = 1e-5

    def save(self, source: Source, path: Path) -> None:
        """Export and package."""
        from torch.export.pt2_archive._package import package_pt2

        programs = {
            _FORWARD if method == "forward" else method: source.exported(method)
            for method in source.methods
        }
        archive = io.BytesIO()
        package_pt2(
            archive, exported_programs=programs, extra_files={CONTRACT_FILE: source.contract}
        )
        if len(programs) > 1:
            archive = _stored_once(archive)
        # By Python: on a full disk torch's own writer ends the process.
        path.write_bytes(archive.getvalue())

    def scan(self, path: Path) -> None:
        """Refuse what would run more than the graph."""
        scan_pt2(path)

    def load(self, path: Path) -> Artefact:
        """Load the archive."""
        return ExportedArtefact(path)


BACKEND = TorchExport()
