"""The heads equal the peers' where the peers are right: value, gradients, checkpoints, scores."""

import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import toolkits
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import adopt, deviation, loss_and_gradients, numbers, with_centres
from torch import Tensor, nn

from scriptable import (
    AMSoftmax,
    ASoftmax,
    ASVSpoofBinaryLoss,
    CrossEntropy,
    OCSoftmax,
)

# The peer's renorm adds 1e-7 to the length of a centre, so that its cosines are 1e-7 short at
# length 1 (test_centre_renormalisation_differs shows it); at length 1e6 both are the same in
# float64. The direction is all that counts, and the gradient shrinks by the same factor.
LENGTH = 1e6
FRESH = settings(deadline=None, max_examples=15, derandomize=False)


class Case(NamedTuple):
    ours: nn.Module
    theirs: nn.Module
    labels: Tensor
    shape: tuple[int, int]
    scale: float
    seed: int
    bonafide: int


@st.composite
def cases(draw: Callable[..., Any], head: str) -> Case:
    seed = draw(st.integers(0, 2**32 - 1))
    batch, dim = draw(st.integers(2, 10)), draw(st.integers(6, 24))
    n_classes = draw(st.integers(2, 5)) if head != "oc" else 2
    bonafide = draw(st.integers(0, 1))
    weights = draw(
        st.none() | st.lists(st.floats(0.1, 5.0), min_size=n_classes, max_size=n_classes)
    )
    shape = (dim, n_classes)
    torch.manual_seed(seed)
    if head == "am":
        margin, s = draw(st.floats(0.0, 0.6)), draw(st.floats(1.0, 30.0))
        ours = AMSoftmax(*shape, margin, s, class_weights=weights, bonafide_label=bonafide)
        theirs = toolkits.deepfense_am_softmax(*shape, weights, bonafide, margin, s)
    elif head == "a":
        config = {
            "gamma": draw(st.floats(0.0, 2.0)),
            "lambda_min": draw(st.floats(0.0, 10.0)),
            "lambda_max": draw(st.floats(0.0, 1500.0)),
        }
        power = draw(st.integers(1, 5))
        ours = ASoftmax(*shape, power, bonafide_label=bonafide, **config)
        theirs = toolkits.deepfense_a_softmax(*shape, power, bonafide, **config)
    elif head == "oc":
        # The peer's Softplus leaves log(1 + eˣ) above 20, see test_softplus_threshold_differs.
        config = {"m_real": draw(st.floats(0.3, 0.9)), "m_fake": draw(st.floats(-0.5, 0.3))}
        config["alpha"] = draw(st.floats(1.0, 10.0))
        ours = OCSoftmax(dim, bonafide_label=bonafide, **config)
        theirs = toolkits.deepfense_oc_softmax(dim, **config)
    else:
        ours = CrossEntropy(*shape, class_weights=weights, bonafide_label=bonafide)
        theirs = toolkits.deepfense_cross_entropy(*shape, weights, bonafide)
    scale = draw(st.sampled_from([1.0, 4.0]))
    labels = torch.randint(0, n_classes, (batch,))
    return Case(ours, theirs, labels, (batch, dim), scale, seed, bonafide)


def their_labels(head: str, case: Case) -> Tensor:
    """The peer's OC-softmax knows only 1 for bona fide."""
    if head == "oc" and case.bonafide == 0:
        return 1 - case.labels
    return case.labels


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("head", ["am", "a", "oc", "ce"])
def test_value_and_gradients(head: str, dtype: torch.dtype) -> None:
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    length = 1.0 if head == "ce" else LENGTH

    @FRESH
    @given(cases(head))
    def check(case: Case) -> None:
        ours, theirs = case.ours.to(dtype), case.theirs.to(dtype)
        if head != "ce":
            with torch.no_grad():
                theirs.mapper.weight.mul_(length)
        ours.load_state_dict(theirs.state_dict())
        generator = torch.Generator().manual_seed(case.seed)
        embeddings = case.scale * torch.randn(*case.shape, dtype=dtype, generator=generator)
        # The reference is the peer in float64 on the very same numbers.
        reference = loss_and_gradients(
            theirs.double(), embeddings.double(), their_labels(head, case)
        )
        actual = loss_and_gradients(ours, embeddings, case.labels)
        assert actual[0].dtype == dtype
        assert deviation(actual[0], reference[0]) <= tolerance
        assert deviation(actual[1], reference[1]) <= tolerance
        for mine, wanted in zip(actual[2], reference[2], strict=True):
            assert float(wanted.abs().max()) > 0
            assert deviation(length * mine, length * wanted) <= tolerance

    check()


@FRESH
@given(cases("a"), st.integers(1, 60))
def test_annealing_follows_the_peer_through_training(case: Case, first: int) -> None:
    ours, theirs = case.ours.double(), case.theirs.double()
    ours.load_state_dict(theirs.state_dict())
    optimisers = [torch.optim.SGD(head.parameters(), lr=0.1) for head in (ours, theirs)]
    generator = torch.Generator().manual_seed(case.seed)
    ours.step.fill_(first)
    theirs.iter = first
    for step in range(first + 1, first + 6):
        embeddings = torch.randn(*case.shape, dtype=torch.float64, generator=generator)
        losses = [head(embeddings, case.labels) for head in (ours, theirs)]
        for loss, optimiser in zip(losses, optimisers, strict=True):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert deviation(losses[0].detach(), losses[1].detach()) <= 1e-10
        assert int(ours.step) == step == theirs.iter
    assert deviation(ours.mapper.weight.detach(), theirs.mapper.weight.detach()) <= 1e-9


@FRESH
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.floats(-0.9, 0.9))
def test_binary_loss_equals_espnet_where_it_is_not_saturated(seed, batch, shift) -> None:
    torch.manual_seed(seed)
    labels = torch.randint(0, 2, (batch, 2))
    # Up to 4 in size; beyond, 1 − sigmoid loses digits in the peer (6e-8·eˣ in float32).
    logits = (8 * (torch.rand(batch, 2) + shift) - 4).clamp(-4, 4)
    theirs = toolkits.espnet_binary_loss()
    expected = loss_and_gradients(theirs, logits, labels)
    actual = loss_and_gradients(ASVSpoofBinaryLoss(), logits, labels)
    assert deviation(actual[0], expected[0]) <= 1e-5
    assert deviation(actual[1], expected[1]) <= 1e-5
    # Its forward casts the labels to float32 and so refuses float64; its parts do not.
    with pytest.raises(RuntimeError, match="Found dtype"):
        theirs(logits.double(), labels)
    precise = logits.double().requires_grad_()
    loss = theirs.loss(theirs.sigmoid(precise.view(-1)), labels.view(-1).double())
    actual = loss_and_gradients(ASVSpoofBinaryLoss(), logits.double(), labels)
    assert deviation(actual[0], loss.detach()) <= 1e-10
    assert deviation(actual[1], torch.autograd.grad(loss, precise)[0]) <= 1e-10


# Checkpoints


@pytest.mark.parametrize("ours_weighted", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bonafide", [0, 1])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("head", ["am", "a", "oc", "ce"])
def test_checkpoints_of_the_peer_load_strictly(
    head, n_classes, bonafide, weighted, ours_weighted, tmp_path
) -> None:
    torch.manual_seed(1)
    theirs_weights = [0.2, 3.0, 0.5, 1.0][:n_classes] if weighted else None
    our_weights = [4.0, 1.0, 0.1, 0.3][:n_classes] if ours_weighted else None
    if head == "am":
        theirs = toolkits.deepfense_am_softmax(8, n_classes, theirs_weights, bonafide)
        ours = AMSoftmax(8, n_classes, class_weights=our_weights, bonafide_label=bonafide)
    elif head == "ce":
        theirs = toolkits.deepfense_cross_entropy(8, n_classes, theirs_weights, bonafide)
        ours = CrossEntropy(8, n_classes, class_weights=our_weights, bonafide_label=bonafide)
    elif head == "a":
        theirs = toolkits.deepfense_a_softmax(8, n_classes, bonafide_label=bonafide)
        ours = ASoftmax(8, n_classes, bonafide_label=bonafide)
    else:
        theirs = toolkits.deepfense_oc_softmax(8)
        ours = OCSoftmax(8, bonafide_label=bonafide)
    torch.save(theirs.state_dict(), tmp_path / "head.pt")
    missing, unexpected = ours.load_state_dict(torch.load(tmp_path / "head.pt"), strict=True)
    assert (missing, unexpected) == ([], [])
    embeddings = torch.randn(16, 8)
    labels = torch.randint(0, n_classes if head != "oc" else 2, (16,))
    seen = 1 - labels if head == "oc" and bonafide == 0 else labels
    if head in ("am", "ce") and ours_weighted and not weighted:
        # What the checkpoint does not hold, the constructor fills in.
        buffer = ours.m_loss.weight if head == "am" else ours.criterion.weight
        assert buffer.tolist() == torch.tensor(our_weights).tolist()
        (theirs.m_loss if head == "am" else theirs.criterion).weight = torch.tensor(our_weights)
    with torch.no_grad():
        assert deviation(ours(embeddings, labels), theirs(embeddings, seen)) <= 1e-5
        reference = theirs.get_score(embeddings)
        if head == "am":
            reference = reference / 30.0
        elif head == "a":
            reference = reference / embeddings.norm(dim=1).view([-1] + [1] * (reference.dim() - 1))
        elif head == "ce" and n_classes == 2:
            logits = theirs.get_logits(embeddings)
            reference = logits[:, bonafide] - logits[:, 1 - bonafide]
        assert ours.score(embeddings).shape == reference.shape
        assert deviation(ours.score(embeddings), reference) <= 1e-5


@pytest.mark.parametrize("head", ["am", "ce"])
def test_the_class_weights_of_a_checkpoint_are_adopted(head) -> None:
    make, build = {
        "am": (toolkits.deepfense_am_softmax, AMSoftmax),
        "ce": (toolkits.deepfense_cross_entropy, CrossEntropy),
    }[head]
    theirs = make(4, 2, [1.0, 9.0])
    ours = build(4)
    state = theirs.state_dict()
    plain = {name: value for name, value in state.items() if name.startswith(("mapper", "fc"))}
    assert len(state) == len(plain) + 1
    embeddings, labels = torch.randn(8, 4), torch.arange(8) % 2
    ours.load_state_dict(plain)
    unweighted = float(ours(embeddings, labels).detach())
    ours.load_state_dict(state)
    assert sorted(plain) != sorted(state), "the caller's mapping is left alone"
    weighted = float(ours(embeddings, labels).detach())
    assert abs(weighted - unweighted) > 1e-4
    assert weighted == pytest.approx(float(theirs(embeddings, labels).detach()), abs=1e-5)


# Differences from the peers: each test shows both numbers
EMBEDDING, SPOOF, BONAFIDE = torch.tensor([[3.0, 4.0]]), torch.tensor([0]), torch.tensor([1])


def test_score_of_a_softmax_differs_by_the_norm() -> None:
    theirs = with_centres(toolkits.deepfense_a_softmax(2), torch.eye(2))
    ours = adopt(ASoftmax(2), theirs)
    assert numbers(theirs.get_score(EMBEDDING)) == pytest.approx([1.0], abs=1e-6)
    assert numbers(theirs.get_score(10 * EMBEDDING)) == pytest.approx([10.0], abs=1e-5)
    assert numbers(ours.score(EMBEDDING)) == pytest.approx([0.2], abs=1e-6)
    assert numbers(ours.score(10 * EMBEDDING)) == pytest.approx([0.2], abs=1e-6)


def test_score_of_am_softmax_differs_by_the_scale() -> None:
    theirs = with_centres(toolkits.deepfense_am_softmax(2), torch.eye(2))
    assert numbers(theirs.get_score(EMBEDDING)) == pytest.approx([6.0], abs=1e-5)
    assert numbers(adopt(AMSoftmax(2), theirs).score(EMBEDDING)) == pytest.approx([0.2], abs=1e-6)


def test_score_of_cross_entropy_is_one_logit_in_the_peer() -> None:
    theirs = toolkits.deepfense_cross_entropy(2)
    theirs.load_state_dict({"fc.weight": torch.eye(2), "fc.bias": torch.zeros(2)})
    assert numbers(theirs.get_score(EMBEDDING)) == [4.0]
    assert numbers(adopt(CrossEntropy(2), theirs).score(EMBEDDING)) == [1.0]


def test_oc_softmax_of_the_peer_ignores_the_bonafide_label() -> None:
    centre = torch.tensor([[1.0], [0.0]])
    found = {}
    for bonafide in (0, 1):
        theirs = with_centres(toolkits.deepfense_oc_softmax(2, bonafide_label=bonafide), centre)
        ours = adopt(OCSoftmax(2, bonafide_label=bonafide), theirs)
        found[bonafide] = numbers(theirs(EMBEDDING, SPOOF)) + numbers(ours(EMBEDDING, SPOOF))
    assert found[1] == pytest.approx([8.00034, 8.00034], abs=1e-4)
    assert found[0] == pytest.approx([8.00034, 0.12693], abs=1e-4)


def test_oc_softmax_of_the_peer_extrapolates_over_labels() -> None:
    theirs = with_centres(toolkits.deepfense_oc_softmax(2), torch.tensor([[1.0], [0.0]]))
    other = torch.tensor([2])
    assert numbers(theirs(EMBEDDING, other)) == pytest.approx([6.144e-6], rel=1e-2)
    assert numbers(adopt(OCSoftmax(2), theirs)(EMBEDDING, other)) == pytest.approx(
        [8.00034], abs=1e-4
    )


def test_softplus_threshold_differs() -> None:
    theirs = with_centres(
        toolkits.deepfense_oc_softmax(2, 0.5, 0.2, 14.0), LENGTH * torch.eye(2)[:1].T
    )
    ours = adopt(OCSoftmax(2, alpha=14.0).double(), theirs.double())
    opposite = torch.tensor([[-1.0, 0.0]], dtype=torch.float64)
    assert numbers(theirs(opposite, BONAFIDE)) == pytest.approx([21.0], abs=1e-11)
    assert numbers(ours(opposite, BONAFIDE)) == pytest.approx([21.0 + 7.5825e-10], abs=1e-11)


def test_centre_renormalisation_differs() -> None:
    theirs = with_centres(toolkits.deepfense_am_softmax(2), torch.eye(2)).double()
    ours = adopt(AMSoftmax(2).double(), theirs)
    on_the_centre = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert numbers(theirs.get_logits(on_the_centre) / 30) == pytest.approx(
        [1 / (1 + 1e-7), 0.0], abs=1e-14
    )
    assert numbers(ours.mapper(on_the_centre)) == [1.0, 0.0]
    # Below 1e-5 the peer does not bring a centre to length one at all.
    short = with_centres(toolkits.deepfense_am_softmax(2), torch.eye(2) * 1e-6)
    assert numbers(short.get_score(EMBEDDING)) == pytest.approx([0.6], abs=1e-5)
    assert numbers(adopt(AMSoftmax(2), short).score(EMBEDDING)) == pytest.approx([0.2], abs=1e-6)


@pytest.mark.parametrize(
    ("make", "build", "loss"),
    [
        (toolkits.deepfense_am_softmax, AMSoftmax, 9.000123),
        (toolkits.deepfense_a_softmax, ASoftmax, 0.490129),
        (toolkits.deepfense_oc_softmax, OCSoftmax, 10.000045),
    ],
)
def test_zero_embeddings_are_nan_in_the_peer(make, build, loss) -> None:
    theirs = make(2)
    ours = adopt(build(2), theirs)
    zero = torch.zeros(1, 2)
    value, gradient, _ = loss_and_gradients(theirs, zero, BONAFIDE)
    assert value.isnan()
    assert gradient.isnan().all()
    assert theirs.get_score(zero).isnan().all()
    value, gradient, of_weights = loss_and_gradients(ours, zero, BONAFIDE)
    assert numbers(value) == pytest.approx([loss], abs=1e-5)
    assert numbers(gradient) == [0.0, 0.0]
    assert of_weights[0].isfinite().all()
    assert numbers(ours.score(zero)) == [0.0]


def test_annealing_is_lost_in_a_checkpoint_of_the_peer() -> None:
    theirs = with_centres(toolkits.deepfense_a_softmax(2), torch.eye(2))
    ours = adopt(ASoftmax(2), theirs)
    for _ in range(100):
        theirs(EMBEDDING, BONAFIDE)
        ours(EMBEDDING, BONAFIDE)
    theirs_again = adopt(toolkits.deepfense_a_softmax(2), theirs)
    ours_again = adopt(ASoftmax(2), ours)
    assert numbers(theirs(EMBEDDING, BONAFIDE)) == pytest.approx([0.174845], abs=1e-5)
    assert numbers(theirs_again(EMBEDDING, BONAFIDE)) == pytest.approx([0.163657], abs=1e-5)
    assert numbers(ours(EMBEDDING, BONAFIDE)) == pytest.approx([0.174845], abs=1e-5)
    assert numbers(ours_again(EMBEDDING, BONAFIDE)) == pytest.approx([0.174845], abs=1e-5)


def test_annealing_advances_in_eval_in_the_peer() -> None:
    theirs = with_centres(toolkits.deepfense_a_softmax(2), torch.eye(2)).eval()
    ours = adopt(ASoftmax(2), theirs).eval()
    expected = [0.163657, 0.163767, 0.163876]
    assert [numbers(theirs(EMBEDDING, BONAFIDE))[0] for _ in range(3)] == pytest.approx(
        expected, abs=2e-6
    )
    assert [numbers(ours(EMBEDDING, BONAFIDE))[0] for _ in range(3)] == pytest.approx(
        3 * [0.163548], abs=2e-6
    )
    with pytest.raises((AttributeError, pickle.PicklingError), match="pickle"):
        pickle.dumps(theirs)
    assert numbers(pickle.loads(pickle.dumps(ours)).score(EMBEDDING)) == numbers(
        ours.score(EMBEDDING)
    )


def test_documented_configurations_that_the_peer_refuses() -> None:
    oc = toolkits.imported(toolkits.DEEPFENSE + "oc_softmax").OCSoftmaxLoss
    with pytest.raises(KeyError, match="w_posi"):
        oc({"embedding_dim": 192, "m_real": 0.5, "m_fake": 0.2})
    a = toolkits.imported(toolkits.DEEPFENSE + "a_softmax").ASoftmaxLoss
    with pytest.raises(KeyError, match="n_classes"):
        a({"embedding_dim": 192, "m": 4})
    am = toolkits.imported(toolkits.DEEPFENSE + "am_softmax").AMSoftmaxLoss
    three = am({"embedding_dim": 2, "n_classes": 3, "m": 0.3, "s": 30.0})
    with pytest.raises(RuntimeError, match="3 classes"):
        three(EMBEDDING, SPOOF)
    with pytest.raises(IndexError):
        toolkits.deepfense_a_softmax(2, m=6)(EMBEDDING, SPOOF)
    for ours in (OCSoftmax(2, 0.5, 0.2), ASoftmax(2, m=4), AMSoftmax(2, 3), ASoftmax(2, m=6)):
        assert ours(EMBEDDING, SPOOF).isfinite()


def test_espnet_ignores_the_weight() -> None:
    logits, labels = torch.tensor([[0.8, 0.2], [0.1, 0.9]]), torch.tensor([[1, 0], [0, 1]])
    theirs, ours = toolkits.espnet_binary_loss(weight=0.5), ASVSpoofBinaryLoss(weight=0.5)
    assert numbers(theirs(logits, labels)) == pytest.approx([0.563698], abs=1e-5)
    assert numbers(ours(logits, labels)) == pytest.approx([0.281849], abs=1e-5)
    assert torch.equal(theirs.score(logits), ours.score(logits))


@pytest.mark.parametrize(("size", "loss"), [(200.0, 200.0), (1e4, 1e4)])
def test_espnet_saturates(size, loss) -> None:
    logits, labels = torch.tensor([[size, -size]]), torch.tensor([[0, 1]])
    value, gradient, _ = loss_and_gradients(toolkits.espnet_binary_loss(), logits, labels)
    assert (numbers(value), numbers(gradient)) == ([100.0], [0.0, 0.0])
    value, gradient, _ = loss_and_gradients(ASVSpoofBinaryLoss(), logits, labels)
    assert (numbers(value), numbers(gradient)) == ([loss], [0.5, -0.5])


def test_espnet_accepts_mismatched_shapes_and_refuses_bf16() -> None:
    logits, labels = torch.tensor([[0.8, 0.2], [0.1, 0.9]]), torch.tensor([[1, 0], [0, 1]])
    theirs, ours = toolkits.espnet_binary_loss(), ASVSpoofBinaryLoss()
    for shape in ((4, 1), (4,), (1, 4)):
        assert numbers(theirs(logits, labels.reshape(shape))) == pytest.approx([0.563698], abs=1e-5)
        with pytest.raises(ValueError, match=r"^label: expected shape \[2, 2\], got \[") as caught:
            ours(logits, labels.reshape(shape))
        assert str(caught.value).endswith(f"got {list(shape)}")
    with pytest.raises(RuntimeError, match="BFloat16"):
        theirs(logits.bfloat16(), labels)
    assert numbers(ours(logits.bfloat16(), labels)) == pytest.approx([0.563698], abs=1e-3)
