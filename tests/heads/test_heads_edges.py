"""The heads at the edges of their input, and their state through saving, scripting and export."""

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn

from scriptable import (
    AMSoftmax,
    ASoftmax,
    ASVSpoofBinaryLoss,
    CrossEntropy,
    OCSoftmax,
    a_softmax_loss,
    am_softmax_loss,
    asvspoof_binary_loss,
    oc_softmax_loss,
)

DIM = 8
HEADS = {
    "am": lambda: AMSoftmax(DIM),
    "am_weighted": lambda: AMSoftmax(DIM, class_weights=[0.2, 3.0]),
    "am_multi": lambda: AMSoftmax(DIM, 4),
    "a": lambda: ASoftmax(DIM),
    "a_m6": lambda: ASoftmax(DIM, m=6, gamma=2.0, lambda_min=0.0),
    "a_plain": lambda: ASoftmax(DIM, m=3, gamma=0.0, lambda_max=0.0, lambda_min=0.0),
    "oc": lambda: OCSoftmax(DIM),
    "ce": lambda: CrossEntropy(DIM),
    "ce_multi": lambda: CrossEntropy(DIM, 4, class_weights=[1.0, 2.0, 0.5, 3.0]),
}
every_head = pytest.mark.parametrize("name", HEADS)
LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(11)


def batch(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(len(LABELS), DIM)


def centres(head: nn.Module) -> Tensor:
    return (head.fc.weight if hasattr(head, "fc") else head.mapper.weight.T).detach()


def finite_with_gradients(head: nn.Module, embeddings: Tensor, labels: Tensor = LABELS) -> Tensor:
    embeddings = embeddings.detach().clone().requires_grad_()
    loss = head(embeddings, labels)
    assert loss.shape == ()
    assert loss.isfinite()
    for gradient in torch.autograd.grad(loss, [embeddings, *head.parameters()]):
        assert gradient.isfinite().all()
    score = head.score(embeddings)
    assert score.isfinite().all()
    assert torch.autograd.grad(score.sum(), embeddings)[0].isfinite().all()
    return loss.detach()


# Edges


def edges(head: nn.Module) -> dict[str, Tensor]:
    towards = centres(head)
    collinear = torch.cat([towards, -towards]).repeat(6, 1)[: len(LABELS)]
    mixed = batch()
    mixed[0] = 0.0
    return {
        "zero": batch(0.0),
        "one zero": mixed,
        "equal": batch()[:1].expand(len(LABELS), DIM),
        "collinear": collinear,
        "collinear, long": 1e4 * collinear,
        "huge": batch(1e18),
        "tiny": batch(1e-20),
        "short": batch(1e-9),
        "orthogonal": batch() - batch(),
        "subnormal": batch(1e-42),
    }


@every_head
def test_edges_are_finite_in_value_and_gradient(name) -> None:
    head = HEADS[name]()
    for kind, embeddings in edges(head).items():
        for dtype in (torch.float32, torch.float64):
            for labels in (LABELS, torch.zeros_like(LABELS), torch.ones_like(LABELS)):
                try:
                    finite_with_gradients(head.to(dtype), embeddings.to(dtype), labels)
                except AssertionError as error:
                    raise AssertionError(f"{kind}, {dtype}") from error


@every_head
def test_one_item_and_zero_centres(name) -> None:
    head = HEADS[name]()
    finite_with_gradients(head, batch()[:1], LABELS[:1])
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.zero_()
    finite_with_gradients(head, batch())
    assert torch.equal(head.score(batch()), torch.zeros_like(head.score(batch())))


@pytest.mark.parametrize("name", ["am", "oc"])
def test_at_the_centre_the_loss_is_what_the_formula_says(name) -> None:
    head = HEADS[name]().double()
    with torch.no_grad():
        head.mapper.weight.copy_(torch.eye(DIM)[:, : head.mapper.weight.shape[1]])
    onto, label = centres(head)[-1:], torch.tensor([1])
    near, far = {"am": (7.58e-10, 39.0), "oc": (4.54e-5, 30.0)}[name]
    assert float(head(onto, label).detach()) == pytest.approx(near, rel=1e-3)
    assert float(head(-onto, label).detach()) == pytest.approx(far, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [200.0, 1e4])
def test_large_logits_keep_their_loss_and_gradient(size, dtype) -> None:
    logits = torch.tensor([[size, -size], [-size, size]], dtype=dtype, requires_grad=True)
    wrong, right = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1, 0], [0, 1]])
    loss = asvspoof_binary_loss(logits, wrong)
    assert float(loss.detach()) == pytest.approx(float(logits.detach()[0, 0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.tolist() == [[0.25, -0.25], [-0.25, 0.25]]
    assert float(asvspoof_binary_loss(logits, right).detach()) == pytest.approx(0.0, abs=1e-80)
    head = CrossEntropy(2).to(dtype)
    head.load_state_dict({"fc.weight": size * torch.eye(2), "fc.bias": torch.zeros(2)})
    embeddings = torch.eye(2, dtype=dtype)
    assert float(head(embeddings, torch.tensor([0, 1])).detach()) == 0.0
    loss = finite_with_gradients(head, embeddings, torch.tensor([1, 0]))
    assert float(loss) == pytest.approx(float(logits.detach()[0, 0]))


def test_binary_loss_has_slope_one_half_at_zero() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(asvspoof_binary_loss(logits, torch.tensor([[0, 1]])), logits)
    assert gradient.tolist() == [[0.25, -0.25]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_head
def test_half_precision(name, dtype) -> None:
    head = HEADS[name]().eval()
    embeddings = batch()
    # Inputs, centres and logits are each rounded to half precision once.
    tolerance = 8 * torch.finfo(dtype).eps
    score = head.score(embeddings).detach()
    loss = head(embeddings, LABELS).detach()
    slope = {"am": 30.0, "oc": 20.0}.get(name.partition("_")[0], 4.0)
    halved = copy.deepcopy(head).to(dtype)
    half = embeddings.to(dtype)
    results = [(halved.score(half), halved(half, LABELS))]
    with torch.autocast("cpu", dtype=dtype):
        results.append((head.score(embeddings), finite_with_gradients(head, embeddings)))
        results.append((head.score(half), head(half, LABELS)))
        for kind, edge in edges(head).items():
            # Logits and gradients that grow with ‖x‖ end at 65504 in float16.
            factor = 1e-15 if kind == "huge" and dtype == torch.float16 else 1.0
            finite_with_gradients(head, factor * edge)
    for half_score, half_loss in results:
        assert half_score.dtype == half_loss.dtype == torch.float32
        assert (half_score - score).abs().max() <= tolerance * max(1.0, float(score.abs().max()))
        assert abs(float((half_loss - loss).detach())) <= slope * tolerance
    finite_with_gradients(halved, half)
    finite_with_gradients(halved, 0 * half)


# Gradients


@every_head
def test_gradcheck(name) -> None:
    head = HEADS[name]().double().eval()
    # The focal weight takes no gradient, by definition.
    if name.startswith("a") and not name.startswith("am") and head.gamma > 0:
        head = ASoftmax(DIM, m=head.m, gamma=0.0, lambda_max=3.0).double().eval()
    embeddings = batch().double().requires_grad_()
    names = [key for key, _ in head.named_parameters()]

    def loss(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(head, dict(zip(names, values, strict=True)), (x, LABELS))

    assert torch.autograd.gradcheck(loss, (embeddings, *head.parameters()))
    assert torch.autograd.gradcheck(head.score, (embeddings,))


def test_the_focal_weight_takes_no_gradient() -> None:
    cosine = torch.randn(4, 2, dtype=torch.float64).tanh().requires_grad_()
    norm, label = torch.ones(4, 1).double(), torch.tensor([0, 1, 0, 1])
    still = torch.tensor(0.0).double()
    plain = a_softmax_loss(cosine, norm, label, still, gamma=0.0)
    focal = a_softmax_loss(cosine, norm, label, still, gamma=2.0)
    weight = (1 - torch.exp(-plain.detach())) ** 2
    (expected,) = torch.autograd.grad((weight * plain).sum(), cosine)
    (actual,) = torch.autograd.grad(focal.sum(), cosine)
    torch.testing.assert_close(actual, expected)


def test_gradcheck_of_the_functions() -> None:
    cosine = torch.rand(5, 3, dtype=torch.float64).sub(0.5).requires_grad_()
    labels = torch.tensor([0, 2, 1, 1, 0])
    check = torch.autograd.gradcheck
    assert check(lambda x: am_softmax_loss(x, labels), (cosine,))
    assert check(lambda x: oc_softmax_loss(x[:, 0], labels), (cosine,))
    soft = torch.rand(5, 3)
    assert check(lambda x: asvspoof_binary_loss(x, soft), (cosine,))


# State


def save_and_load(head: nn.Module) -> nn.Module:
    buffer = io.BytesIO()
    torch.jit.save(head, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def snapshot(head: nn.Module) -> tuple[dict[str, Tensor], bool, Tensor]:
    state = {key: value.clone() for key, value in head.state_dict().items()}
    return state, head.training, torch.get_rng_state()


def assert_same(before, after) -> None:
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(value, after[0][key]) for key, value in before[0].items())
    assert before[1] == after[1]
    assert torch.equal(before[2], after[2])


def test_the_step_advances_in_training_only_and_is_saved() -> None:
    head = ASoftmax(DIM)
    assert int(head.step) == 0
    for _ in range(3):
        head(batch(), LABELS)
    assert int(head.step) == 3
    head.eval()
    first = head(batch(0.0) + 1, LABELS)
    head.score(batch())
    assert torch.equal(first, head(batch(0.0) + 1, LABELS))
    assert int(head.step) == 3
    restored = ASoftmax(DIM).eval()
    restored.load_state_dict(head.state_dict())
    for other in (restored, pickle.loads(pickle.dumps(head)), copy.deepcopy(head)):
        assert int(other.step) == 3
        assert torch.equal(other(batch(0.0) + 1, LABELS), first)
        other.train()(batch(), LABELS)
        assert (int(other.step), int(head.step)) == (4, 3)


def test_the_annealing_follows_its_formula_and_stops_at_its_minimum() -> None:
    cosine_one = torch.zeros(1, DIM)
    cosine_one[0, 0] = 1.0
    head = ASoftmax(DIM, gamma=0.0, lambda_min=5.0, lambda_max=50.0, m=2).double()
    with torch.no_grad():
        head.mapper.weight.copy_(torch.eye(DIM)[:, :2])
    embedding = torch.tensor([[3.0, 4.0] + [0.0] * (DIM - 2)]).double()
    for step, annealing in [(0, 50.0), (1, 50 / 1.1), (10, 25.0), (90, 5.0), (5000, 5.0)]:
        head.step.fill_(step)
        expected = a_softmax_loss(
            torch.tensor([[0.6, 0.8]]).double(),
            torch.tensor([[5.0]]).double(),
            torch.tensor([0]),
            torch.tensor(annealing).double(),
            margin=2,
            gamma=0.0,
        )
        torch.testing.assert_close(head.eval()(embedding, torch.tensor([0])), expected[0])


@every_head
def test_pickle_and_deepcopy(name) -> None:
    head = HEADS[name]().eval()
    embeddings = batch()
    for other in (pickle.loads(pickle.dumps(head)), copy.deepcopy(head)):
        assert torch.equal(other.score(embeddings), head.score(embeddings))
        assert torch.equal(other(embeddings, LABELS), head(embeddings, LABELS))


@every_head
def test_script_equals_eager_in_training_and_after_a_save(name) -> None:
    head = HEADS[name]().double()
    compiled = torch.jit.script(copy.deepcopy(head))
    for round_trip in range(2):
        for _ in range(4):
            embeddings = batch().double()
            ours, theirs = head(embeddings, LABELS), compiled(embeddings, LABELS)
            torch.testing.assert_close(theirs, ours, atol=1e-12, rtol=1e-12)
            for one, two in zip(
                torch.autograd.grad(ours, list(head.parameters())),
                torch.autograd.grad(theirs, list(compiled.parameters())),
                strict=True,
            ):
                torch.testing.assert_close(two, one, atol=1e-11, rtol=1e-11)
            torch.testing.assert_close(compiled.score(embeddings), head.score(embeddings))
        if hasattr(head, "step"):
            assert int(compiled.step) == int(head.step) == 4 * (round_trip + 1)
        compiled = save_and_load(compiled)
    compiled.eval()(embeddings, LABELS)
    if hasattr(head, "step"):
        assert int(compiled.step) == int(head.step)


@pytest.mark.parametrize(
    "function", [am_softmax_loss, a_softmax_loss, oc_softmax_loss, asvspoof_binary_loss]
)
def test_functions_script_with_their_defaults(function) -> None:
    cosine, labels = batch().tanh(), LABELS
    arguments = {
        a_softmax_loss: (cosine, torch.ones(6, 1), labels, torch.tensor(5.0)),
        oc_softmax_loss: (cosine[:, 0], labels),
        asvspoof_binary_loss: (cosine, (cosine > 0).long()),
    }.get(function, (cosine, labels))
    expected = function(*arguments)
    torch.testing.assert_close(torch.jit.script(function)(*arguments), expected)


# A check of a shape becomes a constant in a trace, and torch says so.
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@every_head
def test_shipping_leaves_the_head_as_it_was(name) -> None:
    head = HEADS[name]()
    head(batch(), LABELS)
    head.eval()
    embeddings, others = batch(), batch()
    before = snapshot(head)
    program = torch.export.export(head, (embeddings, LABELS))
    assert_same(before, snapshot(head))
    traced = torch.jit.trace(head, (embeddings, LABELS))
    assert_same(before, snapshot(head))
    torch.jit.script(head)
    assert_same(before, snapshot(head))
    other_labels = 1 - LABELS
    expected = head(others, other_labels)
    assert not torch.equal(expected, head(others, LABELS))
    for module in (program.module(), traced):
        for _ in range(2):
            torch.testing.assert_close(module(others, other_labels), expected)
    mutated = program.graph_signature.buffers_to_mutate
    assert not mutated, "the step must not advance in the exported graph"
    assert_same(before, snapshot(head))


def test_binary_loss_ships() -> None:
    loss = ASVSpoofBinaryLoss(0.5)
    compiled = save_and_load(torch.jit.script(loss))
    logits, labels = torch.randn(4, 2), torch.eye(2).repeat(2, 1).long()
    assert torch.equal(compiled(logits, labels), loss(logits, labels))
    assert torch.equal(compiled.score(logits), logits)
    assert torch.equal(compiled.bonafide_score(logits), logits[:, 0] - logits[:, 1])
    for dtype in (torch.float16, torch.bfloat16):
        with torch.autocast("cpu", dtype=dtype):
            assert loss(logits.to(dtype), labels).isfinite()
