"""Spoofing heads over frames, SphereFace2, P2SGrad, the margin schedule, half precision."""

import math
from collections.abc import Callable

import pytest
import toolkits
import torch
from toolkits import deviation, numbers
from torch import Tensor, nn

import scriptable
from scriptable import (
    AAMSoftmax,
    ArcMarginProduct_intertopk_subcenter,
    ASVSpoofAMSoftmaxLoss,
    ASVSpoofOCSoftmaxLoss,
    MarginScheduler,
    P2SGrad,
    SphereFace2,
)

EMB = torch.tensor([[[3.0, 0.0], [3.0, 8.0]], [[-1.0, 0.0], [-1.0, 0.0]]])
LABEL = torch.tensor([1, 0])


def constructed(module: str, name: str, **config: float) -> nn.Module:
    """ESPnet's head with the one call that its constructor lacks."""
    theirs = getattr(toolkits.imported(f"espnet2.asvspoof.loss.{module}"), name)
    with pytest.raises(AttributeError):
        theirs(**config)
    fixed = theirs.__new__(theirs)
    nn.Module.__init__(fixed)
    return fixed


# The spoofing heads of ESPnet


def test_am_softmax_cannot_be_constructed_in_espnet_and_trains_one_centre() -> None:
    theirs = constructed("am_softmax_loss", "ASVSpoofAMSoftmaxLoss")
    theirs.s, theirs.m = 20, 0.5
    theirs.centers = nn.Parameter(torch.eye(2))
    theirs.sigmoid, theirs.loss = nn.Sigmoid(), nn.BCELoss()
    ours = ASVSpoofAMSoftmaxLoss(enc_dim=2)
    ours.load_state_dict(theirs.state_dict())
    reference = theirs(LABEL, EMB)
    (gradient,) = torch.autograd.grad(reference, theirs.centers)
    assert numbers(gradient[1]) == [0.0, 0.0]
    assert gradient[0].abs().sum() > 0
    loss = ours(LABEL, EMB)
    (gradient,) = torch.autograd.grad(loss, ours.centers)
    assert (gradient.abs().sum(1) > 0).all()
    # Item 1 (label 1, cosines 0.6, 0.8): BCE of 20·0.6, the margin on the other column;
    # item 2 (label 0, cosines −1, 0): BCE of 20·(−1 − 0.5), the margin making it easier.
    assert numbers(reference) == pytest.approx([3.1e-6], abs=1e-6)
    own, spoof = 20 * (0.6 - 0.5), 20 * 0.8
    assert numbers(loss) == pytest.approx([(spoof - own) / 2], abs=1e-4)
    assert numbers(theirs.score(EMB)) == pytest.approx([0.6, -1.0])
    assert numbers(ours.score(EMB)) == pytest.approx([-0.2, -1.0])


def test_oc_softmax_cannot_be_constructed_in_espnet_and_is_a_stub() -> None:
    theirs = constructed("oc_softmax_loss", "ASVSpoofOCSoftmaxLoss")
    theirs.center = nn.Parameter(torch.tensor([[1.0, 0.0]]))
    assert theirs(LABEL, EMB) is None
    assert theirs.score(EMB) is None
    ours = ASVSpoofOCSoftmaxLoss(enc_dim=2)
    ours.load_state_dict(theirs.state_dict())
    expected = [math.log1p(math.exp(20 * (0.5 - 0.6))), math.log1p(math.exp(20 * (-1.0 - 0.2)))]
    assert numbers(ours(LABEL, EMB)) == pytest.approx([sum(expected) / 2], abs=1e-6)
    assert numbers(ours.score(EMB)) == pytest.approx([0.6, -1.0])


@pytest.mark.parametrize("make", [ASVSpoofAMSoftmaxLoss, ASVSpoofOCSoftmaxLoss])
def test_labels_and_columns_of_the_spoofing_heads(make) -> None:
    plain, turned = make(enc_dim=2), make(enc_dim=2, bonafide_label=0)
    turned.load_state_dict(plain.state_dict())
    assert numbers(plain(LABEL, EMB)) == numbers(turned(1 - LABEL, EMB))
    assert numbers(plain.score(EMB)) == numbers(turned.score(EMB))
    assert numbers(plain(LABEL.unsqueeze(1), EMB)) == numbers(plain(LABEL, EMB))
    assert numbers(make(weight=0.5, enc_dim=2)(LABEL, torch.zeros(2, 3, 2))) == pytest.approx(
        [0.5 * numbers(plain(LABEL, torch.zeros(2, 3, 2)))[0]]
    )
    if make is ASVSpoofAMSoftmaxLoss:
        other = make(enc_dim=2, bonafide_column=1)
        other.load_state_dict({"centers": plain.centers.detach().flip(0)})
        assert numbers(other(LABEL, EMB)) == pytest.approx(numbers(plain(LABEL, EMB)))
        assert numbers(other.score(EMB)) == pytest.approx(numbers(plain.score(EMB)))
    for emb in (EMB[:, 0], EMB[:, :0], torch.zeros(2, 1, 3)):
        with pytest.raises(ValueError, match=r"^emb: expected shape"):
            plain.score(emb)
    with pytest.raises(ValueError, match=r"^label: expected shape \[2\] or \[2, 1\], got \[3\]"):
        plain(torch.zeros(3, dtype=torch.int64), EMB)
    with pytest.raises(ValueError, match=r"^bonafide_label: expected 0 or 1, got 2"):
        make(bonafide_label=2)


# SphereFace2 and P2SGrad


def test_sphereface2_is_the_formula() -> None:
    head = SphereFace2(4, 5).double()
    head.update(0.4)
    centres, bias = torch.randn(5, 4, dtype=torch.float64), 1.5
    head.load_state_dict(head.state_dict() | {"weight": centres, "bias": torch.full((1, 1), bias)})
    input, label = torch.randn(3, 4, dtype=torch.float64), torch.randint(5, (3,))
    total = 0.0
    for x, target in zip(input.tolist(), label.tolist(), strict=True):
        for j, centre in enumerate(centres.tolist()):
            product = sum(a * b for a, b in zip(x, centre, strict=True))
            g = 2 * ((product / (math.hypot(*x) * math.hypot(*centre)) + 1) / 2) ** 3 - 1
            if j == target:
                total += 0.7 / 40 * math.log1p(math.exp(-40 * (g - 0.4) - bias))
            else:
                total += 0.3 / 40 * math.log1p(math.exp(40 * (g + 0.4) + bias))
    assert numbers(head(input, label).detach()) == pytest.approx([total / 3], rel=1e-9)


@pytest.mark.parametrize("classes", [1, 2, 3, 7, 7205])
def test_sphereface2_starts_with_a_bias_at_rest(classes) -> None:
    head = SphereFace2(classes + 2, classes).double()
    with torch.no_grad():
        head.weight.copy_(torch.eye(classes, classes + 2))
        head.update(0.4)
    right_angle = torch.zeros(1, classes + 2, dtype=torch.float64)
    right_angle[0, -1] = 1.0
    loss = head(right_angle, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, head.bias)
    if classes > 1:
        assert float(gradient) == pytest.approx(0.0, abs=2e-6)
    assert gradient.isfinite().all()


def test_p2sgrad_is_the_sum_over_classes_where_its_code_takes_the_mean() -> None:
    head = P2SGrad(2)
    head.load_state_dict({"weight": torch.eye(2)})
    embeddings = torch.tensor([[3.0, 4.0], [-1.0, 0.0]])
    cosine = torch.tensor([[0.6, 0.8], [-1.0, 0.0]])
    one_hot = nn.functional.one_hot(LABEL, 2)
    assert numbers(nn.functional.mse_loss(cosine, one_hot.float())) == pytest.approx([1.1])
    assert numbers(head(embeddings, LABEL)) == pytest.approx([2.2])
    leaf = cosine.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(scriptable.p2sgrad_loss(leaf, LABEL).sum(), leaf)
    assert deviation(gradient, 2 * (cosine - one_hot)) <= 1e-6


# The margin schedule


def test_the_margin_follows_its_course_on_scripted_heads() -> None:
    heads = [torch.jit.script(AAMSoftmax(4, 3)), ArcMarginProduct_intertopk_subcenter(4, 3)]
    config = {"ramp_start": 2, "ramp_end": 6, "finetune_start": 8, "finetune_margin": 0.5}
    scheduler = MarginScheduler(heads, 0.2, increase="linear", **config)
    course = []
    for _ in range(10):
        course.append(scheduler.margin)
        for head in heads:
            assert float(head.margin) == pytest.approx(scheduler.margin)
        scheduler.step()
    assert course == pytest.approx([0, 0, 0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.5, 0.5])
    assert float(heads[1].mp) == 0.0
    again = MarginScheduler(AAMSoftmax(4, 3), 0.2, increase="linear", **config)
    again.load_state_dict(scheduler.state_dict())
    assert (again.margin, float(again.heads[0].margin)) == (0.5, 0.5)


def test_the_exponential_ramp_rises_early_and_ends_at_the_margin() -> None:
    scheduler = MarginScheduler(AAMSoftmax(4, 3), 0.2, ramp_end=100)
    course = []
    for _ in range(101):
        course.append(scheduler.margin)
        scheduler.step()
    assert course == sorted(course)
    assert course[0] == 0.0
    assert course[50] == pytest.approx(0.2 * (1 - 10**-1.5))
    assert course[99] == pytest.approx(0.2, abs=1e-3)
    assert course[100] == 0.2


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"final_margin": -0.1}, "final_margin"),
        ({"ramp_start": 3, "ramp_end": 2}, "ramp_end"),
        ({"ramp_end": 4, "finetune_start": 3}, "finetune_start"),
        ({"increase": "sudden"}, "increase"),
    ],
)
def test_wrong_schedules_are_refused(config, name) -> None:
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        MarginScheduler(AAMSoftmax(4, 3), **config)
    with pytest.raises(ValueError, match=r"^heads: expected an update method, got Linear"):
        MarginScheduler(nn.Linear(2, 2))


# Half precision

CLASSES, DIM = 6, 8
HEADS: dict[str, Callable[[], nn.Module]] = {
    "Softmax": lambda: scriptable.Softmax(DIM, CLASSES),
    "AAMSoftmax": lambda: AAMSoftmax(DIM, CLASSES),
    "ArcMargin": lambda: ArcMarginProduct_intertopk_subcenter(DIM, CLASSES),
    "SphereFace2": lambda: SphereFace2(DIM, CLASSES),
    "P2SGrad": lambda: P2SGrad(DIM, CLASSES),
    "AMSpoof": lambda: ASVSpoofAMSoftmaxLoss(enc_dim=DIM),
    "OCSpoof": lambda: ASVSpoofOCSoftmaxLoss(enc_dim=DIM),
    "GE2E": lambda: scriptable.GE2ELoss(),
    "GE2E contrast": lambda: scriptable.GE2ELoss(loss_method="contrast"),
    "AngularPrototypical": lambda: scriptable.AngularPrototypical(),
    "Prototypical": lambda: scriptable.Prototypical(),
}


def loss_of(name: str, head: nn.Module, embeddings: Tensor) -> Tensor:
    """12 embeddings as the head wants them; the first three speakers are collinear, one is zero."""
    if name.endswith("Spoof"):
        return head(torch.arange(12) % 2, embeddings.unsqueeze(1).expand(-1, 3, -1))
    if name.startswith(("GE2E", "Angular", "Proto")):
        return head(embeddings.view(4, 3, DIM))
    return head(embeddings, torch.arange(12) % CLASSES)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", HEADS)
def test_autocast_training_has_no_nan(name, dtype) -> None:
    torch.manual_seed(3)
    head, encoder = HEADS[name](), nn.Linear(5, DIM, bias=False)
    one = torch.randn(1, 5)
    factors = torch.tensor([[1.0, 2.0, -1.0, 3.0, 0.5, 100.0, -4.0, 1e-4, 1.0]]).t()
    inputs = torch.cat([factors * one, torch.zeros(3, 5)])
    parameters = [*head.parameters(), *encoder.parameters()]
    optimiser = torch.optim.SGD(parameters, lr=0.05)
    for _ in range(50):
        optimiser.zero_grad()
        with torch.autocast("cpu", dtype):
            loss = loss_of(name, head, encoder(inputs))
        assert loss.isfinite()
        loss.backward()
        assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in parameters)
        optimiser.step()
    assert all(bool(p.isfinite().all()) for p in parameters)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", HEADS)
def test_half_precision_is_accumulated_in_float32(name, dtype) -> None:
    head = HEADS[name]()
    embeddings = torch.randn(12, DIM).to(dtype)
    expected = loss_of(name, head, embeddings.float())
    actual = loss_of(name, head.to(dtype), embeddings)
    assert actual.dtype == torch.float32
    assert numbers(actual) == pytest.approx(numbers(expected), rel=0.1, abs=0.05)
