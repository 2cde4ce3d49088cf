"""Where the losses per frame differ from SpeechBrain's, both numbers, and its defects."""

import math
from collections.abc import Callable

import pytest
import toolkits
import torch
from torch import Tensor, nn

import scriptable

LOG_HALF = math.log(2.0)
NAN = float("nan")


def gradient(loss_fn: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(loss_fn(x).sum(), x)[0]


def log_halves(*shape: int) -> Tensor:
    return torch.full((*shape, 2), 0.5).log()


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.int64)


# Lengths


@pytest.mark.parametrize(("length", "ours", "theirs"), [(0.52, 5, 6), (0.55, 6, 6), (0.54, 5, 6)])
def test_fractional_lengths_are_rounded_half_up(length: float, ours: int, theirs: int) -> None:
    data, lengths = torch.zeros(1, 10), torch.tensor([length])
    assert scriptable.compute_length_mask(data, lengths).sum() == ours
    assert toolkits.speechbrain_losses().compute_length_mask(data, lengths).sum() == theirs


def test_whole_frames_are_whole() -> None:
    for frames in (7, 100, 999):
        counts = torch.arange(frames + 1)
        mask = scriptable.compute_length_mask(torch.zeros(frames + 1, frames), counts / frames)
        assert torch.equal(mask.sum(1).long(), counts)


def test_distillation_rounds_half_up_too() -> None:
    student, teacher = torch.tensor([[[1.0], [2.0], [3.0], [4.0], [5.0]]]), torch.ones(1, 5, 1)
    half = torch.tensor([0.5])
    theirs = toolkits.speechbrain_losses().nll_loss_kd(student, teacher, half)
    assert float(theirs) == -1.5  # round half to even: 2 of 2.5 frames
    assert float(scriptable.nll_loss_kd(student, teacher, half)) == -2.0


# Padding and empty items

PADDED = {
    "l1_loss": (torch.zeros(2, 2), torch.ones(2, 2)),
    "mse_loss": (torch.zeros(2, 2), torch.ones(2, 2)),
    "nll_loss": (log_halves(2, 2), zeros(2, 2)),
    "bce_loss": (torch.zeros(2, 2), torch.ones(2, 2)),
}


@pytest.mark.parametrize("garbage", [NAN, math.inf])
@pytest.mark.parametrize("name", PADDED)
def test_padding_poisons_the_peer_but_not_us(name: str, garbage: float) -> None:
    predictions, targets = PADDED[name]
    predictions = predictions.clone()
    predictions[1, 1] = garbage
    length = torch.tensor([1.0, 0.5])
    ours, theirs = getattr(scriptable, name), getattr(toolkits.speechbrain_losses(), name)
    expected = 1.0 if name in ("l1_loss", "mse_loss") else LOG_HALF
    assert not math.isfinite(theirs(predictions, targets, length))
    assert math.isclose(ours(predictions, targets, length), expected, rel_tol=1e-6)
    slopes = gradient(lambda x: ours(x, targets, length), predictions)
    assert bool(torch.isfinite(slopes).all())
    assert not slopes[1, 1].any()


@pytest.mark.parametrize("name", PADDED)
def test_an_item_of_length_zero_contributes_nothing(name: str) -> None:
    inputs, length = PADDED[name], torch.tensor([1.0, 0.0])
    ours, theirs = getattr(scriptable, name), getattr(toolkits.speechbrain_losses(), name)
    expected = 1.0 if name in ("l1_loss", "mse_loss") else LOG_HALF
    per_item = ours(*inputs, length, reduction="batch")
    torch.testing.assert_close(per_item, torch.tensor([expected, 0.0]))
    assert math.isnan(theirs(*inputs, length, reduction="batch")[1])
    assert float(ours(*inputs, torch.zeros(2))) == 0.0


# Reductions


@pytest.mark.parametrize("name", PADDED)
def test_sum_sums(name: str) -> None:
    inputs = PADDED[name]
    ours, theirs = getattr(scriptable, name), getattr(toolkits.speechbrain_losses(), name)
    unreduced = theirs(*inputs, reduction="sum")
    assert unreduced.shape == (2, 2)
    torch.testing.assert_close(ours(*inputs, reduction="sum"), unreduced.sum())


@pytest.mark.parametrize("name", [*PADDED, "classification_error", "kldiv_loss"])
def test_an_unknown_reduction_is_an_error(name: str) -> None:
    inputs = PADDED.get(name, PADDED["nll_loss"])
    assert getattr(toolkits.speechbrain_losses(), name)(*inputs, reduction="avg").shape == (2, 2)
    message = r"reduction: expected one of \['mean', 'batch', .*\], got avg"
    with pytest.raises(ValueError, match=message):
        getattr(scriptable, name)(*inputs, reduction="avg")


def test_half_precision_is_accumulated_in_float32() -> None:
    x = torch.full((1, 100, 10), 30.0, dtype=torch.float16)
    theirs = toolkits.speechbrain_losses().mse_loss(x, torch.zeros_like(x), reduction="mean")
    assert math.isinf(theirs)
    assert float(scriptable.mse_loss(x, torch.zeros_like(x))) == 900.0


def test_class_weights_divide_by_the_weight() -> None:
    log_p, targets = torch.tensor([[-1.0, -2.0], [-1.0, -2.0]]), torch.tensor([0, 1])
    weight = torch.tensor([3.0, 1.0])
    theirs = toolkits.speechbrain_losses().nll_loss(log_p, targets, weight=weight)
    assert float(theirs) == 2.5
    assert float(scriptable.nll_loss(log_p, targets, weight=weight)) == 1.25
    reference = nn.functional.nll_loss(log_p, targets, weight)
    assert float(reference) == 1.25


def test_smoothing_heeds_the_class_weights() -> None:
    log_p, targets = torch.tensor([[0.25, 0.75]]).log(), torch.tensor([0])
    weight = torch.tensor([3.0, 1.0])
    reference = nn.functional.cross_entropy(log_p, targets, weight, label_smoothing=0.5)
    ours = scriptable.nll_loss(log_p, targets, None, 0.5, 3, weight)
    theirs = toolkits.speechbrain_losses().nll_loss(log_p, targets, None, 0.5, 3, weight)
    torch.testing.assert_close(ours, reference)
    assert abs(float(ours) - 1.0637) < 1e-4
    assert abs(float(theirs) - 2.4980) < 1e-4


def test_weights_that_are_all_zero_give_zero() -> None:
    log_p, targets = log_halves(2), zeros(2)
    assert float(scriptable.nll_loss(log_p, targets, weight=torch.zeros(2))) == 0.0
    assert math.isnan(nn.functional.nll_loss(log_p, targets, torch.zeros(2)))


# Each loss


def test_bce_smoothing_moves_the_targets() -> None:
    inputs, targets = torch.tensor([[100.0]]), torch.tensor([[1.0]])
    theirs = toolkits.speechbrain_losses().bce_loss(inputs, targets, label_smoothing=0.1)
    assert float(theirs) == pytest.approx(-10.0)  # unbounded below
    ours = scriptable.bce_loss(inputs, targets, label_smoothing=0.1)
    assert float(ours) == pytest.approx(5.0)
    reference = nn.functional.binary_cross_entropy_with_logits(inputs, torch.tensor([[0.95]]))
    torch.testing.assert_close(ours, reference)


def test_bce_keeps_float64() -> None:
    inputs, targets = torch.tensor([[0.1]]).double(), torch.tensor([[1]])
    reference = math.log1p(math.exp(-float(inputs)))
    theirs = float(toolkits.speechbrain_losses().bce_loss(inputs, targets))
    assert 1e-10 < abs(theirs - reference) < 1e-7
    assert abs(float(scriptable.bce_loss(inputs, targets)) - reference) < 1e-15


@pytest.mark.parametrize("logit", [1e4, -1e4])
def test_bce_is_exact_for_large_logits(logit: float) -> None:
    for target in (0.0, 1.0):
        inputs, targets = torch.tensor([[logit]]), torch.tensor([[target]])
        wrong = (logit > 0) != (target > 0)
        assert float(scriptable.bce_loss(inputs, targets)) == (1e4 if wrong else 0.0)
        slope = gradient(lambda x, y=targets: scriptable.bce_loss(x, y), inputs)
        assert float(slope.abs()) == (1.0 if wrong else 0.0)


def test_kldiv_mean_is_per_frame_and_continuous() -> None:
    log_p = torch.tensor([[[0.25, 0.75]] * 4]).log()
    targets = torch.ones(1, 4, dtype=torch.int64)
    theirs = toolkits.speechbrain_losses().kldiv_loss
    plain, tiny = (scriptable.kldiv_loss(log_p, targets, None, e) for e in (0.0, 1e-6))
    assert float(plain) == pytest.approx(0.2877, abs=1e-4)
    assert float(tiny) == pytest.approx(0.2877, abs=1e-4)
    assert float(theirs(log_p, targets)) == pytest.approx(0.2877, abs=1e-4)
    assert float(theirs(log_p, targets, None, 1e-6)) == pytest.approx(1.1507, abs=1e-4)


def test_kldiv_leaves_pad_idx_out_without_smoothing_too() -> None:
    log_p, targets = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]]).log(), torch.tensor([[1, 0]])
    theirs = toolkits.speechbrain_losses().kldiv_loss(log_p, targets)
    assert float(theirs) == pytest.approx((LOG_HALF + math.log(4)) / 2)
    assert float(scriptable.kldiv_loss(log_p, targets)) == pytest.approx(LOG_HALF)
    assert float(scriptable.kldiv_loss(log_p, targets, pad_idx=1)) == pytest.approx(math.log(4))
    assert float(scriptable.kldiv_loss(log_p, targets, pad_idx=-1)) == pytest.approx(float(theirs))


def test_kldiv_heeds_lengths_when_it_smooths() -> None:
    log_p, targets = log_halves(2, 2), torch.ones(2, 2, dtype=torch.int64)
    length = torch.tensor([1.0, 0.5])
    entropy = 0.9 * math.log(0.9) + 0.1 * math.log(0.1)
    total = scriptable.kldiv_loss(log_p, targets, length, 0.1, reduction="sum")
    assert float(total) == pytest.approx(3 * (LOG_HALF + entropy))
    theirs = toolkits.speechbrain_losses().kldiv_loss(log_p, targets, length, 0.1, reduction="sum")
    assert float(theirs) == pytest.approx(4 * (LOG_HALF + entropy))
    per_item = scriptable.kldiv_loss(log_p, targets, length, 0.1, reduction="batch")
    torch.testing.assert_close(per_item, torch.full((2,), LOG_HALF + entropy))
    # The peer divides the sum of an item by its relative length.
    theirs = toolkits.speechbrain_losses().kldiv_loss(
        log_p, targets, length, 0.1, reduction="batch"
    )
    torch.testing.assert_close(theirs, 2 * (LOG_HALF + entropy) * torch.tensor([1.0, 2.0]))


def test_kldiv_without_reduction_is_per_frame() -> None:
    log_p, targets = log_halves(2, 3), torch.ones(2, 3, dtype=torch.int64)
    assert scriptable.kldiv_loss(log_p, targets, None, 0.1, reduction="none").shape == (2, 3)
    theirs = toolkits.speechbrain_losses().kldiv_loss(log_p, targets, None, 0.1, reduction="none")
    assert theirs.shape == (6, 2)


def test_kldiv_is_the_divergence() -> None:
    log_p = torch.randn(3, 4, 5, dtype=torch.float64).log_softmax(2)
    targets = torch.randint(1, 5, (3, 4))
    q = torch.full_like(log_p, 0.3 / 4).scatter(2, targets.unsqueeze(2), 0.7)
    reference = (q * (q.log() - log_p)).sum(2)
    ours = scriptable.kldiv_loss(log_p, targets, None, 0.3, reduction="none")
    torch.testing.assert_close(ours, reference, rtol=1e-12, atol=1e-12)


def test_distance_diff_gradient_is_finite_far_from_the_target() -> None:
    predictions = torch.full((1, 2000), 0.1)
    theirs = toolkits.speechbrain_losses().distance_diff_loss
    target = torch.tensor([0.5])
    assert math.isnan(gradient(lambda y: theirs(predictions, y), target))
    assert math.isfinite(gradient(lambda y: scriptable.distance_diff_loss(predictions, y), target))
    value = scriptable.distance_diff_loss(predictions, target)
    torch.testing.assert_close(value, theirs(predictions, target))


def test_reduce_loss_applies_its_mask() -> None:
    loss, mask = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    assert float(toolkits.speechbrain_losses().reduce_loss(loss, mask)) == 3.0
    assert float(scriptable.reduce_loss(loss, mask)) == 1.0


def test_a_masked_loss_leaves_the_tensors_of_the_user_alone() -> None:
    kept = torch.ones(1, 2)
    loss_fn = lambda predictions, targets: kept  # noqa: E731
    arguments = (torch.zeros(1, 2), torch.zeros(1, 2), torch.tensor([0.5]))
    scriptable.compute_masked_loss(loss_fn, *arguments)
    assert kept.tolist() == [[1.0, 1.0]]
    toolkits.speechbrain_losses().compute_masked_loss(loss_fn, *arguments)
    assert kept.tolist() == [[1.0, 0.0]]


def test_a_masked_loss_fills_padding_where_logarithms_and_quotients_are_finite() -> None:
    def loss_fn(predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions.log() / targets).sqrt()

    predictions, targets = torch.tensor([[2.0, NAN]]), torch.tensor([[1.0, 0.0]])
    length = torch.tensor([0.5])
    masked = lambda x: scriptable.compute_masked_loss(loss_fn, x, targets, length)  # noqa: E731
    assert float(masked(predictions)) == pytest.approx(math.sqrt(LOG_HALF))
    inside = lambda p, t: (p.square() / t).sum(2)  # noqa: E731
    slopes = gradient(
        lambda x: scriptable.compute_masked_loss(inside, x, x, length, mask_shape="predictions"),
        torch.tensor([[[2.0], [NAN]]]),
    )
    assert slopes.flatten().tolist() == [1.0, 0.0]


def test_a_masked_loss_tells_frames_from_classes_by_shape() -> None:
    length, nll = torch.tensor([2 / 3]), nn.NLLLoss(reduction="none")
    log_p = torch.randn(1, 4, 3).log_softmax(1)
    targets = torch.tensor([[0, 3, 2]])
    whole = scriptable.compute_masked_loss(nll, log_p, targets, length)
    torch.testing.assert_close(whole, nll(log_p, targets)[:, :2].mean())
    # With as many classes as frames nothing is selected, so no class is lost.
    log_p, targets = torch.randn(1, 3, 3).log_softmax(1), torch.tensor([[2, 2, 0]])
    square = scriptable.compute_masked_loss(nll, log_p, targets, length)
    torch.testing.assert_close(square, nll(log_p, targets)[:, :2].mean())


# Values that no graph can check


def test_whole_numbers_are_no_lengths() -> None:
    errors = torch.tensor([[1.0, 5.0, 7.0, 7.0]])
    theirs = toolkits.speechbrain_losses().mse_loss
    assert theirs(errors, 0 * errors, torch.tensor([2])) == 31.0
    assert bool(theirs(errors, 0 * errors, torch.tensor([-2.0])).isnan())
    for length in (torch.tensor([2]), torch.tensor([2.0]), torch.tensor([-2.0])):
        with pytest.raises(ValueError, match=r"length: expected relative lengths in \[0, 1\]"):
            scriptable.mse_loss(errors, 0 * errors, length)


def test_a_label_of_minus_100_is_no_class() -> None:
    log_probs, targets = log_halves(1, 2), torch.tensor([[1, -100]])
    theirs = toolkits.speechbrain_losses().nll_loss(log_probs, targets)
    assert theirs == pytest.approx(LOG_HALF / 2)
    with pytest.raises(ValueError, match=r"targets: expected classes in \[0, 1\], got -100"):
        scriptable.nll_loss(log_probs, targets)


def test_a_batch_without_items_costs_nothing() -> None:
    nothing = torch.zeros(0, 4)
    assert bool(toolkits.speechbrain_losses().mse_loss(nothing, nothing).isnan())
    assert scriptable.mse_loss(nothing, nothing) == 0.0


def test_smoothing_is_towards_one_half() -> None:
    logits, targets = torch.zeros(5), torch.ones(5)
    theirs = toolkits.speechbrain_losses().bce_loss(logits, targets, label_smoothing=0.5)
    assert theirs == pytest.approx(LOG_HALF / 2)
    ours = scriptable.bce_loss(logits, targets, label_smoothing=0.5)
    assert ours == pytest.approx(LOG_HALF)


def test_short_utterances_keep_their_frame_in_sequence_losses() -> None:
    log_probs, ones = log_halves(1, 1), torch.ones(1)
    short, targets = torch.tensor([0.45]), torch.tensor([[1]])
    speechbrain = toolkits.speechbrain_losses()
    assert speechbrain.ctc_loss(log_probs, targets, short, ones, 0) == 0.0
    assert scriptable.ctc_loss(log_probs, targets, short, ones, 0) == pytest.approx(LOG_HALF)
    frames = torch.ones(1, 1, 1)
    assert bool(speechbrain.nll_loss_kd(frames, frames, short).isnan())
    assert scriptable.nll_loss_kd(frames, frames, short) == -1.0


def test_a_negative_blank_is_an_error_of_the_peer() -> None:
    arguments = log_halves(1, 2), torch.tensor([[0]]), torch.ones(1), torch.ones(1), -1
    with pytest.raises(RuntimeError, match="blank must be in label range"):
        toolkits.speechbrain_losses().ctc_loss(*arguments)
    assert scriptable.ctc_loss(*arguments) == pytest.approx(-math.log(0.75))
