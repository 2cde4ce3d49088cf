"""The speaker heads equal ESPnet's where those are finite: value, gradients, checkpoints."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import toolkits
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation, numbers
from torch import Tensor, nn

from scriptable import AAMSoftmax, ArcMarginProduct_intertopk_subcenter, Softmax

ArcMargin = ArcMarginProduct_intertopk_subcenter
FRESH = settings(deadline=None, max_examples=15, derandomize=False)


class Case(NamedTuple):
    ours: nn.Module
    theirs: nn.Module
    input: Tensor
    label: Tensor


def in_double(make: Callable[[], nn.Module]) -> nn.Module:
    """A head made in float64, margins with all their digits."""
    torch.set_default_dtype(torch.float64)
    try:
        return make()
    finally:
        torch.set_default_dtype(torch.float32)


@st.composite
def cases(draw: Callable[..., Any], head: str, lengths: list[float]) -> Case:
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    # In two or three dimensions angles come so close to 0 that both implementations lose, in
    # sin θ, the digits that cos θ does not hold; what happens at 0 has tests of its own.
    batch, dim, classes = (
        draw(st.integers(1, 7)),
        draw(st.integers(6, 16)),
        draw(st.integers(7, 12)),
    )
    if head == "softmax":
        ours, theirs = (
            in_double(lambda: Softmax(dim, classes)),
            toolkits.espnet_softmax(dim, classes),
        )
    else:
        margin, easy = draw(st.floats(0.0, 1.2)), draw(st.booleans())
        if head == "aam":
            config: dict[str, Any] = {"scale": draw(st.floats(1.0, 40.0))}
            make = AAMSoftmax
            theirs = toolkits.espnet_aam(dim, classes, margin=margin, easy_margin=easy, **config)
        else:
            config = {"K": draw(st.integers(1, 4)), "k_top": draw(st.integers(0, 6))}
            config |= {"mp": draw(st.floats(0.0, 0.2)), "do_lm": draw(st.booleans())}
            make = ArcMargin
            theirs = toolkits.espnet_arc(dim, classes, margin=margin, easy_margin=easy, **config)
            # Until its update is called the peer ignores mp, and below 0.001 again.
            theirs.update(margin if margin > 0.001 else 0.0)
            margin = margin if margin > 0.001 else 0.0
        ours = in_double(lambda: make(dim, classes, margin=margin, easy_margin=easy, **config))
    shape = draw(st.sampled_from([(batch,), (batch, 1)]))
    input = draw(st.sampled_from(lengths)) * torch.randn(batch, dim, dtype=torch.float64)
    return Case(ours, theirs.double(), input, torch.randint(classes, shape))


def triple_and_gradients(head: nn.Module, input: Tensor, label: Tensor) -> list[Tensor]:
    """Loss, gradients by input and centres, accuracy, classes."""
    leaf = input.clone().requires_grad_()
    method = getattr(head, "loss_and_predictions", head)
    loss, accuracy, classes = method(leaf, label)
    return [loss.detach(), *torch.autograd.grad(loss, [leaf, head.weight]), accuracy, classes]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("head", ["softmax", "aam", "arc"])
def test_value_and_gradients(head, dtype) -> None:
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    # The gradient grows as 1 over the length, and its absolute error with it.
    lengths = [0.1, 1.0, 30.0] if dtype == torch.float64 else [1.0, 30.0]

    @FRESH
    @given(cases(head, lengths))
    def check(case: Case) -> None:
        ours, input = case.ours.to(dtype), case.input.to(dtype)
        state = {name: value.to(dtype) for name, value in case.theirs.state_dict().items()}
        ours.load_state_dict(state)
        case.theirs.load_state_dict(ours.state_dict(), strict=False)
        reference = triple_and_gradients(case.theirs, input.double(), case.label)
        actual = triple_and_gradients(ours, input, case.label)
        assert actual[0].dtype == dtype
        for mine, wanted in zip(actual[:3], reference[:3], strict=True):
            assert deviation(mine, wanted) <= tolerance
        assert numbers(actual[3]) == pytest.approx(numbers(reference[3]))
        assert torch.equal(actual[4], reference[4])
        assert torch.equal(ours.predict(input), case.theirs(input.double())[2])
        assert deviation(ours(input, case.label).detach(), reference[0]) <= tolerance

    check()


@pytest.mark.parametrize("make", [Softmax, AAMSoftmax, ArcMargin])
def test_labels_in_all_three_forms(make) -> None:
    head, input, label = make(4, 7), torch.randn(5, 4), torch.randint(7, (5,))
    one_hot = nn.functional.one_hot(label, 7)
    expected = numbers(head(input, label))
    for form in (label.unsqueeze(1), one_hot, one_hot.bool(), label.int()):
        assert numbers(head(input, form)) == expected
    # Floating-point rows are a mixture, here of one class, which is summed in another order.
    assert numbers(head(input, one_hot.float())) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match=r"^label: expected shape \[5\], .* got \[5, 3\]"):
        head(input, torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"^label: expected shape \[5\], .* got \[4\]"):
        head(input, label[:4])
    with pytest.raises(ValueError, match=r"^labels: expected an integer dtype"):
        head(input, label.float())
    with pytest.raises(ValueError, match=r"^input: expected shape \[B, 4\], got \[5, 3\]"):
        head.score(input[:, :3])


@pytest.mark.parametrize("make", [AAMSoftmax, ArcMargin])
def test_update_works_scripted_and_survives_saving(make, tmp_path) -> None:
    head, input, label = make(4, 7), torch.randn(5, 4), torch.randint(7, (5,))
    scripted = torch.jit.script(head)
    head.update(0.45)
    expected = numbers(head(input, label))
    fresh = torch.jit.script(make(4, 7))
    fresh.load_state_dict(head.state_dict())
    assert numbers(fresh(input, label)) == pytest.approx(expected, rel=1e-6)
    scripted.update(0.45)
    torch.jit.save(scripted, tmp_path / "head.pt")
    loaded = torch.jit.load(tmp_path / "head.pt")
    assert numbers(loaded(input, label)) == pytest.approx(expected, rel=1e-6)
    loaded.update(0.0)
    head.update(0.0)
    assert numbers(loaded(input, label)) == pytest.approx(numbers(head(input, label)), rel=1e-6)
    for wrong in (-0.1, 4.0, float("nan")):
        with pytest.raises(ValueError, match="margin: expected an angle"):
            head.update(wrong)


def test_the_fallbacks_are_the_two_published_ones() -> None:
    # θ = 150° and m = 0.6 = 34°: θ + m lies beyond π.
    input, centres = torch.tensor([[-(3**0.5), 1.0]]), torch.eye(2)
    found = {}
    for make in (AAMSoftmax, ArcMargin):
        for fallback in ("sine", "continuous"):
            config: dict[str, Any] = {"K": 1, "k_top": 0} if make is ArcMargin else {}
            head = make(2, 2, margin=0.6, scale=1.0, fallback=fallback, **config)
            head.load_state_dict({"weight": centres})
            found[make, fallback] = numbers(head(input, torch.tensor([0])))[0]
    for make in (AAMSoftmax, ArcMargin):
        assert found[make, "sine"] == pytest.approx(1.871855, abs=1e-5)
        assert found[make, "continuous"] == pytest.approx(1.734750, abs=1e-4)
    assert (AAMSoftmax(2, 2).fallback, ArcMargin(2, 2).fallback) == ("sine", "continuous")


def test_large_margin_drops_the_penalty() -> None:
    input, label = torch.randn(5, 4), torch.randint(7, (5,))
    tuned, fresh = torch.jit.script(ArcMargin(4, 7)), ArcMargin(4, 7, margin=0.5, do_lm=True)
    tuned.large_margin(0.5)
    fresh.load_state_dict({"weight": tuned.weight})
    assert numbers(tuned(input, label)) == pytest.approx(numbers(fresh(input, label)), rel=1e-6)


# Differences from ESPnet: each test shows both numbers


def pair(**config: Any) -> tuple[nn.Module, nn.Module]:
    """The peer's head and ours with its centres."""
    theirs = toolkits.espnet_arc(2, 3, K=1, **config)
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    ours = ArcMargin(2, 3, K=1, **config)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


INPUT, LABEL = torch.tensor([[0.6, 0.8]]), torch.tensor([0])


def test_the_penalty_holds_from_the_first_step() -> None:
    ours, theirs = pair(k_top=1)
    before = numbers(theirs(INPUT, LABEL)[0])
    theirs.update(0.2)
    after = numbers(theirs(INPUT, LABEL)[0])
    assert before == pytest.approx([11.868663], abs=1e-4)
    assert after == pytest.approx(numbers(ours(INPUT, LABEL)), abs=1e-5)
    assert after == pytest.approx([12.973900], abs=1e-4)


def test_the_loss_is_alone() -> None:
    ours, theirs = pair(k_top=1)
    assert len(theirs(INPUT, LABEL)) == 3
    assert ours(INPUT, LABEL).shape == ()
    assert len(ours.loss_and_predictions(INPUT, LABEL)) == 3


def test_fewer_classes_than_the_top() -> None:
    ours, theirs = pair(k_top=5)
    with pytest.raises(RuntimeError, match="out of range"):
        theirs(INPUT, LABEL)
    assert numbers(ours(INPUT, LABEL)) == numbers(pair(k_top=2)[0](INPUT, LABEL))
    alone = ArcMargin(2, 1)
    assert numbers(alone(INPUT, LABEL)) == [0.0]


def test_the_target_is_never_its_own_hard_negative() -> None:
    ours, theirs = pair(k_top=3)
    theirs.update(0.2)
    assert numbers(theirs(INPUT, LABEL)[0]) == pytest.approx([11.473380], abs=1e-4)
    assert numbers(ours(INPUT, LABEL)) == pytest.approx([12.973900], abs=1e-4)


def test_one_hot_labels_are_refused_by_the_peer() -> None:
    ours, theirs = pair(k_top=1)
    one_hot = torch.tensor([[1, 0, 0]])
    with pytest.raises((RuntimeError, ValueError, IndexError)):
        theirs(INPUT, one_hot)
    assert numbers(ours(INPUT, one_hot)) == numbers(ours(INPUT, LABEL))


def test_collinear_embeddings_are_nan_in_the_peer() -> None:
    ours, theirs = pair(k_top=1)
    for factor in (1.0, -1.0, 7.0):
        input = factor * torch.tensor([[1.0, 0.0]])
        reference = triple_and_gradients(theirs, input, LABEL)
        assert reference[1].isnan().any(), factor
        for part in triple_and_gradients(ours, input, LABEL)[:3]:
            assert part.isfinite().all(), factor
    # Beyond 1 by rounding: the peer's loss, too.
    torch.manual_seed(0)
    weight = torch.randn(50, 7)
    big = toolkits.espnet_arc(7, 50, K=1)
    mine = ArcMargin(7, 50, K=1)
    with torch.no_grad():
        big.weight.copy_(weight)
    mine.load_state_dict(big.state_dict())
    label = torch.arange(50)
    assert big(3 * weight, label)[0].isnan()
    assert all(p.isfinite().all() for p in triple_and_gradients(mine, 3 * weight, label)[:3])


@pytest.mark.parametrize("make", [Softmax, AAMSoftmax, ArcMargin])
def test_zero_embeddings_and_centres_stay_finite(make) -> None:
    head = make(4, 7)
    with torch.no_grad():
        head.weight[0] = 0.0
    for part in triple_and_gradients(head, torch.zeros(2, 4), torch.tensor([0, 3]))[:3]:
        assert part.isfinite().all()
    leaf = torch.zeros(2, 4, requires_grad=True)
    head(leaf, torch.tensor([0, 3])).backward()
    assert numbers(leaf.grad) == [0.0] * 8
