"""ONNX: all methods in one ``.onnx`` file, run by ONNX Runtime on one thread."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from export.backends._base import CONTRACT_FILE, Artefact, Backend, Inputs, Source
from export.backends._precision import reduced
from export.backends._torchscript import first_sentence
from export.errors import ArtefactError

OPSET = 18
"""Of the file: the oldest that the converter writes, so that the oldest runtimes take it."""

_CONTRACT = CONTRACT_FILE.removesuffix(".json")
# Value names: forward.in.0, forward.out.0; all methods share one graph.
_IN, _OUT = "in", "out"
_STANDARD = ("", "ai.onnx")
_FATAL = 4  # of the runtime's levels of logging; what fails raises as well


class OnnxArtefact(Artefact):
    """A ``.onnx`` file in ONNX Runtime; of its graph, a run computes what one method needs."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL
        self._path = path
        self._only = onnxruntime.RunOptions()
        self._only.only_execute_path_to_fetches = True
        self._only.log_severity_level = _FATAL
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of the runtime's many kinds, which have no common one
            raise ArtefactError(
                f"{path}: damaged, or not the format its name says ({first_sentence(error)})"
            ) from error
        self._inputs = {slot.name: slot for slot in self._session.get_inputs()}
        self._outputs = [slot.name for slot in self._session.get_outputs()]

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method."""
        given = [name for name in self._inputs if name.startswith(f"{method}.{_IN}.")]
        wanted = [name for name in self._outputs if name.startswith(f"{method}.{_OUT}.")]
        if not wanted or len(given) != len(inputs):
            raise ArtefactError(
                f"{self._path}: no method {method} of {len(inputs)} inputs; "
                f"it takes {', '.join(self._inputs)}"
            )
        # The runtime asks for every input of the graph, and computes nothing with the others.
        feed = {name: _nothing(slot) for name, slot in self._inputs.items() if name not in given}
        feed.update(zip(given, (x.detach().contiguous().numpy() for x in inputs), strict=True))
        found = self._session.run(wanted, feed, self._only)
        return tuple(torch.from_numpy(np.array(value)) for value in found)

    def contract(self) -> str:
        """The contract in the model's metadata."""
        metadata = self._session.get_modelmeta().custom_metadata_map
        return str(metadata.get(_CONTRACT, ""))

    def input_shape(self, method: str, place: int = 0) -> tuple[int | None, ...] | None:
        """As the graph declares it."""
        slot = self._inputs.get(f"{method}.{_IN}.{place}")
        if slot is None:
            return None
        return tuple(size if isinstance(size, int) else None for size in slot.shape)


class Onnx(Backend):
    """Convert every method from its exported program; weights are shared."""

    name = "onnx"
    suffix = ".onnx"
    rank = 65
    tolerance = 1e-5
    precisions = ("float32", "mixed16")
    package = "onnxruntime"
    extra = "onnx"

    def unavailable(self) -> str:
        """Empty when the converter, the format and the runtime are there, else what to install."""
        for package in ("onnx", "onnxruntime", "onnxscript"):
            if importlib.util.find_spec(package) is None:
                return f"{package} is not installed: pip install 'scriptable-speech[{self.extra}]'"
        return ""

    def save(self, source: Source, path: Path) -> None:
        """Convert, join and write."""
        with _quiet():
            import onnx_ir
            from onnx_ir.passes import common

            source = reduced(source)
            joined, *others = [_converted(source.lowerable(m), m) for m in source.methods]
            for other in others:
                for part in ("node", "initializer", "input", "output", "value_info"):
                    getattr(joined.graph, part).extend(getattr(other.graph, part))
            model = onnx_ir.from_proto(joined)
            common.DeduplicateHashedInitializersPass(size_limit=1 << 40)(model)
            # Where each operator came from, with the paths of this machine.
            common.ClearMetadataAndDocStringPass()(model)
            model.producer_name, model.graph.name = "scriptable", "scorer"
            if source.contract:
                model.metadata_props[_CONTRACT] = source.contract
            path.write_bytes(onnx_ir.to_proto(model).SerializeToString())

    def scan(self, path: Path) -> None:
        """Refuse operators of other makers, and tensors kept in other files."""
        import onnx
        from google.protobuf.message import DecodeError

        try:
            model = onnx.ModelProto.FromString(path.read_bytes())
        except DecodeError as error:
            raise ArtefactError(f"{path}: damaged, or not the format its name says") from error
        for message in _messages(model):
            if isinstance(message, onnx.NodeProto) and message.domain not in _STANDARD:
                raise _refused(path, f"it uses {message.domain}::{message.op_type}")
            outside = onnx.TensorProto.EXTERNAL
            if isinstance(message, onnx.TensorProto) and message.data_location == outside:
                raise _refused(path, f"its tensor {message.name} is kept in another file")

    def load(self, path: Path) -> Artefact:
        """Load by ONNX Runtime."""
        return OnnxArtefact(path)


def _refused(path: Path, what: str) -> ArtefactError:
    return ArtefactError(
        f"{path}: {what}, which no scorer needs and which could do harm; "
        "if you trust where it comes from, give --trust"
    )


def _messages(message: Any) -> Iterator[Any]:
    """A protobuf message and all inside it."""
    waiting = [message]
    while waiting:
        found = waiting.pop()
        yield found
        for field, value in found.ListFields():
            if field.message_type is not None:
                waiting += value if field.is_repeated else [value]


def _nothing(slot: Any) -> Any:
    sizes = [size if isinstance(size, int) else 1 for size in slot.shape]
    return np.zeros(sizes, _DTYPES[slot.type])


_DTYPES = {
    "tensor(bool)": np.bool_,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
}


def _converted(program: ExportedProgram, method: str) -> Any:
    """One method as an ONNX model whose every name begins with the method's."""
    import onnx_ir

    converted = torch.onnx.export(
        program,
        dynamo=True,
        opset_version=OPSET,
        optimize=False,
        verbose=False,
        custom_translation_table=_translations(),
    )
    assert converted is not None
    model = converted.model
    _optimise(model)
    for graph in (model.graph, *model.graph.subgraphs()):
        made = [value for node in graph for value in node.outputs]
        for node in graph:
            node.name = f"{method}.{node.name}"
        # The dictionary of the initializers follows their names.
        for value in [*graph.inputs, *list(graph.initializers.values()), *made]:
            value.name = f"{method}.{value.name}"
    for kind, values in ((_IN, model.graph.inputs), (_OUT, model.graph.outputs)):
        for place, value in enumerate(values):
            value.name = f"{method}.{kind}.{place}"
    return onnx_ir.to_proto(model)


@cache
def _translations() -> dict[Any, Any]:
    """Operators that the converter gets wrong.

    Its ``log_sigmoid`` takes the logarithm of a sigmoid: minus infinity at -20. Here, and
    not among the rewrites alone, because it makes one of other losses, too.
    """
    from onnxscript import opset18

    def log_sigmoid(x: Any) -> Any:
        nothing = opset18.CastLike(opset18.Constant(value_float=0.0), x)
        one = opset18.CastLike(opset18.Constant(value_float=1.0), x)
        small = opset18.Exp(opset18.Neg(opset18.Abs(x)))
        return opset18.Sub(opset18.Min(x, nothing), opset18.Log(opset18.Add(one, small)))

    return {torch.ops.aten.log_sigmoid.default: log_sigmoid}


def _swallowing() -> list[Any]:
    """The optimiser's rules that take a small number for zero, and drop its sum."""
    from onnxscript.rewriter.rules.common import _no_op

    return list(_no_op.rules)


def _optimise(model: Any) -> None:
    """All of the optimiser's rules but for those."""
    from onnxscript import optimizer, rewriter

    known = rewriter._DEFAULT_REWRITE_RULES
    # They have no names, and compare by what they match.
    dropped = {id(rule) for rule in _swallowing()}
    try:
        rewriter._DEFAULT_REWRITE_RULES = tuple(rule for rule in known if id(rule) not in dropped)
        optimizer.optimize_ir(model)
    finally:
        rewriter._DEFAULT_REWRITE_RULES = known


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what converting says on every call."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"(torch|onnx|onnxscript|onnx_ir)\b")
            yield
    finally:
        logging.disable(level)


BACKEND = Onnx()
