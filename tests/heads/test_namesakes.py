"""Heads beside their namesakes elsewhere: SphereFace2, GE2E and the state dicts of AM-softmax.

Each has a reference written out here; where a folder of clones is named, the namesakes' own code,
too.
"""

import math
import sys
import types

import pytest
import torch
from toolkits import clone, deviation, numbers
from torch import Tensor, nn

from scriptable import AMSoftmax, GE2ELoss, SphereFace2, ge2e_loss, sphereface2_loss

WESPEAKER = ("wenet-e2e/wespeaker", "wespeaker/models/projections.py")
TRAINER = "clovaai/voxceleb_trainer"
CLONING = "CorentinJ/Real-Time-Voice-Cloning"


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def value_and_gradients(loss: Tensor, *leaves: Tensor) -> list[Tensor]:
    return [loss.detach(), *torch.autograd.grad(loss, leaves)]


# SphereFace2


def written_out(
    cosine: float, own: bool, bias: float, scale: float, margin: float, t: int, kind: str
) -> float:
    """One term before its weight: log(1 + e^-p) of the own class, log(1 + e^q) of another."""

    def g(z: float) -> float:
        return 2 * ((z + 1) / 2) ** t - 1

    if kind == "C":
        level = g(cosine) - margin if own else g(cosine) + margin
    else:
        theta = math.acos(cosine)
        moved = math.cos(theta + margin)
        if theta + margin > math.pi:
            moved = cosine - (1 - math.cos(margin))
        level = g(moved) if own else g(math.cos(theta - margin))
    z = scale * level + bias
    return math.log1p(math.exp(-z if own else z))


@pytest.mark.parametrize("kind", ["C", "A"])
@pytest.mark.parametrize("t", [1, 3])
@pytest.mark.parametrize("margin", [0.0, 0.2, 0.9])
def test_sphereface2_is_the_formula_in_both_variants(kind, t, margin) -> None:
    cosine = torch.tensor([[0.3, -0.99, 0.8], [-0.95, 0.1, 1.0]], dtype=torch.float64)
    labels, bias, scale, balance = torch.tensor([2, 0]), -1.5, 8.0, 0.7
    expected = []
    for row, label in zip(cosine.tolist(), labels.tolist(), strict=True):
        terms = [
            written_out(c, j == label, bias, scale, margin, t, kind) for j, c in enumerate(row)
        ]
        weights = [balance if j == label else 1 - balance for j in range(3)]
        expected.append(sum(w * term for w, term in zip(weights, terms, strict=True)))
    m = torch.tensor(margin, dtype=torch.float64)
    given = (cosine, labels, torch.tensor(bias), m, scale, balance, t)
    theirs = sphereface2_loss(*given, kind, "wespeaker")
    assert numbers(theirs) == pytest.approx(expected, rel=1e-9)
    paper = sphereface2_loss(*given, kind, "paper")
    assert numbers(paper) == pytest.approx([x / scale for x in expected], rel=1e-9)


def test_the_loss_of_wespeaker_is_the_papers_times_its_scale() -> None:
    input = torch.randn(8, 16, generator=seeded(0))
    label = torch.randint(10, (8,), generator=seeded(1))
    theirs, paper = SphereFace2(16, 10, variant="wespeaker"), SphereFace2(16, 10, 32.0, 0.2)
    with torch.no_grad():
        theirs.weight.copy_(torch.randn(10, 16, generator=seeded(2)))
    paper.load_state_dict(theirs.state_dict())
    two, one = numbers(theirs(input, label))[0], numbers(paper(input, label))[0]
    assert two == pytest.approx(32 * one, rel=1e-6)
    # The pages' example: x = (3, 4) of class 1, the centres the two axes.
    cosine, zero = torch.tensor([[0.6, 0.8]]), torch.zeros(1, 1)
    given = (cosine, torch.tensor([0]), zero, torch.tensor(0.2), 32.0, 0.7, 3, "C")
    assert numbers(sphereface2_loss(*given, "wespeaker")) == pytest.approx([10.2617], abs=1e-4)
    assert numbers(sphereface2_loss(*given, "paper")) == pytest.approx([0.320678], abs=1e-6)


def test_each_variant_starts_as_it_is_published() -> None:
    paper, theirs = SphereFace2(8, 50), SphereFace2(8, 50, variant="wespeaker")
    assert (paper.scale, numbers(paper.margin)) == (40.0, pytest.approx([0.4]))
    assert (theirs.scale, numbers(theirs.margin)) == (32.0, pytest.approx([0.2]))
    assert numbers(theirs.bias) == [0.0]
    assert numbers(paper.bias)[0] > 5
    # Uniform to the edge that xavier gives; a normal draw goes beyond it.
    assert float(theirs.weight.detach().abs().max()) <= math.sqrt(6 / 58)


@pytest.mark.parametrize("classes", [2, 7, 7205])
def test_margin_type_a_starts_with_a_bias_at_rest(classes) -> None:
    head = SphereFace2(4, classes, margin=0.15, margin_type="A").double()
    head.update(0.15)
    cosine = torch.zeros(1, classes, dtype=torch.float64)
    loss = sphereface2_loss(cosine, torch.tensor([0]), head.bias, head.margin, margin_type="A")
    (gradient,) = torch.autograd.grad(loss.sum(), head.bias)
    assert numbers(gradient) == pytest.approx([0.0], abs=2e-6)


def test_an_even_power_does_not_turn_beyond_pi() -> None:
    """WeSpeaker's does: there the own class would be pushed away from its centre."""
    slopes = []
    for t in (2, 3, 4):
        cosine = torch.tensor([[-0.99, 0.0]], dtype=torch.float64, requires_grad=True)
        bias, margin = torch.tensor(0.0), torch.tensor(1.5).double()
        loss = sphereface2_loss(cosine, torch.tensor([0]), bias, margin, 4.0, 0.7, t, "A")
        slopes.append(float(torch.autograd.grad(loss.sum(), cosine)[0][0, 0]))
    assert all(slope < 0 for slope in slopes)
    half = (-0.99 - (1 - math.cos(1.5)) + 1) / 2
    assert 2 * half < 0, "the slope of WeSpeaker's g with t = 2"


@pytest.mark.parametrize("kind", ["C", "A"])
def test_sphereface2_is_safe_at_the_edges_in_every_form(kind) -> None:
    for variant in ("paper", "wespeaker"):
        head = SphereFace2(4, 3, margin_type=kind, variant=variant)
        with torch.no_grad():
            head.weight.copy_(torch.eye(3, 4))
        edges = torch.stack([head.weight[0], -head.weight[0], 0 * head.weight[0]]).detach()
        leaf = edges.clone().requires_grad_()
        parts = value_and_gradients(
            head(leaf, torch.tensor([0, 0, 1])), leaf, head.weight, head.bias
        )
        assert all(part.isfinite().all() for part in parts)


def test_margins_of_type_a_are_angles() -> None:
    head = torch.jit.script(SphereFace2(4, 3, margin_type="A"))
    head.update(3.0)
    with pytest.raises(Exception, match="margin: expected an angle in"):
        head.update(3.2)
    SphereFace2(4, 3).update(3.2)
    with pytest.raises(ValueError, match=r"^margin_type: expected one of \['C', 'A'\], got B"):
        SphereFace2(4, 3, margin_type="B")
    with pytest.raises(ValueError, match=r"^variant: expected one of .*, got wekws"):
        SphereFace2(4, 3, variant="wekws")


@pytest.mark.parametrize("kind", ["C", "A"])
@pytest.mark.parametrize("t", [1, 2, 3])
def test_sphereface2_equals_wespeaker(kind, t) -> None:
    make = clone(*WESPEAKER).SphereFace2
    for margin in (0.0, 0.2, 0.5):
        theirs = make(6, 9, 32.0, margin, 0.6, t, kind)
        with torch.no_grad():
            theirs.weight.copy_(torch.randn(9, 6, generator=seeded(3)))
            theirs.bias.fill_(-0.7)
        ours = SphereFace2(6, 9, 32.0, margin, 0.6, t, kind, variant="wespeaker")
        assert str(ours.load_state_dict(theirs.state_dict())) == "<All keys matched successfully>"
        theirs, ours = theirs.double(), ours.double()
        ours.update(margin)
        input = torch.randn(11, 6, generator=seeded(4), dtype=torch.float64, requires_grad=True)
        label = torch.randint(9, (11,), generator=seeded(5))
        reference = value_and_gradients(theirs(input, label)[1], input, theirs.weight, theirs.bias)
        actual = value_and_gradients(ours(input, label), input, ours.weight, ours.bias)
        for mine, wanted in zip(actual, reference, strict=True):
            assert deviation(mine, wanted) <= 1e-10


# GE2E


DVECS = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [-0.6, 0.8]]])


@pytest.mark.parametrize("method", ["softmax", "contrast"])
@pytest.mark.parametrize("floor", [None, 1e-6])
def test_the_mean_of_ge2e_is_over_the_utterances(method, floor) -> None:
    dvecs = torch.randn(4, 3, 6, generator=seeded(6), requires_grad=True)
    losses = {kind: GE2ELoss(10, -5, method, floor, reduction=kind) for kind in ("sum", "mean")}
    parts = {
        kind: value_and_gradients(loss(dvecs), dvecs, loss.w, loss.b)
        for kind, loss in losses.items()
    }
    for total, mean in zip(parts["sum"], parts["mean"], strict=True):
        torch.testing.assert_close(mean, total / 12)
    scripted = torch.jit.script(losses["mean"])
    torch.testing.assert_close(scripted(dvecs).detach(), parts["mean"][0])
    assert GE2ELoss().reduction == "sum"
    with pytest.raises(ValueError, match=r"^reduction: expected one of .*, got none"):
        GE2ELoss(reduction="none")


def test_the_mean_of_ge2e_in_numbers() -> None:
    w, b = torch.tensor(10.0), torch.tensor(-5.0)
    assert float(ge2e_loss(DVECS, w, b)) == pytest.approx(0.015816, abs=1e-6)
    assert float(ge2e_loss(DVECS, w, b, reduction="mean")) == pytest.approx(0.003954, abs=1e-6)


def test_ge2e_equals_the_voxceleb_trainer(monkeypatch, capsys) -> None:
    utils = types.ModuleType("utils")
    utils.accuracy = lambda *_, **__: [None]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "utils", utils)
    theirs = clone(TRAINER, "loss/ge2e.py").LossFunction().double()
    ours = GE2ELoss(similarity_floor=1e-6, reduction="mean").double()
    ours.load_state_dict(theirs.state_dict())
    dvecs = torch.randn(5, 3, 8, generator=seeded(7), dtype=torch.float64, requires_grad=True)
    reference = value_and_gradients(theirs(dvecs)[0], dvecs, theirs.w, theirs.b)
    actual = value_and_gradients(ours(dvecs), dvecs, ours.w, ours.b)
    for mine, wanted in zip(actual, reference, strict=True):
        assert deviation(mine, wanted) <= 1e-10


def test_ge2e_equals_real_time_voice_cloning(monkeypatch) -> None:
    """Its norms carry 1e-5, and its embeddings come at length one."""
    for name in ("encoder", "encoder.params_model", "encoder.params_data"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    numpy = pytest.importorskip("numpy")
    monkeypatch.setattr(numpy, "int", int, raising=False)
    encoder = clone(CLONING, "encoder/model.py").SpeakerEncoder
    state = types.SimpleNamespace(
        loss_device="cpu", similarity_weight=torch.tensor(10.0), similarity_bias=torch.tensor(-5.0)
    )
    dvecs = nn.functional.normalize(torch.randn(5, 3, 8, generator=seeded(8)), dim=2)
    logits = encoder.similarity_matrix(state, dvecs).reshape(15, 5)
    theirs = nn.functional.cross_entropy(logits, torch.arange(5).repeat_interleave(3))
    ours = GE2ELoss(reduction="mean")(dvecs)
    assert numbers(ours) == pytest.approx(numbers(theirs), rel=1e-3)


# AM-softmax


def centres(dim: int, classes: int) -> Tensor:
    return torch.randn(dim, classes, generator=seeded(9))


@pytest.mark.parametrize(("dim", "classes"), [(4, 7), (5, 5)])
@pytest.mark.parametrize("prefix", ["", "loss."])
def test_state_dicts_of_other_am_softmaxes_load_strictly(dim, classes, prefix) -> None:
    columns = centres(dim, classes)
    for state in ({"W": columns}, {"weight": columns.t().contiguous()}):
        head = AMSoftmax(dim, classes)
        module = nn.ModuleDict({"loss": head}) if prefix else head
        given = {prefix + key: value for key, value in state.items()}
        kept = dict(given)
        assert str(module.load_state_dict(given)) == "<All keys matched successfully>"
        assert torch.equal(head.mapper.weight.detach(), columns)
        assert given.keys() == kept.keys(), "the caller's state dict is left as it was"
    head = AMSoftmax(dim, classes)
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"W"'):
        head.load_state_dict({**head.state_dict(), "W": columns})
    with pytest.raises(RuntimeError, match=r"size mismatch for mapper\.weight"):
        head.load_state_dict({"W": centres(dim + 1, classes)})


def test_am_softmax_equals_the_voxceleb_trainer(monkeypatch, capsys) -> None:
    utils = types.ModuleType("utils")
    utils.accuracy = lambda *_, **__: [None]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "utils", utils)
    theirs = clone(TRAINER, "loss/amsoftmax.py").LossFunction(6, 9, margin=0.25, scale=30).double()
    ours = AMSoftmax(6, 9, m=0.25, s=30).double()
    ours.load_state_dict(theirs.state_dict())
    _compare(ours, lambda x, y: theirs(x, y)[0])


def test_am_softmax_equals_wespeaker() -> None:
    theirs = clone(*WESPEAKER).AddMarginProduct(6, 9, scale=32.0, margin=0.2).double()
    ours = AMSoftmax(6, 9, m=0.2, s=32.0).double()
    ours.load_state_dict(theirs.state_dict())
    _compare(ours, lambda x, y: nn.functional.cross_entropy(theirs(x, y), y))


def _compare(ours: nn.Module, theirs) -> None:
    x = torch.randn(11, 6, generator=seeded(10), dtype=torch.float64, requires_grad=True)
    y = torch.randint(9, (11,), generator=seeded(11))
    actual, reference = value_and_gradients(ours(x, y), x), value_and_gradients(theirs(x, y), x)
    for mine, wanted in zip(actual, reference, strict=True):
        assert deviation(mine, wanted) <= 1e-10
