"""GE2E equals the paper's equations and, with the floor, the seed; its edges are safe."""

import pytest
import torch
from ge2e_reference import ge2e_reference
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation, numbers

from scriptable import AngularPrototypical, GE2ELoss, Prototypical

FRESH = settings(deadline=None, max_examples=12, derandomize=False)
METHODS = ["softmax", "contrast"]


def gradients(function, *inputs):
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    value = function(*leaves)
    return value.detach(), *torch.autograd.grad(value, leaves)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("floor", [None, 1e-6])
@pytest.mark.parametrize("method", METHODS)
def test_value_and_gradients(method, floor, dtype) -> None:
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5

    # In two or three dimensions sums of utterances come close to zero, where a direction has
    # lost its digits; what happens at zero has a test of its own.
    @FRESH
    @given(
        st.integers(0, 2**32 - 1),
        st.tuples(st.integers(2, 5), st.integers(2, 4), st.integers(6, 12)),
        st.floats(0.5, 12.0),
        st.floats(-6.0, 2.0),
    )
    def check(seed, shape, w, b) -> None:
        dvecs = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        criterion = GE2ELoss(w, b, method, floor).to(dtype)
        reference = gradients(
            lambda x, w, b: ge2e_reference(x, w, b, method, floor),
            dvecs.double(),
            criterion.w.double(),
            criterion.b.double(),
        )
        leaf = dvecs.clone().requires_grad_()
        loss = criterion(leaf)
        actual = torch.autograd.grad(loss, [leaf, criterion.w, criterion.b])
        assert loss.dtype == dtype
        assert deviation(loss.detach(), reference[0]) <= tolerance
        for mine, wanted in zip(actual, reference[1:], strict=True):
            assert deviation(mine, wanted) <= tolerance

    check()


def test_score_is_the_cosine_to_the_centroids() -> None:
    enrolled, test = torch.randn(4, 3, 5), torch.randn(6, 5)
    expected = torch.cosine_similarity(test.unsqueeze(1), enrolled.mean(1).unsqueeze(0), dim=2)
    for criterion in (GE2ELoss(-3.0, 7.0), AngularPrototypical()):
        assert deviation(criterion.score(enrolled, test), expected) <= 1e-6
    alone = GE2ELoss().score(enrolled[:, :1], test)
    assert alone.shape == (6, 4)


def test_the_graph_is_small_whatever_the_batch() -> None:
    sizes = []
    for shape in ((2, 2, 4), (16, 5, 4), (64, 10, 4)):
        program = torch.export.export(GE2ELoss(), (torch.randn(*shape),))
        sizes.append(len(program.graph.nodes))
    assert len(set(sizes)) == 1
    assert sizes[0] < 80


@pytest.mark.parametrize("method", METHODS)
def test_equal_zero_and_opposite_utterances_stay_finite(method) -> None:
    one = torch.randn(4)
    batches = {
        "equal": one.expand(3, 2, 4),
        "zero": torch.zeros(3, 2, 4),
        "one zero": torch.cat([torch.zeros(1, 2, 4), torch.randn(2, 2, 4)]),
        # The other utterances' sum is zero, so that it has no direction.
        "cancelling": torch.stack([one, one, -one]).expand(2, 3, 4),
        "large": 1e15 * torch.randn(3, 2, 4),
        "small": 1e-10 * torch.randn(3, 2, 4),
    }
    for name, dvecs in batches.items():
        for floor in (None, 1e-6):
            criterion = GE2ELoss(loss_method=method, similarity_floor=floor)
            value, gradient = gradients(criterion, dvecs)
            assert value.isfinite(), name
            assert gradient.isfinite().all(), name
            if name == "zero":
                assert numbers(gradient) == [0.0] * 24


@pytest.mark.parametrize("kind", [GE2ELoss, AngularPrototypical, Prototypical])
def test_shapes_are_checked(kind) -> None:
    with pytest.raises(ValueError, match=r"^dvecs: expected shape \[N, M, D\], got \[3, 4\]"):
        kind()(torch.randn(3, 4))
    with pytest.raises(ValueError, match=r"^dvecs: expected .* got \[3, 1, 4\]"):
        kind()(torch.randn(3, 1, 4))
    with pytest.raises(ValueError, match=r"^test: expected shape \[B, 4\], got \[2, 5\]"):
        kind().score(torch.randn(3, 1, 4), torch.randn(2, 5))


def test_prototypical_losses_are_the_formulas() -> None:
    dvecs = torch.randn(4, 3, 5, dtype=torch.float64)
    for query in (-1, 0, 1):
        others = [m for m in range(3) if m != query % 3]
        prototypes, queries = dvecs[:, others].mean(1), dvecs[:, query]
        cosine = torch.cosine_similarity(queries.unsqueeze(1), prototypes.unsqueeze(0), dim=2)
        distance = (queries.unsqueeze(1) - prototypes.unsqueeze(0)).square().sum(2)
        target = torch.arange(4)
        for criterion, logits in (
            (AngularPrototypical(query=query), 10 * cosine - 5),
            (Prototypical(query=query), -distance),
        ):
            expected = torch.nn.functional.cross_entropy(logits, target)
            assert deviation(criterion.double()(dvecs).detach(), expected) <= 1e-10
    with pytest.raises(ValueError, match="query: expected"):
        Prototypical(query=3)(dvecs)
    # Far from the origin the float32 inputs are exact to 1e-3; the score loses nothing more.
    far = 1e4 + dvecs.float()
    exact = -(far.double()[:, 2].unsqueeze(1) - far.double().mean(1)).square().sum(2)
    assert deviation(Prototypical().score(far, far[:, 2]), exact) <= 1e-2


# Defects of the seed. It is no package: its arithmetic is repeated here, in one line each.


def test_one_utterance_per_speaker_is_nan_in_the_seed() -> None:
    dvecs = torch.randn(2, 1, 4)
    empty = torch.cat((dvecs[0, :0], dvecs[0, 1:])).mean(0)
    assert empty.isnan().all()
    with pytest.raises(ValueError, match="2 or more utterances per speaker"):
        GE2ELoss()(dvecs)


def test_one_speaker_crashes_the_seed_in_contrast_mode() -> None:
    with pytest.raises(RuntimeError, match=r"reduction dim|non-zero|numel"):
        torch.max(torch.randn(1)[:0])
    with pytest.raises(ValueError, match="2 or more speakers for contrast"):
        GE2ELoss(loss_method="contrast")(torch.randn(1, 3, 4))
    assert float(GE2ELoss()(torch.randn(1, 3, 4)).detach()) == 0.0


def test_zero_vectors_are_nan_in_the_seed() -> None:
    dvecs = torch.zeros(2, 2, 4)
    one = torch.tensor(1.0)
    assert ge2e_reference(dvecs, one, one, floor=1e-6).isnan()
    assert numbers(GE2ELoss(1.0, 1.0)(dvecs)) == pytest.approx([4 * 0.693147], abs=1e-5)


def test_negative_similarities_get_no_gradient_in_the_seed() -> None:
    dvecs = torch.tensor([[[1.0, 0.1], [1.0, 0.0]], [[-1.0, 0.1], [-1.0, 0.0]]])
    similarity = torch.tensor(-0.5, requires_grad=True)
    torch.clamp(similarity, 1e-6).backward()
    assert similarity.grad == 0.0
    floored = gradients(GE2ELoss(1.0, 0.0, similarity_floor=1e-6), dvecs)
    free = gradients(GE2ELoss(1.0, 0.0), dvecs)
    assert numbers(floored[0]) == pytest.approx([1.258396], abs=1e-5)
    assert numbers(free[0]) == pytest.approx([0.513071], abs=1e-5)


def test_a_negative_w_stays_negative_in_the_seed() -> None:
    dvecs = torch.tensor([[[1.0, 0.0], [0.8, 0.6]], [[0.0, 1.0], [-0.6, 0.8]]])
    state = {"w": torch.tensor(-10.0), "b": torch.tensor(-5.0)}
    ours = GE2ELoss()
    ours.load_state_dict(state)
    assert numbers(ours(dvecs)) == pytest.approx([0.0158], abs=1e-4)
    # Its clamp returns a tensor that nobody takes.
    assert float(ge2e_reference(dvecs, state["w"], state["b"], floor=1e-6)) > 20
    assert float(ours.w.detach()) == -10.0


def test_an_integer_w_crashes_the_seed() -> None:
    with pytest.raises(RuntimeError, match="floating point"):
        torch.nn.Parameter(torch.tensor(10))
    assert float(GE2ELoss(init_w=10, init_b=-5).w.detach()) == 10.0
