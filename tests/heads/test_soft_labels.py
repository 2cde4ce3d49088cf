"""Soft labels: the mixture of what each class would cost, or an error."""

from collections.abc import Callable

import pytest
import toolkits
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import scriptable as s

DIM, CLASSES, BATCH = 6, 9, 5


def _draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)


SOFT = {
    "AAMSoftmax": lambda: s.AAMSoftmax(DIM, CLASSES),
    "AAMSoftmax, continuous": lambda: s.AAMSoftmax(DIM, CLASSES, 1.5, 32, fallback="continuous"),
    "AAMSoftmax, easy": lambda: s.AAMSoftmax(DIM, CLASSES, easy_margin=True),
    "Softmax": lambda: s.Softmax(DIM, CLASSES),
    "ArcMargin": lambda: s.ArcMarginProduct_intertopk_subcenter(DIM, CLASSES),
    "ArcMargin, large margin": lambda: s.ArcMarginProduct_intertopk_subcenter(
        DIM, CLASSES, do_lm=True
    ),
    "ArcMargin, all others": lambda: s.ArcMarginProduct_intertopk_subcenter(
        DIM, CLASSES, k_top=CLASSES
    ),
}


def _head(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().double()


@pytest.mark.parametrize("name", SOFT)
def test_a_mixture_costs_the_mixture_of_its_classes(name: str) -> None:
    head = _head(SOFT[name])
    inputs, label = _draw(BATCH, DIM), torch.softmax(2.0 * _draw(BATCH, CLASSES), 1)

    def gradients(loss: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(loss, [leaf, *head.parameters()]))

    leaf = inputs.requires_grad_()
    found = head(leaf, label)
    expected = torch.zeros((), dtype=torch.float64)
    for item in range(BATCH):
        for c in range(CLASSES):
            one = head(leaf[item : item + 1], torch.tensor([c]))
            expected = expected + label[item, c] * one / BATCH
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    for mine, theirs in zip(gradients(found), gradients(expected), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", SOFT)
def test_certain_labels_cost_what_classes_cost(name: str) -> None:
    head = _head(SOFT[name])
    inputs, classes = _draw(BATCH, DIM), torch.tensor([0, 3, 8, 3, 1])
    hot = F.one_hot(classes, CLASSES)
    expected = head(inputs, classes)
    torch.testing.assert_close(head(inputs, hot.double()), expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(head(inputs, hot), expected)
    assert torch.equal(head(inputs, hot.bool()), expected)
    loss, accuracy, predicted = head.loss_and_predictions(inputs, hot.double())
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=1e-10)
    assert torch.equal(accuracy, (predicted == classes).float().mean())


def test_a_softmax_without_margin_is_the_soft_cross_entropy() -> None:
    head = _head(SOFT["Softmax"])
    inputs, label = _draw(BATCH, DIM), torch.softmax(_draw(BATCH, CLASSES), 1)
    torch.testing.assert_close(head(inputs, label), F.cross_entropy(head.score(inputs), label))
    assert not torch.allclose(head(inputs, label), head(inputs, label.argmax(1)))


@pytest.mark.parametrize("name", SOFT)
def test_single_precision_keeps_up_where_one_class_has_it_all(name: str) -> None:
    head = _head(SOFT[name])
    label = torch.softmax(_draw(CLASSES, CLASSES), 1)
    # Near the centres, but not at them, where the sine of a margin has an infinite slope.
    centres = next(head.parameters()).detach()[:: getattr(head, "K", 1)]
    inputs = (F.normalize(centres) + 0.05 * _draw(CLASSES, DIM)).requires_grad_()
    exact = head(inputs, label)
    (slope,) = torch.autograd.grad(exact, inputs)
    single = inputs.detach().float().requires_grad_()
    found = head.float()(single, label.float())
    (found_slope,) = torch.autograd.grad(found, single)
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found_slope.double(), slope, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SOFT)
def test_script_and_saved_form(name: str, tmp_path: object) -> None:
    head = _head(SOFT[name]).float()
    inputs, label = _draw(BATCH, DIM).float(), torch.softmax(_draw(BATCH, CLASSES), 1).float()
    torch.jit.save(torch.jit.script(head), f"{tmp_path}/head.pt")
    loaded = torch.jit.load(f"{tmp_path}/head.pt")
    for seed in (1, 2):
        other = torch.softmax(torch.randn(BATCH, CLASSES) * seed, 1)
        torch.testing.assert_close(loaded(inputs, other), head(inputs, other))
    torch.testing.assert_close(loaded(inputs, label), head(inputs, label))


def test_mixup_is_linear_in_its_share() -> None:
    head = _head(SOFT["AAMSoftmax"])
    inputs, one, other = _draw(BATCH, DIM), torch.tensor([0, 1, 2, 3, 4]), torch.tensor([5] * 5)
    mixed = 0.3 * F.one_hot(one, CLASSES).double() + 0.7 * F.one_hot(other, CLASSES).double()
    torch.testing.assert_close(
        head(inputs, mixed), 0.3 * head(inputs, one) + 0.7 * head(inputs, other)
    )


@pytest.mark.parametrize(
    "head",
    [
        s.SphereFace2(DIM, CLASSES),
        s.AMSoftmax(DIM, CLASSES),
        s.ASoftmax(DIM, CLASSES),
        s.CrossEntropy(DIM, CLASSES),
        s.P2SGrad(DIM, CLASSES),
        s.OCSoftmax(DIM),
    ],
    ids=lambda head: type(head).__name__,
)
def test_other_heads_refuse_them(head: nn.Module) -> None:
    label = torch.full((BATCH, CLASSES), 1 / CLASSES)
    for run, error in ((head, ValueError), (torch.jit.script(head), torch.jit.Error)):
        with pytest.raises(error, match=r"labels?: expected"):
            run(_draw(BATCH, DIM).float(), label)


@pytest.mark.parametrize("row", [[1, 1, 0], [0, 0, 0], [2, -1, 0], [0, 2, 0]])
def test_whole_numbers_that_are_not_one_hot_are_refused(row: list[int]) -> None:
    label = torch.tensor([[0, 1, 0], row])
    for head in (s.AAMSoftmax(DIM, 3), s.Softmax(DIM, 3), s.SphereFace2(DIM, 3)):
        with pytest.raises(ValueError, match=r"label: expected one 1 and zeros .* at item 1"):
            head(_draw(2, DIM).float(), label)


@pytest.mark.parametrize(
    "theirs", [toolkits.espnet_aam, toolkits.espnet_softmax, toolkits.espnet_arc]
)
def test_espnet_refuses_them(theirs: Callable[[int, int], nn.Module]) -> None:
    with pytest.raises(RuntimeError, match="must match"):
        theirs(DIM, 3)(_draw(2, DIM).float(), torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]))
