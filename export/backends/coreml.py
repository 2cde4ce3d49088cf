"""Core ML: an ML Program in float32, run by Core ML on macOS and by our evaluator elsewhere."""

import json
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind, TensorArgument

from export.backends._base import Artefact, Backend, Inputs, Source
from export.backends._coreml_ops import table
from export.backends._coreml_scan import unroll_scans
from export.backends._coremltools import quiet_coremltools
from export.backends._mil import Function, read_functions
from export.backends._precision import encoder_nodes
from export.errors import ArtefactError

CONTRACT_KEY = "contract"
RESULTS_KEY = "results"
"""User metadata: per method the dtype and rank of each result, which Core ML itself drops."""

SINGLE = "main"


def _copy(graph: torch.fx.Graph, node: torch.fx.Node) -> torch.fx.Node:
    # A clone of a boolean would be optimised away together with the casts around it.
    if node.meta["val"].dtype == torch.bool:
        return graph.call_function(torch.ops.aten.logical_and.default, (node, node))
    return graph.call_function(torch.ops.aten.clone.default, (node,))


def _distinct_outputs(program: ExportedProgram) -> ExportedProgram:
    """Give every result a node of its own.

    Core ML tells results apart by name only, so a result that is an input, or that is returned
    twice, needs a copy.
    """
    graph = program.graph_module.graph
    output = graph.output_node()
    results = list(output.args[0])
    seen = set()
    for place, (node, spec) in enumerate(
        zip(results, program.graph_signature.output_specs, strict=True)
    ):
        if spec.kind != OutputKind.USER_OUTPUT:
            continue
        if node.op == "placeholder" or node in seen:
            with graph.inserting_before(output):
                copy = _copy(graph, node)
            copy.meta = dict(node.meta)
            results[place] = copy
            spec.arg = TensorArgument(name=copy.name)
        seen.add(node)
    output.args = (tuple(results),)
    program.graph_module.recompile()
    return program


def _arithmetic(ct: Any, source: Source, method: str, program: ExportedProgram) -> Any:
    """Core ML's precision: float32, or for each operator of an encoder float16."""
    if source.precision == "float32":
        return ct.precision.FLOAT32
    inside = encoder_nodes(program, source.module)
    if method == "forward" and not inside:
        raise ValueError("precision: the encoder's operators cannot be told from the others")
    return ct.transform.FP16ComputePrecision(op_selector=lambda op: op.name in inside)


def _results(program: ExportedProgram) -> list[dict[str, Any]]:
    """The dtype and rank of every result."""
    described = []
    for node in program.graph_module.graph.output_node().args[0]:
        value = node.meta["val"]
        described.append({"dtype": str(value.dtype).removeprefix("torch."), "rank": value.dim()})
    return described


class CoreML(Backend):
    """A ``.mlpackage`` with one function per method."""

    name = "coreml"
    suffix = ".mlpackage"
    rank = 70
    tolerance = 1e-3
    precisions = ("float32", "mixed16")
    unmeasured = "" if platform.system() == "Darwin" else "measured on macOS only"
    package = "coremltools"
    extra = "coreml"

    def save(self, source: Source, path: Path) -> None:
        """Convert every method from its exported program; weights are shared."""
        results = {}
        with quiet_coremltools() as ct, tempfile.TemporaryDirectory() as folder:
            several = len(source.methods) > 1
            target = ct.target.iOS18 if several else ct.target.iOS17
            parts = {}
            for method in source.methods:
                decomposed = source.lowerable(method).run_decompositions(table())
                program = _distinct_outputs(unroll_scans(decomposed))
                results[method] = _results(program)
                parts[method] = ct.convert(
                    program,
                    convert_to="mlprogram",
                    compute_precision=_arithmetic(ct, source, method, program),
                    minimum_deployment_target=target,
                    skip_model_load=True,
                )
            model = _join(ct, parts, Path(folder)) if several else next(iter(parts.values()))
            model.user_defined_metadata[CONTRACT_KEY] = source.contract
            model.user_defined_metadata[RESULTS_KEY] = json.dumps(results)
            model.save(str(path))

    def load(self, path: Path) -> Artefact:
        """Read a package; the runtime differs by host, the checks on the file do not."""
        with quiet_coremltools() as ct:
            try:
                model = ct.models.MLModel(str(path), skip_model_load=True)
                spec = model.get_spec()
            except Exception as error:  # whatever a damaged package makes the reader raise
                raise ArtefactError(f"{path}: not a Core ML package: {_line(error)}") from error
        if spec.WhichOneof("Type") != "mlProgram":
            raise ArtefactError(f"{path}: not an ML Program")
        weights = None if model.weights_dir is None else Path(model.weights_dir)
        try:
            functions = read_functions(spec.mlProgram, weights)
            return CoreMLArtefact(path, spec, functions)
        except (ArtefactError, KeyError, ValueError) as error:
            raise ArtefactError(f"{path}: {_line(error)}") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _join(ct: Any, parts: dict[str, Any], folder: Path) -> Any:
    """One package whose functions are the given ones."""
    descriptor = ct.utils.MultiFunctionDescriptor()
    for method, model in parts.items():
        model.save(str(folder / f"{method}.mlpackage"))
        descriptor.add_function(str(folder / f"{method}.mlpackage"), SINGLE, method)
    descriptor.default_function_name = "forward" if "forward" in parts else next(iter(parts))
    joined = folder / "joined.mlpackage"
    ct.utils.save_multifunction(descriptor, str(joined))
    return ct.models.MLModel(str(joined), skip_model_load=True)


class CoreMLArtefact(Artefact):
    """A loaded package."""

    def __init__(self, path: Path, spec: Any, functions: dict[str, Function]) -> None:
        self.path = path
        self.functions = functions
        metadata = spec.description.metadata.userDefined
        self._contract = metadata.get(CONTRACT_KEY, "")
        if RESULTS_KEY not in metadata:
            raise ArtefactError("the package was not written by this library")
        self.results: dict[str, list[dict[str, Any]]] = json.loads(metadata[RESULTS_KEY])
        for method in self.results:
            self.function(method)
        self.models: dict[str, Any] = {}

    def function(self, method: str) -> Function:
        """The function that holds a method."""
        if method not in self.results:
            raise ArtefactError(
                f"{self.path}: no method {method}; it has {', '.join(self.results)}"
            )
        name = SINGLE if len(self.results) == 1 else method
        if name not in self.functions:
            raise ArtefactError(f"the function {name} is missing")
        return self.functions[name]

    def run(self, method: str, inputs: Inputs) -> Inputs:
        """Run one method; 64-bit and boolean values are converted at the boundary."""
        function = self.function(method)
        if len(inputs) != len(function.inputs):
            raise ArtefactError(
                f"{self.path}: {method} takes {len(function.inputs)} inputs, got {len(inputs)}"
            )
        fitted = [
            x.detach().to(slot.dtype).reshape(x.shape or (1,))
            for x, slot in zip(inputs, function.inputs, strict=True)
        ]
        if platform.system() == "Darwin":
            values = self._predict(method, function, fitted)
        else:
            try:
                values = function(fitted)
            except ArtefactError as error:
                raise ArtefactError(f"{self.path}: {error}") from error
        return tuple(
            value.reshape(() if want["rank"] == 0 else value.shape).to(
                getattr(torch, want["dtype"])
            )
            for value, want in zip(values, self.results[method], strict=True)
        )

    def _predict(self, method: str, function: Function, inputs: list[Tensor]) -> list[Tensor]:
        """Run by Core ML itself."""
        with quiet_coremltools() as ct:
            if method not in self.models:
                self.models[method] = ct.models.MLModel(
                    str(self.path),
                    function_name=function.name if len(self.results) > 1 else None,
                )
            names = [slot.name for slot in function.inputs]
            given = {n: x.numpy() for n, x in zip(names, inputs, strict=True)}
            found = self.models[method].predict(given)
        return [torch.as_tensor(np.asarray(found[n])) for n in function.block.outputs]

    def input_shape(self, method: str, place: int = 0) -> tuple[int | None, ...] | None:
        """As the package declares it."""
        inputs = self.function(method).inputs if method in self.results else []
        return inputs[place].shape if place < len(inputs) else None

    def contract(self) -> str:
        """The text in the package's user metadata."""
        return self._contract


BACKEND = CoreML()
