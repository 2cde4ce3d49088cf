"""The ``.onnx`` file: what its converter gets wrong, several methods, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from artefact_helpers import Artefacts, usable
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan

from export import backends
from export.backends import Source
from export.backends import _base as base
from export.backends import onnx as onnx_backend
from export.backends._seal import seal
from export.errors import ArtefactError
from export.runtime.scorer import load_scorer

FAR = torch.tensor([[-200.0, -95.0, -20.0, -1e-3, 0.0, 1e-3, 20.0, 200.0]])


class Applied(nn.Module):
    """A function of one tensor."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Two(nn.Module):
    """Two methods over one large weight; one of them gives back what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(100, 200)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)

    def score(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = self.layer(x)
        return y.sum(1), y, labels


def saved(module: nn.Module, methods: dict[str, tuple[Tensor, ...]], folder: Path) -> Path:
    backend = usable("onnx")
    path = folder / "made.onnx"
    backends.save(backend, Source(module.eval(), methods), path)
    return path


def result(path: Path, *inputs: Tensor) -> Tensor:
    return backends.load(path)[1].run("forward", inputs)[0]


def small_sum(x: Tensor) -> Tensor:
    return x.square() + 1e-8


LOGARITHMS = {
    "logsigmoid": F.logsigmoid,
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(
        x, torch.full_like(x, 0.25), reduction="none"
    ),
}


@pytest.mark.parametrize("name", LOGARITHMS)
def test_the_logarithm_of_a_sigmoid_far_below_zero(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = LOGARITHMS[name]
    example = {"forward": (torch.zeros_like(FAR),)}
    expected = function(FAR)
    found = result(saved(Applied(function), example, tmp_path), FAR)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    # Without the rewrite and the translation of ours, the converter's own.
    monkeypatch.setattr(base, "rewritten", lambda program, export: program)
    monkeypatch.setattr(onnx_backend, "_translations", dict)
    assert not bool(result(saved(Applied(function), example, tmp_path), FAR).isfinite().all())


def test_a_small_number_that_is_added_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = torch.zeros(1, 3)
    path = saved(Applied(small_sum), {"forward": (torch.ones(1, 3),)}, tmp_path)
    assert result(path, zero).tolist() == small_sum(zero).tolist()
    monkeypatch.setattr(onnx_backend, "_swallowing", list)
    path = saved(Applied(small_sum), {"forward": (torch.ones(1, 3),)}, tmp_path)
    assert result(path, zero).tolist() == [[0.0, 0.0, 0.0]]


def test_two_methods_share_their_weights(tmp_path: Path) -> None:
    module = Two().eval()
    x, labels = torch.randn(3, 100), torch.tensor([2, 0, 1])
    path = saved(module, {"forward": (x,), "score": (x, labels)}, tmp_path)
    assert path.stat().st_size < 1.1 * 4 * 100 * 200
    artefact = backends.load(path)[1]
    content, other = torch.randn(3, 100), torch.tensor([1, 1, 0])
    with torch.no_grad():
        expected = module.score(content, other)
        torch.testing.assert_close(artefact.run("forward", (content,)), (module(content),))
    torch.testing.assert_close(artefact.run("score", (content, other)), expected)
    assert artefact.input_shape("score") == (3, 100)
    assert artefact.input_shape("verify") is None
    with pytest.raises(
        ArtefactError, match=r"no method verify of 1 inputs; it takes forward\.in\.0"
    ):
        artefact.run("verify", (content,))


def test_what_the_file_says_of_itself(artefacts: Artefacts) -> None:
    onnx = pytest.importorskip("onnx", reason="pip install 'scriptable-speech[onnx]'")
    model = onnx.load(artefacts.path("onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert [entry.key for entry in model.metadata_props] == ["contract"]
    scorer = artefacts.scorer("onnx")
    assert model.metadata_props[0].value == scorer.artefact.contract()
    assert scorer.contract.file_sha256 in scorer.artefact.contract()
    # Traces of where an operator came from would hold this machine's paths.
    assert not [node for node in model.graph.node if node.doc_string or node.metadata_props]


def changed(artefacts: Artefacts, path: Path, change: Callable[..., None]) -> Path:
    """The scorer's file with another graph, sealed as whoever changed it would."""
    onnx = pytest.importorskip("onnx", reason="pip install 'scriptable-speech[onnx]'")
    model = onnx.load(artefacts.path("onnx"))
    change(model, onnx)
    path.write_bytes(model.SerializeToString())
    seal(path)
    return path


def elsewhere(model: object, onnx: object) -> None:
    tensor = model.graph.initializer[0]  # type: ignore[attr-defined]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL  # type: ignore[attr-defined]
    tensor.external_data.add(key="location", value="../../etc/passwd")


def foreign(model: object, onnx: object) -> None:
    model.graph.node[0].domain = "com.microsoft"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "said"),
    [(elsewhere, "is kept in another file"), (foreign, "it uses com.microsoft::")],
)
def test_what_no_scorer_needs_is_refused(
    artefacts: Artefacts, tmp_path: Path, change: Callable[..., None], said: str
) -> None:
    path = changed(artefacts, tmp_path / "evil.onnx", change)
    with pytest.raises(ArtefactError, match=said):
        load_scorer(path)


class Summed(nn.Module):
    """A loop in the graph, whose body reads what stands outside it."""

    def forward(self, x: Tensor) -> Tensor:
        first = x[0]

        def step(carry: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
            added = carry * 0.5 + row + first
            return added, added.clone()

        return scan(step, torch.zeros_like(first), x)[1]


def test_the_names_inside_a_loop(tmp_path: Path) -> None:
    x = torch.randn(5, 3)
    path = saved(Summed(), {"forward": (torch.zeros(5, 3),)}, tmp_path)
    torch.testing.assert_close(result(path, x), Summed()(x))


def test_the_shape_of_an_open_batch(tmp_path: Path) -> None:
    backend = usable("onnx")
    path = tmp_path / "open.onnx"
    example = (torch.randn(2, 100),)
    backends.save(backend, Source(Two().eval(), {"forward": example}, dynamic_batch=True), path)
    assert backend.load(path).input_shape("forward") == (None, 100)
