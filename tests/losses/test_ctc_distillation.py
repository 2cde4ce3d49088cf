"""CTC distillation: the collapse by tensor operations against the one by lists."""

import pytest
import torch
from hypothesis import given, settings
from sequence_helpers import Sequences, collapse, sequences, value_and_gradient
from toolkits import deviation, speechbrain_losses
from torch import Tensor

from scriptable import CTCLossKD, ctc_loss, ctc_loss_kd
from scriptable._core.reduction import frame_counts
from scriptable.losses.sequence.ctc_distillation import _best_path

drawn = settings(deadline=None, max_examples=40)


def teacher_of(case: Sequences) -> Tensor:
    return 3 * torch.randn_like(case.logits)


@given(sequences(largest=16))
@drawn
def test_the_best_path_is_collapsed_as_lists_are(case: Sequences) -> None:
    teacher = teacher_of(case)
    frames = frame_counts(case.input_lens, teacher.shape[1])
    labels, counts = _best_path(teacher, frames, case.blank)
    for item, best in enumerate(teacher.argmax(-1).tolist()):
        want = collapse(best[: case.frames(item)], case.blank)
        assert labels[item, : counts[item]].tolist() == want


@given(sequences(largest=10, smallest=1))
@drawn
def test_equals_speechbrain_in_value_and_gradient(case: Sequences) -> None:
    teacher = teacher_of(case)

    def ours(logits: Tensor) -> Tensor:
        log_probs = logits.log_softmax(-1)
        return ctc_loss_kd(log_probs, teacher, case.input_lens, case.blank, "cpu")

    def theirs(logits: Tensor) -> Tensor:
        log_probs = logits.log_softmax(-1)
        theirs_kd = speechbrain_losses().ctc_loss_kd
        return theirs_kd(log_probs, teacher, case.input_lens, case.blank, "cpu")

    for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        logits = case.logits.to(dtype)
        for result, reference in zip(
            value_and_gradient(ours, logits), value_and_gradient(theirs, logits), strict=True
        ):
            assert deviation(result, reference) < tolerance


@given(sequences())
@drawn
def test_equals_ctc_on_the_collapsed_labels(case: Sequences) -> None:
    teacher, log_probs = teacher_of(case), case.logits.log_softmax(-1)
    frames = frame_counts(case.input_lens, teacher.shape[1])
    labels, counts = _best_path(teacher, frames, case.blank)
    relative = counts.double() / labels.shape[1]
    want = ctc_loss(log_probs, labels, case.input_lens, relative, case.blank)
    assert deviation(CTCLossKD(case.blank)(log_probs, teacher, case.input_lens), want) < 1e-12


def test_a_teacher_that_says_nothing_scores_the_blanks() -> None:
    log_probs = torch.full((1, 3, 2), 0.5).log()
    teacher = torch.tensor([1.0, 0.0]).expand(1, 3, 2)
    arguments = (log_probs, teacher, torch.ones(1), 0, "cpu")
    assert ctc_loss_kd(*arguments).item() == pytest.approx(2.0794415)
    assert speechbrain_losses().ctc_loss_kd(*arguments).item() == pytest.approx(2.0794415)


def test_the_teacher_takes_no_gradient() -> None:
    student = torch.randn(2, 5, 4, requires_grad=True)
    teacher = torch.randn(2, 5, 4, requires_grad=True)
    ctc_loss_kd(student.log_softmax(-1), teacher, torch.ones(2), 0, "cpu").backward()
    assert teacher.grad is None and student.grad is not None


@pytest.mark.parametrize(
    ("teacher", "lengths", "message"),
    [
        (torch.zeros(2, 4, 4), torch.ones(2), r"targets: expected shape \[2, 4, 3\], got"),
        (torch.zeros(2, 4, 3), torch.ones(3), r"input_lens: expected shape \[2\], got \[3\]"),
    ],
)
def test_errors(teacher: Tensor, lengths: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ctc_loss_kd(torch.zeros(2, 4, 3), teacher, lengths, 0, "cpu")
