"""What every head promises, without a peer: shapes, errors, scores, weights."""

import io
import math
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from scriptable import (
    AMSoftmax,
    ASoftmax,
    ASVSpoofBinaryLoss,
    CrossEntropy,
    OCSoftmax,
    a_softmax_loss,
    asvspoof_binary_loss,
)

DIM = 8
HEADS = {
    "am": AMSoftmax,
    "am_weighted": lambda dim, **k: AMSoftmax(dim, class_weights=[0.2, 3.0], **k),
    "a": ASoftmax,
    "oc": OCSoftmax,
    "ce": CrossEntropy,
    "ce_weighted": lambda dim, **k: CrossEntropy(dim, class_weights=[0.2, 3.0], **k),
}
MULTI = {"am": AMSoftmax, "a": ASoftmax, "ce": CrossEntropy}
every_head = pytest.mark.parametrize("name", HEADS)
LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(7)


def make(name: str, **options) -> nn.Module:
    return HEADS[name](DIM, **options)


def scripted(head: nn.Module) -> nn.Module:
    """Scripted and read back: heads scripted in one process share what the optimiser learnt."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(head), buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


def batch(scale: float = 1.0) -> Tensor:
    return scale * torch.randn(len(LABELS), DIM)


# Shapes and errors


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
@every_head
def test_shapes(name, dtype) -> None:
    head = make(name).eval()
    embeddings = batch()
    loss = head(embeddings, LABELS.to(dtype))
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert torch.equal(loss, head(embeddings, LABELS))
    assert head.score(embeddings).shape == (len(LABELS),)
    assert head.score(embeddings[:1]).shape == (1,)


@pytest.mark.parametrize("name", MULTI)
def test_more_classes_score_all(name) -> None:
    head = MULTI[name](DIM, 4)
    labels = torch.tensor([0, 3, 2, 1, 1, 0])
    assert head(batch(), labels).isfinite()
    assert head.score(batch()).shape == (len(LABELS), 4)


BAD_CALLS = [
    ((6, DIM), torch.zeros(3, 1, dtype=torch.int64), "labels: expected shape [B], got [3, 1]"),
    ((6, DIM), torch.tensor(1), "labels: expected shape [B], got []"),
    ((6, DIM), torch.zeros(3, dtype=torch.int64), "labels: expected shape [6], got [3]"),
    ((6, 5), LABELS, f"embeddings: expected shape [B, {DIM}], got [6, 5]"),
    ((6, 2, DIM), LABELS, f"embeddings: expected shape [B, {DIM}], got [6, 2, {DIM}]"),
    ((DIM,), LABELS, f"embeddings: expected shape [B, {DIM}], got [{DIM}]"),
]


@pytest.mark.parametrize(("shape", "labels", "message"), BAD_CALLS)
@every_head
def test_wrong_shapes(name, shape, labels, message) -> None:
    head = make(name)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        head(torch.zeros(shape), labels)
    compiled = scripted(head)
    with pytest.raises(torch.jit.Error) as caught:
        compiled(torch.zeros(shape), labels)
    assert f"builtins.ValueError: {message}\n" in str(caught.value) + "\n"
    # Once it has profiled good calls, the optimiser may move a pure operation before our check, so
    # that its own complaint comes first; but none of the calls ever passes.
    for _ in range(3):
        compiled(batch(), LABELS).backward()
    with pytest.raises((torch.jit.Error, RuntimeError)):
        compiled(torch.zeros(shape), labels)
    if message.startswith("embeddings"):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            head.score(torch.zeros(shape))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
@every_head
def test_wrong_dtype_of_labels(name, dtype) -> None:
    message = f"^labels: expected an integer dtype, got {re.escape(str(dtype))}$"
    with pytest.raises(ValueError, match=message):
        make(name)(batch(), LABELS.to(dtype))
    compiled = scripted(make(name))
    with pytest.raises(torch.jit.Error, match=r"ValueError: labels: expected an integer dtype"):
        compiled(batch(), LABELS.to(dtype))


@pytest.mark.parametrize("shape", [(4, 3), (4,), (2, 2, 2)])
def test_binary_loss_checks_shapes(shape) -> None:
    message = f"pred: expected shape [B, 2] or [B, 1], got {list(shape)}"
    for loss in (ASVSpoofBinaryLoss(), scripted(ASVSpoofBinaryLoss())):
        for method in (loss.score, loss.bonafide_score, lambda x, f=loss: f(x, x)):
            with pytest.raises((ValueError, torch.jit.Error), match=re.escape(message)):
                method(torch.zeros(shape))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AMSoftmax(4, 1), "n_classes: expected 2 or more, got 1"),
        (lambda: CrossEntropy(4, 0), "n_classes: expected 2 or more, got 0"),
        (
            lambda: ASoftmax(4, bonafide_label=2),
            "bonafide_label: expected a label in [0, 1], got 2",
        ),
        (
            lambda: CrossEntropy(4, 3, bonafide_label=-1),
            "bonafide_label: expected a label in [0, 2], got -1",
        ),
        (lambda: AMSoftmax(4, s=0.0), "s: expected a value above 0, got 0.0"),
        (lambda: AMSoftmax(4, s=math.nan), "s: expected a finite number, got nan"),
        (lambda: AMSoftmax(4, s=math.inf), "s: expected a finite number, got inf"),
        (lambda: AMSoftmax(4, m=math.nan), "m: expected a finite number, got nan"),
        (lambda: OCSoftmax(4, alpha=-1.0), "alpha: expected a value above 0, got -1.0"),
        (lambda: ASoftmax(4, m=0), "m: expected a value above 0, got 0"),
        (lambda: ASoftmax(4, m=2.5), "m: expected a whole number, got 2.5"),
        (lambda: ASoftmax(4, gamma=-1), "gamma: expected a value of 0 or above, got -1"),
        (lambda: ASoftmax(4, lambda_min=-1), "lambda_min: expected a value of 0 or above, got -1"),
        (lambda: ASoftmax(4, lambda_max=-1), "lambda_max: expected a value of 0 or above, got -1"),
        (
            lambda: AMSoftmax(4, class_weights=[1.0]),
            "class_weights: expected shape [2], got [1]",
        ),
        (
            lambda: CrossEntropy(4, 3, class_weights=torch.ones(3, 1)),
            "class_weights: expected shape [3], got [3, 1]",
        ),
    ],
)
def test_wrong_configurations(build, message) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        build()


# Scores and weights


@pytest.mark.parametrize("bonafide", [0, 1])
@every_head
def test_training_raises_the_score_of_bona_fide(name, bonafide) -> None:
    head = make(name, bonafide_label=bonafide)
    centres = torch.randn(2, DIM)
    labels = torch.arange(64) % 2
    embeddings = centres[labels] + 0.1 * torch.randn(64, DIM)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        head(embeddings, labels).backward()
        optimiser.step()
    score = head.score(embeddings).detach()
    assert score[labels == bonafide].min() > score[labels != bonafide].max()


@pytest.mark.parametrize("name", ["am", "a", "oc"])
@settings(deadline=None, max_examples=25, derandomize=False)
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-6, 12))
def test_cosine_scores_stay_in_range_and_ignore_the_norm(name, seed, power) -> None:
    torch.manual_seed(seed)
    limit = 1.0 if name == "oc" else 2.0
    head = make(name)
    embeddings = batch()
    score = head.score(embeddings)
    assert score.abs().max() <= limit
    torch.testing.assert_close(head.score(embeddings * 10.0**power), score, atol=1e-6, rtol=0)
    if name == "oc":
        towards = head.mapper.weight.T
    else:
        assert torch.equal(make(name).score(torch.zeros(1, DIM)), torch.zeros(1))
        with torch.no_grad():
            head.mapper.weight[:, 0] = -head.mapper.weight[:, 1]
        towards = head.mapper.weight[:, 1:].T
    extremes = head.score(torch.cat([towards, -towards]) * 10.0**power)
    torch.testing.assert_close(extremes.detach(), torch.tensor([limit, -limit]), atol=1e-6, rtol=0)
    assert extremes.abs().max() <= limit


@pytest.mark.parametrize("name", MULTI)
def test_swapping_the_bona_fide_label_negates_the_score(name) -> None:
    one, zero = make(name), make(name, bonafide_label=0)
    zero.load_state_dict(one.state_dict())
    embeddings = batch()
    assert torch.equal(one.score(embeddings), -zero.score(embeddings))
    assert torch.equal(one(embeddings, LABELS), zero(embeddings, LABELS))


@pytest.mark.parametrize("weight", [0.0, 0.25, 3.0])
@every_head
def test_the_weight_scales_the_loss_once_and_no_score(name, weight) -> None:
    plain, weighted = make(name).double(), make(name, weight=weight).double()
    weighted.load_state_dict(plain.state_dict())
    embeddings = batch().double()
    torch.testing.assert_close(
        weighted(embeddings, LABELS), weight * plain(embeddings, LABELS), atol=1e-14, rtol=0
    )
    assert torch.equal(weighted.score(embeddings), plain.score(embeddings))
    logits = torch.randn(3, 2)
    targets = torch.tensor([[0, 1], [1, 0], [1, 0]])
    torch.testing.assert_close(
        ASVSpoofBinaryLoss(weight)(logits, targets), weight * asvspoof_binary_loss(logits, targets)
    )


@pytest.mark.parametrize("name", ["am", "ce"])
def test_class_weights_are_a_weighted_mean(name) -> None:
    plain, weighted = make(name).double(), make(f"{name}_weighted").double()
    weighted.load_state_dict(
        {
            **plain.state_dict(),
            **{
                key: value
                for key, value in weighted.state_dict().items()
                if key in ("m_loss.weight", "criterion.weight")
            },
        }
    )
    embeddings = batch().double()
    each = torch.stack([plain(embeddings[i : i + 1], LABELS[i : i + 1]) for i in range(6)])
    weights = torch.tensor([0.2, 3.0]).double()[LABELS]
    expected = (weights * each).sum() / weights.sum()
    torch.testing.assert_close(weighted(embeddings, LABELS), expected, atol=1e-12, rtol=0)
    ignored = HEADS[name](DIM, class_weights=[0.0, 1.0])
    assert float(ignored(batch(), torch.zeros_like(LABELS)).detach()) == 0.0


@pytest.mark.parametrize("bonafide", [0, 1, 5])
def test_every_other_label_is_spoof_for_oc_softmax(bonafide) -> None:
    head = OCSoftmax(DIM, bonafide_label=bonafide)
    embeddings = batch()
    seen = [head(embeddings, torch.full((6,), label)) for label in range(-1, 7)]
    spoof = seen[-1]
    for label, loss in zip(range(-1, 7), seen, strict=True):
        assert torch.equal(loss, spoof) == (label != bonafide)


# A-softmax against its definition


@pytest.mark.parametrize("annealing", [0.0, 5.0])
@pytest.mark.parametrize("m", range(1, 7))
def test_a_softmax_equals_the_arc_cosine_form(m, annealing) -> None:
    theta = torch.cat([torch.linspace(0, math.pi, 400), torch.arange(m + 1) * math.pi / m]).double()
    other = 2 * torch.rand(len(theta)).double() - 1
    norm = 0.1 + 3 * torch.rand(len(theta), 1).double()
    labels = torch.arange(len(theta)) % 2
    target_first = labels.unsqueeze(1) == torch.tensor([0, 1])
    cosine = torch.where(target_first, theta.cos().unsqueeze(1), other.unsqueeze(1))
    k = torch.floor(m * theta / math.pi).clamp(max=m - 1)
    psi = (-1.0) ** k * torch.cos(m * theta) - 2 * k
    assert (psi[:399] >= psi[1:400]).all(), "ψ falls all the way from 0 to π"
    target = (annealing * theta.cos() + psi) / (1 + annealing)
    logits = norm * torch.where(target_first, target.unsqueeze(1), other.unsqueeze(1))
    nll = nn.functional.cross_entropy(logits, labels, reduction="none")
    for gamma in (0.0, 0.5, 2.0):
        expected = (1 - torch.exp(-nll)) ** gamma * nll
        actual = a_softmax_loss(
            cosine, norm, labels, torch.tensor(annealing).double(), margin=m, gamma=gamma
        )
        torch.testing.assert_close(actual, expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("m", range(1, 7))
def test_the_slope_of_a_softmax_does_not_turn_at_the_ends(m) -> None:
    for end in (1.0, -1.0):
        slopes = []
        for cosine in (end, end * (1 - 1e-9)):
            target = torch.tensor([[cosine, 0.1]], dtype=torch.float64, requires_grad=True)
            norm, still = torch.ones(1, 1).double(), torch.tensor(0.0).double()
            loss = a_softmax_loss(target, norm, torch.tensor([0]), still, margin=m, gamma=0.0)
            slopes.append(torch.autograd.grad(loss.sum(), target)[0])
        assert float(slopes[0][0, 0]) < 0
        torch.testing.assert_close(slopes[0], slopes[1], atol=1e-5, rtol=1e-5)
