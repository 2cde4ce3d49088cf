"""What a backend is: how to save a module, load the saved file, run it, and what it promises.

A backend is one file in ``export/backends/`` that defines ``BACKEND``; nothing else needs to know
it. Files whose name starts with an underscore are shared helpers and are not loaded as backends.
"""

import copy
import importlib
import importlib.util
import pkgutil
import types
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from export.backends._seal import check, seal
from export.errors import ArtefactError, InputError
from export.files import replacing

Inputs = tuple[Tensor, ...]

CONTRACT_FILE = "contract.json"
CONTRACT_METHOD = "get_contract"


class Source:
    """A module to be saved: in eval mode, with example inputs for each method, and its contract.

    The exported programs are made once and shared by all backends that start from them.
    """

    def __init__(
        self,
        module: nn.Module,
        methods: Mapping[str, Inputs],
        contract: str = "",
        dynamic_batch: bool = False,
    ) -> None:
        if not methods:
            raise ValueError("methods: expected at least one method with its example inputs")
        for name in methods:
            if not hasattr(module, name):
                raise ValueError(f"methods: {type(module).__name__} has no method {name!r}")
        self.module = module
        # torch.export takes one tensor given twice for one input, and Core ML refuses strides.
        self.methods = {
            name: tuple(x.detach().clone(memory_format=torch.contiguous_format) for x in inputs)
            for name, inputs in methods.items()
        }
        self.contract = contract
        self.dynamic_batch = dynamic_batch
        self._programs: dict[str, ExportedProgram] = {}

    def as_forward(self, method: str) -> nn.Module:
        """The same module (sharing parameters) with ``method`` standing in for ``forward``."""
        if method == "forward":
            return self.module
        clone = copy.copy(self.module)
        object.__setattr__(
            clone, "forward", types.MethodType(getattr(type(self.module), method), clone)
        )
        return clone

    def exported(self, method: str) -> ExportedProgram:
        """``torch.export`` of one method, made on first use."""
        if method not in self._programs:
            inputs = self.methods[method]
            shapes = None
            if self.dynamic_batch:
                batch = Dim("batch", min=1, max=64)
                shapes = tuple({0: batch} if x.dim() else None for x in inputs)
            self._programs[method] = torch.export.export(
                self.as_forward(method), inputs, dynamic_shapes=shapes
            )
        return self._programs[method]


class Artefact(ABC):
    """A saved file, loaded afresh by the runtime of its backend."""

    file_sha256: str | None = None
    """The digest that the file was held against before it was loaded; None where it has none."""

    @abstractmethod
    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method; results are flattened into a tuple of tensors."""

    @abstractmethod
    def contract(self) -> str:
        """The contract's JSON text, or an empty string when the file carries none."""

    def input_shape(self, method: str) -> tuple[int | None, ...] | None:
        """Of the first input; None stands for a size left open, or for a file that does not say."""
        return None

    def weights(self) -> dict[str, Tensor] | None:
        """The named tensors as trained, or None where the format gives no access to them."""
        return None


class Backend(ABC):
    """One way to save a module."""

    name: ClassVar[str]
    suffix: ClassVar[str]
    """How the artefact's file name ends; the longest match decides which backend loads a file."""
    tolerance: ClassVar[float]
    """Promise: ``|artefact − eager| ≤ tolerance · max(1, max|eager|)``, in float32."""
    package: ClassVar[str] = "torch"
    """The importable package that saving and loading need."""
    extra: ClassVar[str] = ""
    """The extra of this project that installs ``package``."""
    runnable: ClassVar[bool] = True
    """False where the file can be written on this host and not be run."""
    not_run_reason: ClassVar[str] = ""
    emulated: ClassVar[bool] = False
    """True where another processor is emulated to run another backend's file: slow, so that of the
    catalogue only the scores that ship are run."""
    unmeasured: str = ""
    """Why timing the file here would say nothing about its real runtime; empty where it does."""

    def unavailable(self) -> str:
        """Empty when the backend can be used here, else what to install."""
        if importlib.util.find_spec(self.package) is None:
            return f"{self.package} is not installed: pip install 'scriptable[{self.extra}]'"
        return ""

    @abstractmethod
    def save(self, source: Source, path: Path) -> None:
        """Write the artefact at ``path``; called with a path that does not exist."""

    def scan(self, path: Path) -> None:  # noqa: B027
        """Refuse, without loading it, a file whose loading or running does more than arithmetic.

        Raises:
            ArtefactError: naming what the file holds; ``--trust`` loads it all the same.
        """

    @abstractmethod
    def load(self, path: Path) -> Artefact:
        """Load a saved artefact; raises ``ArtefactError`` when it is none of this kind."""


@cache
def backends() -> dict[str, Backend]:
    """All backends by name, in the order of the parity table."""
    import export.backends as package

    found = {}
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            backend = importlib.import_module(f"{package.__name__}.{info.name}").BACKEND
            found[backend.name] = backend
    rank = {name: position for position, name in enumerate(package.ORDER)}
    return dict(sorted(found.items(), key=lambda item: (rank.get(item[0], len(rank)), item[0])))


def select(names: list[str] | None) -> list[Backend]:
    """The named backends, or all of them."""
    known = backends()
    if not names:
        return list(known.values())
    for name in names:
        if name not in known:
            raise InputError(f"backend: expected one of {', '.join(known)}, got {name}")
    return [known[name] for name in names]


def save(backend: Backend, source: Source, path: Path) -> None:
    """Save through ``backend``; leaves nothing half-written, and the module as it was."""
    modes = {module: module.training for module in source.module.modules()}
    random_state = torch.get_rng_state()
    source.module.eval()
    try:
        with replacing(path) as temporary:
            backend.save(source, temporary)
            seal(temporary)
    finally:
        for module, training in modes.items():
            module.training = training
        torch.set_rng_state(random_state)


def of(path: Path) -> Backend:
    """The backend that a file belongs to, by its name's ending."""
    matching = [b for b in backends().values() if path.name.endswith(b.suffix)]
    if not matching:
        known = ", ".join(sorted({b.suffix for b in backends().values()}))
        raise ArtefactError(f"{path}: unknown kind of artefact; expected a name ending in {known}")
    return max(matching, key=lambda b: len(b.suffix))


def load(path: Path, trust: bool = False) -> tuple[Backend, Artefact]:
    """Load an artefact by its own runtime, chosen by the file name's ending.

    A file that holds its digest is held against it before, and looked through for code that no
    scorer needs, except where it is trusted.

    Raises:
        InputError: if there is no such file, it is damaged, it holds such code, or it cannot be run
            on this host.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    backend = of(path)
    if not backend.runnable:
        raise ArtefactError(f"{path}: runs on the device only: {backend.not_run_reason}")
    missing = backend.unavailable()
    if missing:
        raise ArtefactError(f"{path}: {missing}")
    sealed = check(path)
    if not trust:
        backend.scan(path)
    artefact = backend.load(path)
    artefact.file_sha256 = sealed
    return backend, artefact


def flatten(result: object) -> Inputs:
    """A method's result as a flat tuple of tensors (tuples and named tuples are opened)."""
    leaves = torch.utils._pytree.tree_leaves(result)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"result: expected tensors, got {type(leaf).__name__}")
    return tuple(leaves)
