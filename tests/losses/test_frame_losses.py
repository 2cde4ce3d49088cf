"""The losses per frame equal SpeechBrain's where it is right: value and gradient, inputs anew."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest
import toolkits
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation
from torch import Tensor, nn

import scriptable

FRESH = settings(deadline=None, max_examples=25, derandomize=False)
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
# SpeechBrain's "sum" returns the unreduced tensor, see test_sum_sums.
SHARED = ["mean", "batch", "batchmean", "none"]


class Draw(NamedTuple):
    """Sizes and a seed; every tensor of an example is made from them."""

    seed: int
    batch: int
    frames: int
    classes: int
    reduction: str
    padded: bool

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)

    def length(self) -> Tensor | None:
        """Whole frames, k/T, one or more."""
        if not self.padded:
            return None
        counts = torch.randint(1, self.frames + 1, (self.batch,), generator=self.generator())
        return counts.double() / self.frames

    def normal(self, *shape: int) -> Tensor:
        # Numbers that float32 holds, so that the two precisions see the same.
        return torch.randn(*shape, generator=self.generator()).double()

    def labels(self, *shape: int, low: int = 0) -> Tensor:
        return torch.randint(low, self.classes, shape, generator=self.generator())


def draws(reductions: list[str] = SHARED) -> st.SearchStrategy[Draw]:
    return st.builds(
        Draw,
        st.integers(0, 2**32 - 1),
        st.integers(1, 5),
        st.integers(1, 30),
        st.integers(2, 6),
        st.sampled_from(reductions),
        st.booleans(),
    )


def compare(
    ours: Callable[..., Tensor],
    theirs: Callable[..., Tensor],
    inputs: tuple[Tensor, ...],
    dtype: torch.dtype,
    differentiable: tuple[int, ...] = (0,),
) -> None:
    """Value and gradient; the reference is the peer in float64 on the very same numbers."""
    answers = []
    for loss_fn, precision in ((theirs, torch.float64), (ours, dtype)):
        leaves = [
            x.detach().to(precision).requires_grad_(i in differentiable)
            if x.is_floating_point()
            else x.clone()
            for i, x in enumerate(inputs)
        ]
        loss = loss_fn(*leaves)
        weights = torch.linspace(0.5, 1.5, loss.numel(), dtype=precision).reshape(loss.shape)
        wanted = [leaves[i] for i in differentiable]
        gradients = torch.autograd.grad((loss * weights).sum(), wanted) if wanted else ()
        answers.append((loss.detach(), *gradients))
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    for reference, actual in zip(*answers, strict=True):
        assert actual.shape == reference.shape
        assert deviation(actual, reference) <= tolerance


Keywords = dict[str, Any]


@DTYPES
@pytest.mark.parametrize("name", ["l1_loss", "mse_loss"])
def test_regression(name: str, dtype: torch.dtype) -> None:
    theirs = getattr(toolkits.speechbrain_losses(), name)

    @FRESH
    @given(draws(), st.integers(0, 3))
    def check(d: Draw, longer: int) -> None:
        both = d.normal(2, d.batch, d.frames + longer, d.classes)
        inputs = (both[0], both[1, :, : d.frames])
        keywords: Keywords = {"length": d.length(), "reduction": d.reduction}
        compare(
            lambda *x: getattr(scriptable, name)(*x, **keywords),
            lambda *x: theirs(*x, **keywords),
            inputs,
            dtype,
            (0, 1),
        )

    check()


@DTYPES
@pytest.mark.parametrize("utterances", [False, True])
def test_nll(utterances: bool, dtype: torch.dtype) -> None:
    theirs = toolkits.speechbrain_losses().nll_loss

    @FRESH
    @given(draws(), st.sampled_from([0.0, 0.1, 1.0]), st.booleans())
    def check(d: Draw, smoothing: float, weighted: bool) -> None:
        # Weights make their mean a mean by count, and smoothing ignores them: both are differences.
        weighted = weighted and smoothing == 0.0 and d.reduction in ("batchmean", "none")
        shape = (d.batch,) if utterances else (d.batch, d.frames)
        if utterances and d.reduction == "batch":
            smoothing = 0.0
        keywords: Keywords = {
            "length": None if utterances else d.length(),
            "label_smoothing": smoothing,
            "reduction": d.reduction,
            "weight": torch.linspace(0.2, 2.0, d.classes).double() if weighted else None,
        }
        compare(
            lambda *x: scriptable.nll_loss(*x, **keywords),
            lambda *x: theirs(*x, **keywords),
            (d.normal(*shape, d.classes).log_softmax(-1).float(), d.labels(*shape)),
            dtype,
        )

    check()


@FRESH
@given(draws(["mean", "sum", "none"]), st.floats(0.0, 1.0), st.booleans())
def test_nll_weights_and_smoothing_equal_cross_entropy(d: Draw, smoothing, weighted) -> None:
    weight = d.normal(d.classes).abs() + 0.1 if weighted else None
    labels = d.labels(d.batch, d.frames)
    compare(
        lambda x: scriptable.nll_loss(
            x, labels, None, smoothing, weight=weight, reduction=d.reduction
        ),
        lambda x: nn.functional.cross_entropy(
            x.transpose(1, 2), labels, weight, reduction=d.reduction, label_smoothing=smoothing
        ),
        (d.normal(d.batch, d.frames, d.classes).log_softmax(-1),),
        torch.float64,
        # The peer's logits are our log-probabilities: it normalises them once more, for which its
        # gradient has a part that ours has not.
        (),
    )


@DTYPES
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_bce(rank: int, dtype: torch.dtype) -> None:
    whole = toolkits.speechbrain_losses()
    theirs = whole.bce_loss

    @FRESH
    @given(draws(), st.booleans(), st.booleans(), st.booleans())
    def check(d: Draw, weighted: bool, positive: bool, last: bool) -> None:
        shape = (d.batch, d.frames, d.classes)[:rank]

        # The peer's targets are float32, and so is its loss: its parts are put together in float64.
        def exact(x: Tensor, y: Tensor) -> Tensor:
            x = x.squeeze(-1) if x.dim() > y.dim() else x
            x, y = (x.unsqueeze(1), y.unsqueeze(1)) if rank == 1 else (x, y)
            weight = keywords["weight"]
            weight = None if weight is None else weight.unsqueeze(1)
            loss_fn = partial(
                nn.functional.binary_cross_entropy_with_logits,
                weight=weight,
                pos_weight=keywords["pos_weight"],
                reduction="none",
            )
            return whole.compute_masked_loss(
                loss_fn, x, y, keywords["length"], reduction=d.reduction
            )

        extra = (1,) if last and rank < 3 else ()
        keywords: Keywords = {
            "length": None if rank == 1 else d.length(),
            "weight": d.normal(d.batch).abs() if weighted and rank < 3 else None,
            "pos_weight": d.normal(1 if rank < 3 else d.classes).abs() if positive else None,
            "reduction": d.reduction,
        }
        compare(
            lambda x, y: scriptable.bce_loss(x, y, **keywords),
            lambda x, y: theirs(x, y, **keywords) if dtype == torch.float32 else exact(x, y),
            (3.0 * d.normal(*shape, *extra), d.normal(*shape).gt(0).double()),
            dtype,
        )

    check()


@DTYPES
def test_kldiv(dtype: torch.dtype) -> None:
    theirs = toolkits.speechbrain_losses().kldiv_loss

    @FRESH
    @given(draws(["sum", "batchmean"]), st.floats(0.01, 0.9), st.booleans())
    def check(d: Draw, smoothing: float, utterances: bool) -> None:
        shape = (d.batch,) if utterances else (d.batch, d.frames)
        keywords: Keywords = {"label_smoothing": smoothing, "reduction": d.reduction}
        inputs = (d.normal(*shape, d.classes).log_softmax(-1).float(), d.labels(*shape))
        compare(
            lambda *x: scriptable.kldiv_loss(*x, **keywords),
            lambda *x: theirs(*x, **keywords),
            inputs,
            dtype,
        )

    check()


@DTYPES
@FRESH
@given(d=draws())
def test_kldiv_without_smoothing(dtype: torch.dtype, d: Draw) -> None:
    theirs = toolkits.speechbrain_losses().kldiv_loss
    keywords: Keywords = {"length": d.length(), "reduction": d.reduction}
    shape = (d.batch, d.frames)
    compare(
        lambda *x: scriptable.kldiv_loss(*x, **keywords),
        lambda *x: theirs(*x, **keywords),
        (d.normal(*shape, d.classes).log_softmax(-1).float(), d.labels(*shape, low=1)),
        dtype,
    )


@FRESH
@given(draws(), st.booleans())
def test_classification_error(d: Draw, utterances: bool) -> None:
    theirs = toolkits.speechbrain_losses().classification_error
    shape = (d.batch,) if utterances else (d.batch, d.frames)
    keywords: Keywords = {
        "length": None if utterances else d.length(),
        "reduction": d.reduction,
    }
    compare(
        lambda *x: scriptable.classification_error(*x, **keywords),
        lambda *x: theirs(*x, **keywords),
        (d.normal(*shape, d.classes), d.labels(*shape)),
        torch.float32,
        (),
    )


@DTYPES
@FRESH
@given(d=draws(), beta=st.floats(0.01, 1.0), max_weight=st.floats(1.0, 200.0))
def test_distance_diff(dtype: torch.dtype, d: Draw, beta: float, max_weight: float) -> None:
    theirs = toolkits.speechbrain_losses().distance_diff_loss
    targets = d.labels(d.batch).double() + 0.375
    keywords: Keywords = {
        "length": d.length(),
        "beta": beta,
        "max_weight": max_weight,
        "reduction": d.reduction,
    }
    compare(
        lambda x: scriptable.distance_diff_loss(x, targets, **keywords),
        lambda x: theirs(x, targets, **keywords),
        (d.normal(d.batch, d.frames).abs(),),
        dtype,
    )


@DTYPES
@pytest.mark.parametrize("mask_shape", ["targets", "predictions", "loss"])
def test_masked_loss(mask_shape: str, dtype: torch.dtype) -> None:
    theirs = toolkits.speechbrain_losses().compute_masked_loss

    @FRESH
    @given(draws())
    def check(d: Draw) -> None:
        loss_fn = nn.SmoothL1Loss(reduction="none")
        both = d.normal(2, d.batch, d.frames, d.classes)
        keywords: Keywords = {
            "length": d.length(),
            "mask_shape": mask_shape,
            "reduction": d.reduction,
        }
        compare(
            lambda *x: scriptable.compute_masked_loss(loss_fn, *x, **keywords),
            lambda *x: theirs(loss_fn, *x, **keywords),
            (both[0], both[1]),
            dtype,
            (0, 1),
        )

    check()


@FRESH
@given(draws(), st.floats(0.0, 1.0))
def test_reduce_loss(d: Draw, smoothing: float) -> None:
    theirs = toolkits.speechbrain_losses()
    loss = d.normal(d.batch, d.frames)
    mask = theirs.compute_length_mask(loss, d.length())
    log_p = d.normal(d.batch, d.classes, d.frames).log_softmax(1)
    # The peer expects a loss that is 0 in the padding, see test_reduce_loss_applies_its_mask.
    compare(
        lambda x, p: scriptable.reduce_loss(x, mask, d.reduction, smoothing, p, x),
        lambda x, p: theirs.reduce_loss(x * mask, mask, d.reduction, smoothing, p, x),
        (loss, log_p),
        torch.float64,
        (0,) if smoothing == 0 else (0, 1),
    )


@FRESH
@given(draws(), st.sampled_from([1, 2]), st.sampled_from([torch.float32, torch.int64]))
def test_length_mask(d: Draw, len_dim: int, dtype: torch.dtype) -> None:
    theirs = toolkits.speechbrain_losses().compute_length_mask
    shape = (d.batch, d.frames, 3) if len_dim == 1 else (d.batch, 3, d.frames)
    data = torch.zeros(shape, dtype=dtype)
    reference = theirs(data, d.length(), len_dim)
    actual = scriptable.compute_length_mask(data, d.length(), len_dim)
    torch.testing.assert_close(actual, reference, rtol=0, atol=0)


@DTYPES
@FRESH
@given(d=draws())
def test_distillation(dtype: torch.dtype, d: Draw) -> None:
    theirs = toolkits.speechbrain_losses()
    both = d.normal(2, d.batch, d.frames, d.classes)
    student, teacher = both[0].log_softmax(2).float(), both[1].softmax(2).float()
    length = torch.ones(d.batch).double() if d.length() is None else d.length()
    compare(
        lambda *x: scriptable.nll_loss_kd(*x, length),
        lambda *x: theirs.nll_loss_kd(*x, length),
        (student, teacher),
        dtype,
        (0, 1),
    )
    compare(scriptable.ce_kd, theirs.ce_kd, (student[0], teacher[0]), dtype, (0, 1))


@FRESH
@given(draws(), st.integers(0, 32), st.floats(1.0, 40.0), st.sampled_from(["am", "aam", "easy"]))
def test_margins_and_their_softmax(d: Draw, step: int, scale: float, kind: str) -> None:
    # The peer's one-hot targets are float32, and round a margin that float32 does not hold.
    margin = step / 64
    theirs = toolkits.speechbrain_losses()
    cosines = 0.9 * torch.tanh(d.normal(d.batch, 1, d.classes))
    one_hot = nn.functional.one_hot(d.labels(d.batch), d.classes).double()
    # The peer's AAM works in float32 whatever it is given, see test_aam_keeps_float64.
    dtype = torch.float64 if kind == "am" else torch.float32
    if kind == "am":
        heads = [m.AngularMargin(margin, scale) for m in (scriptable, theirs)]
    else:
        easy = kind == "easy"
        heads = [m.AdditiveAngularMargin(margin, scale, easy) for m in (scriptable, theirs)]
    compare(heads[0], heads[1], (cosines[:, 0], one_hot), dtype)
    wrappers = [scriptable.LogSoftmaxWrapper(heads[0]), theirs.LogSoftmaxWrapper(heads[1])]
    compare(wrappers[0], wrappers[1], (cosines, d.labels(d.batch, 1)), dtype)


ITEMWISE = {
    "l1_loss": (scriptable.L1Loss, "pair"),
    "mse_loss": (scriptable.MSELoss, "pair"),
    "nll_loss": (scriptable.NLLLoss, "classes"),
    "kldiv_loss": (scriptable.KLDivLoss, "classes"),
    "classification_error": (scriptable.ClassificationError, "classes"),
    "bce_loss": (scriptable.BCELoss, "binary"),
}


@pytest.mark.parametrize("name", ITEMWISE)
@FRESH
@given(d=draws())
def test_a_batch_equals_its_items_and_the_function_its_module(name: str, d: Draw) -> None:
    module, kind = ITEMWISE[name]
    both = d.normal(2, d.batch, d.frames, d.classes)
    inputs = {
        "pair": (both[0], both[1]),
        "classes": (both[0].log_softmax(2), d.labels(d.batch, d.frames)),
        "binary": (both[0], both[1].sigmoid()),
    }[kind]
    length = torch.ones(d.batch).double() if d.length() is None else d.length()
    whole = module(reduction="batch")(*inputs, length)
    items = [
        module(reduction="mean")(*(x[i : i + 1] for x in inputs), length[i : i + 1])
        for i in range(d.batch)
    ]
    torch.testing.assert_close(whole, torch.stack(items), rtol=1e-10, atol=1e-10)
    function = getattr(scriptable, name)(*inputs, length, reduction="batch")
    assert torch.equal(function, whole)
    scripted = torch.jit.script(getattr(scriptable, name))
    torch.testing.assert_close(scripted(*inputs), getattr(scriptable, name)(*inputs))
