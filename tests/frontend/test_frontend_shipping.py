"""The static front ends through every way of shipping them, and without torchaudio."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from frontend_helpers import FAMILY, broadband, build, deviation, noise, periodic, tones
from torch import nn

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", FAMILY)
def test_script_equals_eager_in_value_and_gradient(name: str) -> None:
    frontend = build(name)
    scripted = torch.jit.script(frontend)
    for _ in range(3):
        results = []
        for module in (frontend, scripted):
            waveform = broadband().requires_grad_()
            features = module(waveform)
            (gradient,) = torch.autograd.grad(features.square().mean(), waveform)
            results.append((features.detach(), gradient))
        assert deviation(results[1][0], results[0][0]) <= 1e-6
        scale = float(results[0][1].abs().max())
        assert float((results[1][1] - results[0][1]).abs().max()) <= 1e-5 * scale
    assert torch.equal(scripted(noise().double()), scripted(noise()))


@pytest.mark.parametrize("name", FAMILY)
def test_saved_script_trace_and_lite_run_on_other_content(name: str, tmp_path: Path) -> None:
    from torch.jit.mobile import _load_for_lite_interpreter

    frontend = build(name)
    scripted = torch.jit.script(frontend)
    traced = torch.jit.trace(frontend, (noise(),))
    scripted.save(tmp_path / "script.pt")
    traced.save(tmp_path / "trace.pt")
    scripted._save_for_lite_interpreter(str(tmp_path / "script.ptl"))
    loaded = [
        torch.jit.load(tmp_path / "script.pt"),
        torch.jit.load(tmp_path / "trace.pt"),
        _load_for_lite_interpreter(str(tmp_path / "script.ptl")),
    ]
    for content in (broadband()[2:4], periodic()[:2]):
        for module in loaded:
            assert deviation(module(content), frontend(content)) <= 1e-6


@pytest.mark.parametrize("name", FAMILY)
def test_torch_export_with_any_batch(name: str) -> None:
    frontend = build(name)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(frontend, (noise(),), dynamic_shapes=(batch,)).module()
    for content in (broadband(), periodic()):
        assert deviation(program(content), frontend(content)) <= 1e-6


def lowered(frontend: nn.Module, xnnpack: bool) -> tuple[list[str], bytes]:
    """The operators left outside delegates, and the .pte file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        program = torch.export.export(frontend, (noise(),))
        partitioners = [XnnpackPartitioner()] if xnnpack else []
        edge = to_edge_transform_and_lower(program, partitioner=partitioners)
        nodes = edge.exported_program().graph.nodes
        calls = [str(node.target) for node in nodes if node.op == "call_function"]
        return [name for name in calls if "getitem" not in name], edge.to_executorch().buffer


PORTABLE = [name for name in FAMILY if "no_center" not in name]
PRODUCTS = ("convolution", "linear", "mm")
LOWERED = [(name, True) for name in FAMILY] + [(name, False) for name in PORTABLE]


@pytest.mark.parametrize(("name", "xnnpack"), LOWERED)
def test_executorch_runs_and_xnnpack_takes_all_products(name: str, xnnpack: bool) -> None:
    runtime = pytest.importorskip("executorch.runtime")
    frontend = build(name)
    operators, buffer = lowered(frontend, xnnpack)
    products = sum(any(k in operator for k in PRODUCTS) for operator in operators)
    delegates = sum("executorch_call_delegate" in operator for operator in operators)
    # The decibel floor needs a maximum, which XNNPACK leaves to a portable kernel.
    pieces = 2 if "-db" in name else 1
    assert delegates == (pieces if xnnpack else 0)
    # Transform, filterbank, perhaps a cosine transform.
    layers = 2 if name.startswith("logmel") else 3
    assert products == 0 if xnnpack else products >= layers
    if xnnpack and "no_center" in name:
        assert len(operators) == 2 * pieces, "unsqueeze, one delegate; for decibels amax, another"
    method = runtime.Runtime.get().load_program(buffer).load_method("forward")
    contents = [(noise(seed=3), 1e-6), (broadband()[3:5], 1e-6)]
    if "magnitude" not in name:
        contents.append((tones()[:2], 2e-3 if name.startswith("logmel") else 2e-4))
    for content, tolerance in contents:
        assert deviation(method.execute([content])[0], frontend(content)) <= tolerance


@pytest.mark.parametrize("name", FAMILY)
def test_coreml_converts(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coremltools = pytest.importorskip("coremltools")
        program = torch.export.export(build(name), (noise(),)).run_decompositions({})
        model = coremltools.convert(
            program,
            minimum_deployment_target=coremltools.target.iOS16,
            compute_precision=coremltools.precision.FLOAT32,
            skip_model_load=True,
        )
    assert len(model.get_spec().description.output) == 1


WITHOUT_TORCHAUDIO = """
import sys
import scriptable
from scriptable.frontend import LFCC
assert not any(name.startswith("torchaudio") for name in sys.modules)

class Broken:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("torchaudio"):
            raise OSError("libc10_cuda.so: cannot open shared object file")

sys.meta_path.insert(0, Broken())
try:
    LFCC()
except ImportError as error:
    print(error)
"""


def test_torchaudio_is_imported_late_and_its_failure_explained() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCHAUDIO], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "torchaudio cannot be imported (libc10_cuda.so" in done.stdout
    assert "install the build that matches your torch" in done.stdout
