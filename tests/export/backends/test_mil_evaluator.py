"""The evaluator of MIL programs: kernels by hand, wrong constants, refusals."""

import inspect
import math
import platform
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

pytest.importorskip("coremltools")

from mil_helpers import Family, Forms, Head, assert_equal, operations, randn, rewritten, saved

from export.backends import flatten
from export.backends._mil.registry import KERNELS, find_kernel
from export.backends.coreml import BACKEND
from export.errors import ArtefactError

OFF_MACOS = platform.system() != "Darwin"

# Constants inside kernels: each wrong one must show on the package below.


@pytest.fixture(scope="module")
def delicate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    torch.manual_seed(2)
    forms: Forms = {
        "batch": nn.BatchNorm1d(5, eps=1e-3),
        "layer": nn.LayerNorm(12, eps=1e-3),
        "softplus": F.softplus,
        "gelu": F.gelu,
        "silu": F.silu,
        "log": lambda x: (x.abs() + 1e-6).log(),
        "softmax": lambda x: x.softmax(-1),
        "elu": F.elu,
    }
    family = Family(forms).eval()
    nn.init.constant_(family.parts["batch"].running_var, 0.01)
    path = tmp_path_factory.mktemp("delicate") / "a.mlpackage"
    saved(family, (randn(4, 5, 12),), path)
    return path, family


@pytest.mark.skipif(not OFF_MACOS, reason="the evaluator does not run on macOS")
@pytest.mark.parametrize(
    ("op", "change"),
    [
        ("batch_norm", {"epsilon": 2e-3}),
        ("layer_norm", {"epsilon": 2e-3}),
        ("log", {"epsilon": 1e-6}),
        ("softmax", {"axis": 1}),
        ("elu", {"alpha": 0.99}),
        ("gelu", {"mode": "TANH_APPROXIMATION"}),
    ],
)
def test_a_wrong_constant_is_noticed(
    op: str, change: dict[str, object], delicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, family = delicate
    right = KERNELS[op]
    scale = torch.tensor([0.05, 0.05, 0.05, 2.0]).reshape(4, 1, 1)
    inputs = (scale * randn(4, 5, 12, seed=4),)
    want = family(*inputs)
    assert_equal(family.forms, BACKEND.load(path).run("forward", inputs), want)

    def wrong(**given: object) -> Tensor:
        return right(**{**given, **change})

    wrong.__signature__ = inspect.signature(right)  # type: ignore[attr-defined]
    monkeypatch.setitem(KERNELS, op, wrong)
    with pytest.raises(AssertionError):
        assert_equal(family.forms, BACKEND.load(path).run("forward", inputs), want)


def i(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int32)


def f(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


GRID = torch.arange(12.0).reshape(3, 4)
ONE = torch.tensor(1, dtype=torch.int32)

DIRECT: list[tuple[str, dict[str, object], object]] = [
    ("log", {"x": f(0.0)}, f(-103.2789)),
    ("rsqrt", {"x": f(1e-12)}, f(1 / math.sqrt(2e-12))),
    ("rsqrt", {"x": f(3.0), "epsilon": torch.tensor(1.0)}, f(0.5)),
    ("inverse", {"x": f(0.0, 1.0)}, f(1e4, 1 / 1.0001)),
    ("l2_norm", {"x": torch.full((1, 1, 2), 1e-3)}, torch.full((1, 1, 2), 1e-3 / math.sqrt(3e-6))),
    ("softplus", {"x": f(0.0, 25.0, -200.0)}, f(math.log(2), 25.0, 0.0)),
    ("gelu", {"x": f(1.0), "mode": "EXACT"}, f(0.8413447)),
    ("gelu", {"x": f(1.0), "mode": "TANH_APPROXIMATION"}, f(0.8411920)),
    ("gelu", {"x": f(1.0), "mode": "SIGMOID_APPROXIMATION"}, f(0.8457958)),
    ("round", {"x": f(0.5, 1.5, -2.5)}, f(0.0, 2.0, -2.0)),
    ("mod", {"x": i(-3, 3), "y": i(2, -2)}, i(1, -1)),
    ("floor_div", {"x": i(-3, 3), "y": i(2, 2)}, i(-2, 1)),
    ("real_div", {"x": i(6), "y": i(2)}, i(3)),
    ("cast", {"x": f(-1.7, 1.7), "dtype": "int32"}, i(-1, 1)),
    ("cast", {"x": f(0.0, 0.3), "dtype": "bool"}, torch.tensor([False, True])),
    ("thresholded_relu", {"x": f(0.5, 1.0), "alpha": f(1.0)}, f(0.0, 1.0)),
    ("clamped_relu", {"x": f(-2.0, 9.0), "alpha": f(0.1), "beta": f(6.0)}, f(-0.2, 6.0)),
    ("sigmoid_hard", {"x": f(-9.0, 1.0, 9.0), "alpha": f(0.2), "beta": f(0.5)}, f(0.0, 0.7, 1.0)),
    ("scaled_tanh", {"x": f(1.0), "alpha": f(2.0), "beta": f(0.5)}, f(2 * math.tanh(0.5))),
    ("concat", {"values": [f(1, 2), f(3, 4)], "axis": 0 * ONE}, f(1, 2, 3, 4)),
    ("concat", {"values": [f(1, 2), f(3, 4)], "axis": 0 * ONE, "interleave": ONE}, f(1, 3, 2, 4)),
    ("reshape", {"x": GRID, "shape": i(0, -1, 0)}, GRID.reshape(1, 3, 4)),
    ("slice_by_index", {"x": f(0, 1, 2, 3), "begin": i(-1), "end": i(0), "stride": i(-2)}, f(3, 1)),
    (
        "slice_by_index",
        {
            "x": GRID,
            "begin": i(1, 0),
            "end": i(0, 0),
            "stride": i(1, -1),
            "begin_mask": torch.tensor([False, True]),
            "end_mask": torch.tensor([False, True]),
            "squeeze_mask": torch.tensor([True, False]),
        },
        f(7, 6, 5, 4),
    ),
    ("slice_by_size", {"x": GRID, "begin": i(1, -2), "size": i(1, -1)}, f(6, 7)[None]),
    (
        "slice_update",
        {"x": f(0, 1, 2, 3), "update": f(8, 9), "begin": i(0), "end": i(4), "stride": i(2)},
        f(8, 1, 9, 3),
    ),
    ("gather", {"x": GRID, "indices": i(2, 0), "axis": ONE}, GRID[:, [2, 0]]),
    (
        "gather",
        {"x": GRID, "indices": i(3, 0, 1)[:, None], "axis": ONE, "batch_dims": ONE},
        f(3, 4, 9)[:, None],
    ),
    ("gather_nd", {"x": GRID, "indices": i(2, 1)[None]}, f(9)),
    (
        "gather_nd",
        {"x": GRID, "indices": i(3, 0, 1)[:, None], "batch_dims": ONE},
        f(3, 4, 9),
    ),
    ("scatter", {"data": f(1, 2), "indices": i(1, 1), "updates": f(3, 4)}, f(1, 9)),
    ("scatter", {"data": f(8, 2), "indices": i(0), "updates": f(4), "mode": "div"}, f(2, 2)),
    ("scatter", {"data": f(8, 2), "indices": i(0), "updates": f(4), "mode": "sub"}, f(4, 2)),
    ("scatter", {"data": f(8, 2), "indices": i(0), "updates": f(4), "mode": "min"}, f(4, 2)),
    ("scatter", {"data": f(8, 2), "indices": i(0), "updates": f(4), "mode": "mul"}, f(32, 2)),
    (
        "scatter_nd",
        {"data": GRID[:2, :2], "indices": i(1, 0)[None], "updates": f(5), "mode": "update"},
        torch.tensor([[0.0, 1.0], [5.0, 5.0]]),
    ),
    ("one_hot", {"indices": i(1, 7), "one_hot_vector_size": i(2)}, torch.stack([i(0, 1), i(0, 0)])),
    ("topk", {"x": i(3, 9, 9), "k": 2 * ONE}, (i(9, 9), i(1, 2))),
    ("topk", {"x": f(3, 9, 1), "k": 2 * ONE, "ascending": ONE, "return_indices": 0 * ONE}, f(1, 3)),
    ("cumsum", {"x": f(1, 2, 3), "exclusive": ONE}, f(0, 1, 3)),
    ("cumsum", {"x": f(1, 2, 3), "exclusive": ONE, "reverse": ONE}, f(5, 3, 0)),
    (
        "band_part",
        {"x": torch.ones(2, 3), "lower": 0 * ONE, "upper": ONE},
        torch.ones(2, 3).triu().tril(1),
    ),
    (
        "sliding_windows",
        {"x": f(0, 1, 2, 3), "axis": 0 * ONE, "size": 2 * ONE, "stride": 2 * ONE},
        torch.tensor([[0.0, 1.0], [2.0, 3.0]]),
    ),
    ("pad", {"x": f(1, 2, 3), "pad": i(2, 1), "mode": "reflect"}, f(3, 2, 1, 2, 3, 2)),
    ("pad", {"x": f(1, 2), "pad": i(1, 2), "mode": "replicate"}, f(1, 1, 2, 2, 2)),
    ("range_1d", {"start": ONE, "end": 6 * ONE, "step": 2 * ONE}, i(1, 3, 5)),
    ("fill", {"shape": i(2), "value": ONE}, i(1, 1)),
    (
        "reverse_sequence",
        {"x": GRID[:2], "lengths": i(2, 3), "seq_axis": ONE, "batch_axis": 0 * ONE},
        torch.tensor([[1.0, 0, 2, 3], [6, 5, 4, 7]]),
    ),
    ("reduce_log_sum", {"x": f(1, 2)}, torch.tensor(math.log(3))),
    ("reduce_l1_norm", {"x": f(1, -2)}, torch.tensor(3.0)),
    ("reduce_sum_square", {"x": f(1, -2)}, torch.tensor(5.0)),
    ("reduce_prod", {"x": GRID, "axes": i(1), "keep_dims": ONE}, f(0, 840, 7920)[:, None]),
    ("matmul", {"x": GRID, "y": GRID, "transpose_y": ONE}, GRID @ GRID.T),
    (
        "conv",
        {"x": f(1, 2, 3)[None, None], "weight": f(1, 10)[None, None], "pad_type": "same"},
        f(21, 32, 3)[None, None],
    ),
    (
        "conv",
        {"x": f(1, 2, 3)[None, None], "weight": f(1, 10)[None, None], "pad_type": "same_lower"},
        f(10, 21, 32)[None, None],
    ),
    (
        "conv_transpose",
        {
            "x": f(1, 2)[None, None],
            "weight": f(1, 10)[None, None],
            "bias": f(100),
            "output_shape": i(1, 1, 4),
        },
        f(101, 112, 120, 100)[None, None],
    ),
    (
        "avg_pool",
        {
            "x": f(2, 4)[None, None],
            "kernel_sizes": i(3),
            "pad_type": "custom",
            "pad": i(1, 1),
            "exclude_padding_from_average": ONE,
        },
        f(3, 3)[None, None],
    ),
    ("dequantize", {"input": i(3), "scale": torch.tensor(0.5), "zero_point": ONE}, f(1.0)),
    (
        "quantize",
        {"input": f(0.7, 900.0), "scale": torch.tensor(0.5), "output_dtype": "int8"},
        torch.tensor([1, 127], dtype=torch.int8),
    ),
]


@pytest.mark.parametrize(("op", "given", "want"), DIRECT, ids=[row[0] for row in DIRECT])
def test_kernels_by_hand(op: str, given: dict[str, object], want: object) -> None:
    got = find_kernel(op, given)(**given)
    for actual, expected in zip(flatten(got), flatten(want), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)


def test_refusals() -> None:
    with pytest.raises(ArtefactError, match="MIL op warp: not supported"):
        find_kernel("warp", {"x": ONE})
    with pytest.raises(ArtefactError, match="MIL op log: input base is not supported"):
        find_kernel("log", {"x": ONE, "base": ONE})
    with pytest.raises(ArtefactError, match="MIL op log: input x is missing"):
        find_kernel("log", {})
    with pytest.raises(ArtefactError, match=r"expected values in \[0, 3\), got -1 to 0"):
        KERNELS["gather"](x=GRID, indices=i(-1, 0))
    with pytest.raises(ArtefactError, match="do not divide"):
        KERNELS["real_div"](x=i(3), y=i(2))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "a.mlpackage"
    saved(Head(), (randn(4, 64), torch.tensor([0, 1, 2, 3])), path)
    return path


def test_an_unknown_op_in_a_file_is_named(package: Path, tmp_path: Path) -> None:
    def change(spec) -> None:
        next(o for o in operations(spec) if o.type != "const").type = "warp"

    path = rewritten(package, tmp_path / "warp.mlpackage", change)
    with pytest.raises(ArtefactError, match=r"warp\.mlpackage: MIL op warp: not supported"):
        BACKEND.load(path)


@pytest.mark.skipif(not OFF_MACOS, reason="the evaluator does not run on macOS")
def test_a_declared_type_that_does_not_hold_is_named(package: Path, tmp_path: Path) -> None:
    def change(spec) -> None:
        step = next(o for o in operations(spec) if o.type in ("linear", "matmul"))
        step.outputs[0].type.tensorType.dimensions[1].constant.size = 9

    artefact = BACKEND.load(rewritten(package, tmp_path / "a.mlpackage", change))
    with pytest.raises(ArtefactError, match=r"the file declares torch.float32 \[4, 9\], got .*"):
        artefact.run("forward", (randn(4, 64), torch.tensor([0, 1, 2, 3])))
