"""What the ExecuTorch backends share: lowering, and the runtime that loads the file again."""

import io
import logging
import os
import sys
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from types import ModuleType
from typing import Any

from torch.export import ExportedProgram

from export.backends._base import CONTRACT_METHOD, Artefact, Backend, Inputs, Source, flatten
from export.backends._torchscript import read
from export.errors import ArtefactError

_HEADER = slice(4, 8)
_MAGIC = b"ET12"


class ExecuTorchArtefact(Artefact):
    """A ``.pte`` program, run by the ExecuTorch runtime."""

    holds_interpreter = True

    def __init__(self, path: Path) -> None:
        with quiet_executorch(), _without_compiler():
            from executorch.extension.pybindings import portable_lib
            from executorch.runtime import Runtime, Verification

        self._path = path
        content = path.read_bytes() if path.is_file() else b""
        if content[_HEADER] != _MAGIC:
            raise ArtefactError(f"{path}: not an ExecuTorch program")

        def load() -> tuple[Any, dict[str, Any]]:
            program = Runtime.get().load_program(
                content, verification=Verification.InternalConsistency
            )
            # A method's memory belongs to its program: keep both.
            return program, {name: program.load_method(name) for name in program.method_names}

        with native_notices_hidden():
            # Starts the threads, and with them the look at the processor, here and not in a run.
            portable_lib._threadpool_get_thread_count()
            self._program, self._methods = read(path, load)

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method; results are copied out of the runtime's memory."""
        # What the runtime logs about a failure is no line of ours: it raises as well.
        with redirect_stderr(io.StringIO()):
            results = self._methods[method].execute(list(inputs))
        return tuple(result.clone() for result in flatten(results))

    def contract(self) -> str:
        """The contract kept as a constant method."""
        if CONTRACT_METHOD not in self._methods:
            return ""
        return read(self._path, lambda: str(self._methods[CONTRACT_METHOD].execute([])[0]))

    def input_shape(self, method: str, place: int = 0) -> tuple[int | None, ...] | None:
        """As the program declares it; of an open batch, the most."""
        try:
            sizes = self._methods[method].metadata.input_tensor_meta(place).sizes()
        except (KeyError, RuntimeError, IndexError):
            return None
        return (None, *sizes[1:])


class ExecuTorchBackend(Backend):
    """Lower exported programs to one ``.pte``; weights are shared between its methods."""

    package = "executorch"
    extra = "executorch"

    @abstractmethod
    def partitioners(self) -> list[Any]:
        """The partitioners that choose what is delegated."""

    def prepared(self, program: ExportedProgram) -> ExportedProgram:
        """The program as this backend's lowering can take it."""
        return program

    def save(self, source: Source, path: Path) -> None:
        """Export, lower and write."""
        with quiet_executorch():
            from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

            programs = {m: self.prepared(source.lowerable(m)) for m in source.methods}
            lowered = to_edge_transform_and_lower(
                programs,
                partitioner=self.partitioners(),
                compile_config=EdgeCompileConfig(_check_ir_validity=True),
                constant_methods={CONTRACT_METHOD: source.contract} if source.contract else None,
            ).to_executorch()
            with path.open("wb") as file:
                lowered.write_to_file(file)

    def use_one_thread(self) -> None:
        """The runtime's own threads, too; once a program is loaded, resetting them would hang."""
        super().use_one_thread()
        with quiet_executorch(), _without_compiler(), native_notices_hidden():
            from executorch.extension.pybindings import portable_lib

            portable_lib._unsafe_reset_threadpool(1)

    def load(self, path: Path) -> Artefact:
        """Load by the ExecuTorch runtime."""
        return ExecuTorchArtefact(path)


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Import the runtime without the compiler, which takes seconds and 140 MB.

    The runtime asks the compiler's package for one class of warnings, and gets it from an empty
    package that only says where the modules lie.
    """
    name = "executorch.exir"
    if name in sys.modules:
        yield
        return
    import executorch

    empty = ModuleType(name)
    empty.__path__ = [f"{folder}/exir" for folder in executorch.__path__]
    sys.modules[name] = empty
    try:
        yield
    finally:
        for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            del sys.modules[module]


@contextmanager
def native_notices_hidden() -> Iterator[None]:
    """Keep what native code writes to stderr (processor detection) away; errors are raised too.

    The runtime writes its log to ``sys.stderr``, other libraries write to the descriptor.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere):
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@contextmanager
def quiet_executorch() -> Iterator[None]:
    """Silence the notices that importing and lowering print on every call."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"(open|read)_text is deprecated", DeprecationWarning)
            warnings.filterwarnings(
                "ignore", category=FutureWarning, module=r"(torch|executorch)\b"
            )
            warnings.filterwarnings(
                "ignore", category=DeprecationWarning, module=r"(torch|executorch)\b"
            )
            # Its pass that takes batch normalisation apart computes with the parameters.
            warnings.filterwarnings("ignore", r"The \.grad attribute of a Tensor")
            yield
    finally:
        logging.disable(level)


def operators(path: Path, method: str = "forward") -> list[str]:
    """The operators of a saved method that run outside every delegate."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    program = deserialize_pte_binary(path.read_bytes()).program
    for plan in program.execution_plan:
        if plan.name == method:
            return [operator.name for operator in plan.operators]
    raise ArtefactError(f"{path}: has no method {method}")
