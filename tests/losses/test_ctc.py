"""CTC: torch's kernel and our recursion against the definition, and both against the peer."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_helpers import Sequences, ctc_by_enumeration, sequences, value_and_gradient
from toolkits import deviation, speechbrain_losses
from torch import Tensor

from export.backends import Source
from scriptable import CTCLoss, ctc_loss
from scriptable._core.reduction import REDUCTIONS, frame_counts
from scriptable.losses.sequence import ctc

INF = float("inf")
drawn = settings(deadline=None, max_examples=40)


def through_softmax(case: Sequences, reduction: str, logits: Tensor) -> Tensor:
    return ctc_loss(logits.log_softmax(-1), case.targets, *case.lengths, case.blank, reduction)


def by_recursion(case: Sequences, logits: Tensor) -> Tensor:
    """The form that is exported and traced."""
    frames = frame_counts(case.input_lens, logits.shape[1])
    counts = frame_counts(case.target_lens, case.targets.shape[1])
    return ctc._static(logits.log_softmax(-1), case.targets, frames, counts, case.blank)


def by_peer(case: Sequences, reduction: str, logits: Tensor) -> Tensor:
    log_probs = logits.log_softmax(-1)
    theirs = speechbrain_losses().ctc_loss
    return theirs(log_probs, case.targets, *case.lengths, case.blank, reduction)


@given(sequences(largest=4))
@drawn
def test_equals_the_sum_over_all_paths(case: Sequences) -> None:
    log_probs = case.logits.log_softmax(-1)
    want = [
        ctc_by_enumeration(log_probs[item, : case.frames(item)], case.labels(item), case.blank)
        for item in range(len(log_probs))
    ]
    reference = torch.tensor(want, dtype=torch.float64)
    assert deviation(through_softmax(case, "none", case.logits), reference) < 1e-10
    assert deviation(by_recursion(case, case.logits), reference) < 1e-10


@given(sequences())
@drawn
def test_the_recursion_equals_the_kernel_in_value_and_gradient(case: Sequences) -> None:
    value, gradient = value_and_gradient(partial(through_softmax, case, "none"), case.logits)
    static, static_gradient = value_and_gradient(partial(by_recursion, case), case.logits)
    assert deviation(static, value) < 1e-10
    assert deviation(static_gradient, gradient) < 1e-10


@given(
    sequences(smallest=1),
    st.sampled_from(REDUCTIONS),
    st.sampled_from([(torch.float64, 1e-10), (torch.float32, 1e-5)]),
)
@drawn
def test_equals_speechbrain(
    case: Sequences, reduction: str, precision: tuple[torch.dtype, float]
) -> None:
    dtype, tolerance = precision
    logits = case.logits.to(dtype)
    value, gradient = value_and_gradient(partial(through_softmax, case, reduction), logits)
    theirs, their_gradient = value_and_gradient(partial(by_peer, case, reduction), logits)
    assert value.dtype == dtype
    assert deviation(value, theirs) < tolerance
    assert deviation(gradient, their_gradient) < tolerance


@given(sequences(), st.sampled_from(["batch", "none"]))
@drawn
def test_a_batch_equals_its_items_and_the_module_the_function(
    case: Sequences, reduction: str
) -> None:
    whole = through_softmax(case, reduction, case.logits)
    log_probs = case.logits.log_softmax(-1)
    module = CTCLoss(case.blank, reduction)
    for item in range(len(log_probs)):
        only = [x[item : item + 1] for x in (log_probs, case.targets, *case.lengths)]
        assert deviation(module(*only), whole[item : item + 1]) < 1e-12


@given(sequences(), st.sampled_from([-1, 10**6, -(2**40)]))
@drawn
def test_labels_beyond_the_targets_are_never_read(case: Sequences, garbage: int) -> None:
    beyond = torch.arange(case.targets.shape[1]) >= torch.round(
        case.target_lens * case.targets.shape[1]
    ).unsqueeze(1)
    log_probs = case.logits.log_softmax(-1)
    dirty = case.targets.masked_fill(beyond, garbage)
    for module in (CTCLoss(case.blank), torch.jit.script(CTCLoss(case.blank))):
        clean = value_and_gradient(lambda x: module(x, case.targets, *case.lengths), log_probs)  # noqa: B023
        other = value_and_gradient(lambda x: module(x, dirty, *case.lengths), log_probs)  # noqa: B023
        assert all(map(torch.equal, clean, other))


@pytest.mark.parametrize("garbage", [float("nan"), INF, -INF])
def test_the_recursion_reads_no_frame_beyond_the_lengths(garbage: float) -> None:
    log_probs = torch.randn(2, 4, 3).log_softmax(-1)
    log_probs[0, 2:] = garbage
    log_probs[1] = garbage
    labels, counts = torch.tensor([[1, 2], [2, 1]]), torch.tensor([1, 2])
    value, gradient = value_and_gradient(
        lambda x: ctc._static(x, labels, torch.tensor([2, 0]), counts, 0), log_probs
    )
    assert bool(value.isfinite().all() & gradient.isfinite().all())
    assert value[1] == 0 and not gradient[1].any() and not gradient[0, 2:].any()


def test_what_no_alignment_fits_contributes_nothing() -> None:
    logits = torch.randn(4, 3, 4)
    targets = torch.tensor([[1, 1, 1], [1, 2, 3], [1, 2, 3], [1, 2, 3]])
    ones = torch.ones(4)
    case = Sequences(logits, targets, torch.tensor([1, 1 / 3, 0, 1]), ones, 0)
    for loss in (partial(through_softmax, case, "none"), partial(by_recursion, case)):
        value, gradient = value_and_gradient(loss, logits)
        assert not value[:3].any() and not gradient[:3].any()
        assert value[3] > 0 and bool(gradient[3].any())
    assert float(through_softmax(case, "mean", logits)) == pytest.approx(float(value[3]) / 12)


def test_no_frames_and_no_labels_is_certain() -> None:
    nothing = Sequences(
        torch.randn(1, 3, 4), torch.tensor([[1]]), torch.zeros(1), torch.zeros(1), 0
    )
    for reduction in REDUCTIONS:
        value, gradient = value_and_gradient(
            partial(through_softmax, nothing, reduction), nothing.logits
        )
        assert not value.any() and not gradient.any()
    assert not by_recursion(nothing, nothing.logits).any()


def test_an_empty_target_tensor_scores_the_blanks() -> None:
    log_probs = torch.randn(2, 5, 3, dtype=torch.float64).log_softmax(-1)
    empty, ones = torch.zeros(2, 0, dtype=torch.long), torch.ones(2)
    want = -log_probs[:, :, 1].sum(1)
    torch.testing.assert_close(ctc_loss(log_probs, empty, ones, ones, 1, "none"), want)
    static = ctc._static(log_probs, empty, torch.tensor([5, 5]), torch.tensor([0, 0]), 1)
    torch.testing.assert_close(static, want)


def test_a_class_that_is_ruled_out_gets_no_gradient_where_the_peer_gives_nan() -> None:
    logits = torch.randn(1, 4, 4, dtype=torch.float64)
    logits[:, :, 3] = -INF
    case = Sequences(logits, torch.tensor([[1, 2]]), torch.ones(1), torch.ones(1), 0)
    value, gradient = value_and_gradient(partial(through_softmax, case, "mean"), logits)
    theirs, their_gradient = value_and_gradient(partial(by_peer, case, "mean"), logits)
    torch.testing.assert_close(value, theirs)
    assert bool(their_gradient.isnan().all())
    without, expected = value_and_gradient(partial(through_softmax, case, "mean"), logits[:, :, :3])
    torch.testing.assert_close(value, without)
    torch.testing.assert_close(gradient[:, :, :3], expected)
    assert not gradient[:, :, 3].any()
    torch.testing.assert_close(by_recursion(case, logits)[0] / 2, value)


def test_half_frames_are_rounded_up_where_the_peer_rounds_to_even() -> None:
    log_probs = torch.tensor([0.75, 0.25], dtype=torch.float64).log().repeat(1, 5, 1)
    arguments = (torch.tensor([[1]]), torch.tensor([0.5]), torch.ones(1), 0)
    ours, theirs = (
        ctc_loss(log_probs, *arguments),
        speechbrain_losses().ctc_loss(log_probs, *arguments),
    )
    # One run of the label in three frames, (27 + 6 + 1)/64; in two, (6 + 1)/16.
    assert float(ours) == pytest.approx(-torch.tensor(34 / 64).log().item())
    assert float(theirs) == pytest.approx(-torch.tensor(7 / 16).log().item())
    assert frame_counts(torch.tensor([0.54]), 100).item() == 54


def test_batch_without_labels_is_finite_where_the_peer_is_not() -> None:
    log_probs = torch.full((1, 2, 2), 0.5).log()
    arguments = (torch.tensor([[1]]), torch.ones(1), torch.zeros(1), 0, "batch")
    assert ctc_loss(log_probs, *arguments).item() == pytest.approx(1.386294)
    assert speechbrain_losses().ctc_loss(log_probs, *arguments).item() == INF


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_accumulated_in_float32(dtype: torch.dtype) -> None:
    log_probs = (20 * torch.randn(2, 50, 6)).log_softmax(-1).to(dtype)
    rest = (torch.randint(1, 6, (2, 9)), torch.ones(2), torch.ones(2), 0)
    value, gradient = value_and_gradient(lambda x: ctc_loss(x, *rest), log_probs)
    assert value.dtype == torch.float32 and gradient.dtype == dtype
    torch.testing.assert_close(value, ctc_loss(log_probs.float(), *rest))
    assert bool(gradient.isfinite().all())


def test_extreme_logits_stay_finite() -> None:
    logits = 1e4 * torch.sign(torch.randn(3, 20, 5))
    case = Sequences(logits, torch.randint(1, 5, (3, 6)), torch.ones(3), torch.ones(3), 0)
    for loss in (partial(through_softmax, case, "none"), partial(by_recursion, case)):
        for result in value_and_gradient(loss, logits):
            assert bool(result.isfinite().all())


def test_nan_in_a_valid_frame_is_not_hidden() -> None:
    log_probs = torch.randn(1, 4, 3).log_softmax(-1)
    log_probs[0, 1] = float("nan")
    value = ctc._static(log_probs, torch.tensor([[1]]), torch.tensor([4]), torch.tensor([1]), 0)
    assert bool(value.isnan().all())


def test_the_exported_program_does_not_grow_with_the_number_of_frames() -> None:
    def nodes(frames: int) -> int:
        ones = torch.ones(2)
        inputs = (torch.randn(2, frames, 4), torch.ones(2, 3, dtype=torch.long), ones, ones)
        graph = Source(CTCLoss(0), {"forward": inputs}).exported("forward").graph
        return len(graph.nodes)

    assert nodes(10) == nodes(300)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_probs": torch.zeros(2, 4)}, r"log_probs: expected shape \[B, T, C\], got \[2, 4\]"),
        ({"targets": torch.zeros(3, 2).long()}, r"targets: expected shape \[2, 2\], got \[3, 2\]"),
        ({"targets": torch.zeros(2, 2)}, r"targets: expected an integer dtype, got torch.float32"),
        ({"input_lens": torch.ones(2, 1)}, r"input_lens: expected shape \[2\], got \[2, 1\]"),
        ({"target_lens": torch.ones(3)}, r"target_lens: expected shape \[2\], got \[3\]"),
        ({"blank_index": 3}, r"blank_index: expected a label in \[-3, 2\], got 3"),
        ({"blank_index": -4}, r"blank_index: expected a label in \[-3, 2\], got -4"),
        ({"reduction": "avg"}, r"reduction: expected one of .*, got avg"),
    ],
)
def test_errors_name_the_argument_and_the_shape(change: dict, message: str) -> None:
    good = {
        "log_probs": torch.zeros(2, 4, 3),
        "targets": torch.ones(2, 2, dtype=torch.long),
        "input_lens": torch.ones(2),
        "target_lens": torch.ones(2),
        "blank_index": 0,
    }
    ctc_loss(**good)
    with pytest.raises(ValueError, match=message):
        ctc_loss(**{**good, **change})
