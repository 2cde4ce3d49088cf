"""The Core ML backend: conversion, packages of one and several methods, damaged files."""

import shutil
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

pytest.importorskip("coremltools")

from mil_helpers import (
    LABELLED,
    PLAIN,
    Family,
    Head,
    assert_equal,
    nets,
    randn,
    rewritten,
    saved,
)

from export import backends
from export.backends import Source
from export.backends.coreml import BACKEND
from export.errors import ArtefactError


def check(family: nn.Module, example: tuple[Tensor, ...], other: tuple[Tensor, ...], path: Path):
    family.eval()
    artefact = saved(family, example, path)
    for inputs in (example, other):
        assert_equal(family.forms, artefact.run("forward", inputs), family(*inputs))


@pytest.mark.parametrize("name", LABELLED)
def test_forms_with_labels_agree_on_other_content(name: str, tmp_path: Path) -> None:
    example = (randn(4, 5), torch.tensor([0, 1, 2, 3]))
    other = (randn(4, 5, seed=1), torch.tensor([4, 1, 0, 3]))
    check(Family(LABELLED[name]), example, other, tmp_path / "a.mlpackage")


@pytest.mark.parametrize("name", PLAIN)
def test_forms_agree_on_other_content(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mlpackage"
    check(Family(PLAIN[name]), (randn(4, 5),), (randn(4, 5, seed=1),), path)


@pytest.mark.parametrize("name", ["norms", "one_dimensional", "two_dimensional"])
def test_layers_agree_on_other_content(name: str, tmp_path: Path) -> None:
    family, shape = nets()[name]
    check(family, (randn(*shape),), (0.3 * randn(*shape, seed=1),), tmp_path / "a.mlpackage")


def test_two_methods_share_weights_and_keep_the_contract(tmp_path: Path) -> None:
    head, path = Head(), tmp_path / "head.mlpackage"
    inputs = (randn(4, 64), torch.tensor([0, 1, 2, 3]))
    contract = '{"schema": 1, "note": "Ω ≠ \\n"}'
    source = Source(head, {"forward": inputs, "score": inputs[:1]}, contract)
    backends.save(BACKEND, source, path)
    _, artefact = backends.load(path)
    other = (randn(4, 64, seed=1), torch.tensor([5, 0, 0, 2]))
    assert artefact.contract() == contract
    assert_equal({"loss": head}, artefact.run("forward", other), (head(*other),))
    assert_equal({"score": head}, artefact.run("score", other[:1]), (head.score(other[0]),))
    assert (path / "Data/com.apple.CoreML/weights/weight.bin").stat().st_size < 2 * 6 * 64 * 4
    with pytest.raises(ArtefactError, match="no method embed; it has forward, score"):
        artefact.run("embed", inputs)
    with pytest.raises(ArtefactError, match="forward takes 2 inputs, got 1"):
        artefact.run("forward", inputs[:1])


class Odd(nn.Module):
    """Boolean, integer and scalar inputs and results, some of them only passed through."""

    def forward(
        self, x: Tensor, mask: Tensor, scale: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        total = torch.where(mask, x, 0.0).sum() * scale
        return total, mask, x, total, x > 0, mask.sum(1), x, lengths, lengths.sum(), scale


def test_odd_types_and_passed_through_results(tmp_path: Path) -> None:
    example = (randn(3, 4), randn(3, 4) > 0, torch.tensor(2.0), torch.arange(3))
    artefact = saved(Odd(), example, tmp_path / "a.mlpackage")
    other = (randn(3, 4, seed=1), randn(3, 4, seed=2) > 0, torch.tensor(-3.0), torch.arange(3) - 9)
    want = Odd()(*other)
    names = dict.fromkeys(map(str, range(len(want))), Odd())
    assert_equal(names, artefact.run("forward", other), want)


def test_one_method_that_returns_its_input(tmp_path: Path) -> None:
    class Identity(nn.Module):
        def score(self, pred: Tensor) -> Tensor:
            return pred

    path = tmp_path / "a.mlpackage"
    backends.save(BACKEND, Source(Identity(), {"score": (randn(3),)}), path)
    artefact = BACKEND.load(path)
    assert artefact.contract() == ""
    assert artefact.run("score", (randn(3, seed=1),))[0].equal(randn(3, seed=1))


class AnyBatch(nn.Module):
    """Shape arithmetic that a dynamic batch leaves in the graph."""

    def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        log_p = F.log_softmax(x, -1)
        nll = -log_p.gather(1, labels[:, None]).mean()
        pairs = F.normalize(x) @ F.normalize(x).T
        wide = x[:, None].expand(-1, 3, -1).reshape(x.shape[0], -1)
        hot = torch.zeros_like(x).scatter(1, labels[:, None], 1.0)
        return nll, pairs, wide, hot, x.std(unbiased=False), torch.arange(x.shape[0])


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_dynamic_batch(batch: int, tmp_path: Path, dynamic: Path) -> None:
    inputs = (randn(batch, 5, seed=batch), torch.arange(batch) % 5)
    names = dict.fromkeys("abcdef", AnyBatch())
    artefact = BACKEND.load(dynamic)
    assert_equal(names, artefact.run("forward", inputs), AnyBatch()(*inputs))


@pytest.fixture(scope="module")
def dynamic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dynamic") / "a.mlpackage"
    saved(AnyBatch(), (randn(4, 5), torch.tensor([0, 1, 2, 3])), path, dynamic_batch=True)
    return path


def test_saving_leaves_the_module_alone_and_twice_is_equal(tmp_path: Path, capfd) -> None:
    head = Head().train()
    before, state = head.weight.detach().clone(), torch.get_rng_state()
    artefact = saved(head, (randn(4, 64), torch.tensor([0, 1, 2, 3])), tmp_path / "a.mlpackage")
    assert head.training and head.weight.equal(before) and torch.get_rng_state().equal(state)
    inputs = (randn(4, 64, seed=1), torch.tensor([0, 1, 2, 3]))
    assert artefact.run("forward", inputs)[0].equal(artefact.run("forward", inputs)[0])
    assert capfd.readouterr() == ("", "")


class Scanned(nn.Module):
    """Two carries, stacked results used and unused, and a tensor that every step sees."""

    def forward(self, x: Tensor, gain: Tensor) -> tuple[Tensor, ...]:
        from torch._higher_order_ops.scan import scan

        def step(carry: list[Tensor], row: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            total, most = carry[0] + gain * row, torch.maximum(carry[1], row)
            return [total, most], [total * 2, most - total]

        start = [torch.zeros_like(x[0]), torch.full_like(x[0], -9.0)]
        (total, most), (doubled, _) = scan(step, start, x)
        return total, most, doubled


def test_a_scan_is_written_out(tmp_path: Path) -> None:
    example, other = (randn(5, 3), randn(3)), (randn(5, 3, seed=1), randn(3, seed=2))
    artefact = saved(Scanned(), example, tmp_path / "a.mlpackage")
    total, most = other[1] * other[0].sum(0), other[0].amax(0)
    want = (total, most, 2 * other[1] * other[0].cumsum(0))
    assert_equal(dict.fromkeys("abc", Scanned()), artefact.run("forward", other), want)


def test_clamped_integers_stay_integers(tmp_path: Path) -> None:
    class Pick(nn.Module):
        def forward(self, x: Tensor, place: Tensor) -> tuple[Tensor, ...]:
            return x.gather(1, place.clamp(0, 3)), place.clamp(min=1), place.clamp(max=1)

    artefact = saved(
        Pick(), (randn(2, 4), torch.tensor([[0, 9], [1, -9]])), tmp_path / "a.mlpackage"
    )
    other = (randn(2, 4, seed=1), torch.tensor([[2, -3], [7, 1]]))
    assert_equal(dict.fromkeys("abc", Pick()), artefact.run("forward", other), Pick()(*other))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("package") / "a.mlpackage"
    saved(Head(), (randn(4, 64), torch.tensor([0, 1, 2, 3])), path)
    return path


@pytest.mark.parametrize("keep", [0, 70, 400])
def test_a_cut_weight_file_is_refused(keep: int, package: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mlpackage"
    shutil.copytree(package, path)
    weights = path / "Data/com.apple.CoreML/weights/weight.bin"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(ArtefactError, match=r"cut\.mlpackage: weight\.bin: cut short at byte"):
        BACKEND.load(path)


@pytest.mark.parametrize(
    "gone",
    ["Manifest.json", "Data/com.apple.CoreML/model.mlmodel", "Data/com.apple.CoreML/weights"],
)
def test_a_missing_part_is_refused(gone: str, package: Path, tmp_path: Path) -> None:
    path = tmp_path / "part.mlpackage"
    shutil.copytree(package, path)
    part = path / gone
    shutil.rmtree(part) if part.is_dir() else part.unlink()
    with pytest.raises(ArtefactError, match=r"part\.mlpackage: ") as caught:
        BACKEND.load(path)
    assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(package: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mlpackage"
    text.write_text("not a package")
    empty = tmp_path / "empty.mlpackage"
    empty.mkdir()
    stranger = rewritten(
        package,
        tmp_path / "stranger.mlpackage",
        lambda spec: spec.description.metadata.userDefined.clear(),
    )
    for path in (text, empty, tmp_path / "none.mlpackage", stranger):
        with pytest.raises(ArtefactError, match=path.name) as caught:
            BACKEND.load(path)
        assert "\n" not in str(caught.value)


class VectorProducts(nn.Module):
    """Every form of a product by a vector."""

    def __init__(self) -> None:
        super().__init__()
        self.centre = nn.Parameter(randn(4))
        self.weight = nn.Parameter(randn(4, 3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return x @ self.centre, self.centre @ x[0], self.centre @ self.weight, x @ self.weight


def test_the_delegate_takes_products_by_a_vector(tmp_path: Path) -> None:
    delegate, module, x = (
        backends.all_backends()["executorch_coreml"],
        VectorProducts().eval(),
        randn(2, 4),
    )
    source = Source(module, {"forward": (x,)})
    prepared = delegate.prepared(source.exported("forward")).module()
    for actual, expected in zip(prepared(x), module(x), strict=True):
        torch.testing.assert_close(actual, expected)
    backends.save(delegate, source, tmp_path / "a.coreml.pte")
