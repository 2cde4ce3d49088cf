"""What a backend is: how to save a module, load the saved file, run it, and what it promises.

A backend is one file in ``export/backends/`` that defines ``BACKEND``; nothing else needs to know
it.
"""

import copy
import importlib.util
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from export.backends._copies import copied
from export.backends._rewrites import rewritten
from export.backends._seal import seal
from export.files import replacing

Inputs = tuple[Tensor, ...]

CONTRACT_FILE = "contract.json"
CONTRACT_METHOD = "get_contract"

_Made = TypeVar("_Made")


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
        self.precision = "float32"
        self.calibration: Tensor | None = None
        """Windows ``[T, N]`` of the audio that ranges of integers are chosen on."""
        self._made: dict[str, Any] = {}

    def apart(self) -> "Source":
        """The same with a copy of the module in eval mode, for a backend to do with as it likes."""
        own = copy.copy(self)
        own.module = copied(self.module).eval()
        return own

    def with_contract(self, contract: str) -> "Source":
        """The same with another contract; no program depends on it."""
        own = copy.copy(self)
        own.contract = contract
        return own

    def in_precision(self, precision: str, calibration: Tensor | None = None) -> "Source":
        """The same, to be saved with other arithmetic inside."""
        own = copy.copy(self)
        own.precision, own.calibration, own._made = precision, calibration, {}
        return own

    def of(self, module: nn.Module) -> "Source":
        """Another module with the same methods in the place of this one."""
        own = copy.copy(self)
        own.module, own._made = module, {}
        return own

    def once(self, what: str, make: Callable[[], _Made]) -> _Made:
        """What ``make`` gives, or raises, the first time; backends share it."""
        if what not in self._made:
            try:
                self._made[what] = make()
            except Exception as error:  # kept, and raised for each backend that asks
                self._made[what] = error
        found: _Made | Exception = self._made[what]
        if isinstance(found, Exception):
            raise found
        return found

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
        """``torch.export`` of one method."""
        return self.once(
            f"exported {method}", lambda: self._export(self.as_forward(method), method)
        )

    def lowerable(self, method: str) -> ExportedProgram:
        """The exported program in the forms that converters take."""

        def make() -> ExportedProgram:
            return rewritten(self.exported(method), lambda module: self._export(module, method))

        return self.once(f"lowerable {method}", make)

    def _export(self, module: nn.Module, method: str) -> ExportedProgram:
        inputs, shapes = self.methods[method], None
        if self.dynamic_batch:
            batch = Dim("batch", min=1, max=64)
            shapes = tuple({0: batch} if x.dim() else None for x in inputs)
        try:
            return torch.export.export(module, inputs, dynamic_shapes=shapes)
        except Exception as error:  # whatever torch.export raises
            # Looking at the bytecode sees through some code that running it does not, such as a
            # call that is tried and caught.
            try:
                return torch.export.export(module, inputs, dynamic_shapes=shapes, strict=True)
            except Exception:
                raise error from None


class Artefact(ABC):
    """A saved file, loaded afresh by the runtime of its backend."""

    holds_interpreter: bool = False
    """True where no other Python thread goes on while a method runs."""
    file_sha256: str | None = None
    """The digest that the file was held against before it was loaded; None where it has none."""

    @abstractmethod
    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method; results are flattened into a tuple of tensors."""

    @abstractmethod
    def contract(self) -> str:
        """The contract's JSON text, or an empty string when the file carries none."""

    def input_shape(self, method: str, place: int = 0) -> tuple[int | None, ...] | None:
        """Of one input; None stands for a size left open, or for a file that does not say.

        A method that the file has not has no inputs: None.
        """
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
    rank: ClassVar[int] = 100
    """Its place in tables: lower ranks stand further left, equal ones go by name."""
    package: ClassVar[str] = "torch"
    """The importable package that saving and loading need."""
    extra: ClassVar[str] = ""
    """The extra of this project that installs ``package``."""
    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    """What :attr:`Source.precision` it can save; its own tolerance is about float32 alone."""
    runnable: ClassVar[bool] = True
    """False where the file can be written on this host and not be run."""
    not_run_reason: ClassVar[str] = ""
    emulated: ClassVar[bool] = False
    """True where another processor is emulated to run another backend's file: slow, so that of the
    catalogue only the scores that ship are run."""
    keeps_weights: ClassVar[bool] = False
    """True where the file gives the named tensors back as they were trained."""
    slowness: ClassVar[float] = 1.0
    """How many times eager's time a pass may take, as a guess before the first one."""
    unmeasured: str = ""
    """Why timing the file here would say nothing about its real runtime; empty where it does."""

    def unavailable(self) -> str:
        """Empty when the backend can be used here, else what to install."""
        if importlib.util.find_spec(self.package) is None:
            return f"{self.package} is not installed: pip install 'scriptable-speech[{self.extra}]'"
        return ""

    def use_one_thread(self) -> None:
        """Compute in one thread from now on; to be called before anything is loaded."""
        torch.set_num_threads(1)

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


def save(backend: Backend, source: Source, path: Path) -> None:
    """Save through ``backend``; leaves nothing half-written, the module and chance as they were."""
    random_state = torch.get_rng_state()
    try:
        with replacing(path) as temporary:
            backend.save(source.apart(), temporary)
            seal(temporary)
    finally:
        torch.set_rng_state(random_state)


def flatten(result: object) -> Inputs:
    """A method's result as a flat tuple of tensors (tuples and named tuples are opened)."""
    leaves = torch.utils._pytree.tree_leaves(result)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"result: expected tensors, got {type(leaf).__name__}")
    return tuple(leaves)
