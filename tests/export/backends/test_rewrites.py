"""Forms that converters refuse or get wrong: right with the rewrites, and not without them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from artefact_helpers import usable
from torch import Tensor, nn

from export import backends
from export.backends import Source
from export.backends import _base as base
from export.backends._executorch import operators
from export.backends._rewrites import FOLDING, REWRITES, fold_weights


class Convolved(nn.Module):
    """A convolution, then one operator."""

    def __init__(self, operator: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 1)
        self.operator = operator

    def forward(self, x: Tensor) -> Tensor:
        return self.operator(self.convolution(x))


class Sinc(nn.Module):
    """Filters that are computed from buffers in every call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("edges", torch.rand(6, 1))
        self.register_buffer("window", torch.hann_window(17))

    def forward(self, waveform: Tensor) -> Tensor:
        taps = torch.arange(-8, 9, dtype=waveform.dtype)
        filters = torch.sinc(self.edges * taps) * self.window
        return F.conv1d(waveform.unsqueeze(1), filters.unsqueeze(1)).abs()


PICTURE, WAVEFORM = (1, 3, 6, 9), (1, 400)


def without_rewrites(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "rewritten", lambda program, export: program)


def saved(name: str, module: nn.Module, shape: tuple[int, ...], folder: Path) -> Path:
    backend = usable(name)
    path = folder / f"made{backend.suffix}"
    backends.save(backend, Source(module.eval(), {"forward": (torch.randn(shape),)}), path)
    return path


def error_on_other_content(path: Path, module: nn.Module, shape: tuple[int, ...]) -> float:
    content = 3 * torch.randn(shape)
    (found,) = backends.load(path)[1].run("forward", (content,))
    with torch.no_grad():
        return float((found - module(content)).abs().max())


MAXIMA = [
    lambda x: torch.max(x, dim=3)[0],
    lambda x: torch.max(x, dim=-1, keepdim=True)[0],
    lambda x: torch.max(x, dim=1)[0],
]


@pytest.mark.parametrize("which", range(len(MAXIMA)))
def test_a_maximum_over_any_axis_of_four_lowers_for_xnnpack(
    which: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Convolved(MAXIMA[which])
    path = saved("executorch_xnnpack", module, PICTURE, tmp_path)
    assert error_on_other_content(path, module, PICTURE) < 1e-5
    without_rewrites(monkeypatch)
    with pytest.raises(RuntimeError, match=r"amax\.default only supports"):
        saved("executorch_xnnpack", module, PICTURE, tmp_path)


def test_a_maximum_keeps_its_index(tmp_path: Path) -> None:
    def both(x: Tensor) -> Tensor:
        values, places = torch.max(x, dim=2)
        return values + places

    module = Convolved(both)
    path = saved("executorch_xnnpack", module, PICTURE, tmp_path)
    assert error_on_other_content(path, module, PICTURE) < 1e-5


# coremltools leaves a temporary folder to the garbage collector when a conversion fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pooling_without_a_stride_converts_to_core_ml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Convolved(lambda x: F.max_pool2d(x, 3))
    path = saved("coreml", module, PICTURE, tmp_path)
    assert error_on_other_content(path, module, PICTURE) < 1e-5
    without_rewrites(monkeypatch)
    with pytest.raises(ValueError, match="max_pool2d"):
        saved("coreml", module, PICTURE, tmp_path)


def test_selu_is_delegated_with_its_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Convolved(F.selu)
    path = saved("executorch_xnnpack", module, PICTURE, tmp_path)
    assert operators(path) == []
    assert error_on_other_content(path, module, PICTURE) < 1e-5
    without_rewrites(monkeypatch)
    assert operators(saved("executorch_xnnpack", module, PICTURE, tmp_path)) == ["aten::elu"]


def test_filters_computed_from_buffers_are_a_constant_of_the_delegate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Sinc()
    path = saved("executorch_xnnpack", module, WAVEFORM, tmp_path)
    assert "aten::convolution" not in operators(path)
    assert error_on_other_content(path, module, WAVEFORM) < 1e-5
    without_rewrites(monkeypatch)
    path = saved("executorch_xnnpack", module, WAVEFORM, tmp_path)
    assert "aten::convolution" in operators(path)


def test_log_sigmoid_is_written_out() -> None:
    module = Convolved(F.logsigmoid)
    source = Source(module, {"forward": (torch.randn(PICTURE),)})
    op = torch.ops.aten.log_sigmoid.default
    assert op in {node.target for node in source.exported("forward").graph.nodes}
    program = source.lowerable("forward")
    assert op not in {node.target for node in program.graph.nodes}
    content = 200 * torch.randn(PICTURE)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(content), module(content))


def test_a_program_without_any_of_it_is_left_as_it_is() -> None:
    source = Source(Convolved(torch.relu), {"forward": (torch.randn(PICTURE),)})
    assert source.lowerable("forward") is source.exported("forward")


def test_what_an_input_or_chance_has_a_part_in_is_not_folded() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.randn(2, 3, 5))
            self.register_buffer("steps", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            by_input = F.conv1d(x, self.weight * x.mean())
            by_chance = F.conv1d(x, self.weight * torch.randn(()))
            self.steps.add_(1)
            by_calls = F.conv1d(x, self.weight * self.steps)
            plain = F.conv1d(x, self.weight.transpose(0, 1).transpose(0, 1))
            return by_input + by_chance + by_calls + plain

    program = torch.export.export(Mixed(), (torch.randn(1, 3, 20),))
    assert fold_weights(program.module(check_guards=False)) == 0


def test_an_open_batch_stays_open() -> None:
    source = Source(Sinc(), {"forward": (torch.randn(3, 400),)}, dynamic_batch=True)
    module = source.lowerable("forward").module()
    assert "folded_weight_0" in dict(module.named_buffers())
    assert list(module(torch.randn(5, 400)).shape) == [5, 6, 384]


def test_every_rewrite_says_why_and_where_upstream_knows_of_it() -> None:
    for rewrite in REWRITES.values():
        assert len(rewrite.problem) > 40
        assert rewrite.upstream.startswith("https://github.com/")
    assert FOLDING.startswith("https://github.com/")
