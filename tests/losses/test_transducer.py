"""The transducer loss against its definition, a recursion in NumPy, and torchaudio."""

import importlib.util
import json
import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sequence_helpers import (
    Sequences,
    sequences,
    transducer_by_enumeration,
    value_and_gradient,
)
from toolkits import deviation, imported, speechbrain_losses
from torch import Tensor

from export.backends import Source
from scriptable import TransducerLoss, transducer_loss
from scriptable._core.reduction import REDUCTIONS, frame_counts
from scriptable.losses.sequence import transducer

NAN, INF = float("nan"), float("inf")
drawn = settings(deadline=None, max_examples=40)


def ours(case: Sequences, reduction: str, logits: Tensor) -> Tensor:
    return transducer_loss(logits, case.targets, *case.lengths, case.blank, reduction)


def by_recursion(case: Sequences, logits: Tensor) -> Tensor:
    """The form that is exported and traced."""
    frames = frame_counts(case.input_lens, logits.shape[1])
    counts = frame_counts(case.target_lens, case.targets.shape[1])
    return transducer._static(logits, case.targets, frames, counts, case.blank)


def by_scripted(case: Sequences, logits: Tensor) -> Tensor:
    frames = frame_counts(case.input_lens, logits.shape[1])
    counts = frame_counts(case.target_lens, case.targets.shape[1])
    return transducer._scripted(logits, case.targets, frames, counts, case.blank)


def by_torchaudio(case: Sequences, reduction: str, logits: Tensor) -> Tensor:
    counts = frame_counts(case.target_lens, case.targets.shape[1]).int()
    frames = frame_counts(case.input_lens, logits.shape[1]).int()
    rnnt_loss = imported("torchaudio.functional").rnnt_loss
    # It refuses a batch whose longest item is padded, too.
    logits = logits[:, : frames.max(), : counts.max() + 1].contiguous()
    targets = case.targets[:, : counts.max()].int().contiguous()
    return rnnt_loss(logits, targets, frames, counts, blank=case.blank, reduction=reduction)


def by_numpy(case: Sequences, item: int) -> tuple[float, np.ndarray]:
    """Loss and gradient of one item, node by node."""
    logits = case.logits[item].numpy()
    labels, frames, blank = case.labels(item), case.frames(item), case.blank
    size = len(labels)
    gradient = np.zeros_like(logits)
    if frames == 0:
        return 0.0, gradient
    log_p = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
    alpha = np.full((frames + 1, size + 1), -np.inf)
    beta = np.full((frames + 1, size + 2), -np.inf)
    alpha[0, 0] = beta[frames, size] = 0.0
    for t in range(frames):
        for u in range(size + 1):
            if t:
                alpha[t, u] = np.logaddexp(alpha[t, u], alpha[t - 1, u] + log_p[t - 1, u, blank])
            if u:
                step = alpha[t, u - 1] + log_p[t, u - 1, labels[u - 1]]
                alpha[t, u] = np.logaddexp(alpha[t, u], step)
    for t in reversed(range(frames)):
        for u in reversed(range(size + 1)):
            beta[t, u] = beta[t + 1, u] + log_p[t, u, blank]
            if u < size:
                beta[t, u] = np.logaddexp(beta[t, u], beta[t, u + 1] + log_p[t, u, labels[u]])
    for t in range(frames):
        for u in range(size + 1):
            share = alpha[t, u] - beta[0, 0]
            gradient[t, u] = np.exp(share + beta[t, u] + log_p[t, u])
            gradient[t, u, blank] -= np.exp(share + beta[t + 1, u] + log_p[t, u, blank])
            if u < size:
                moved = share + beta[t, u + 1] + log_p[t, u, labels[u]]
                gradient[t, u, labels[u]] -= np.exp(moved)
    return -float(beta[0, 0]), gradient


@given(sequences(lattice=True, largest=4))
@drawn
def test_equals_the_sum_over_all_alignments(case: Sequences) -> None:
    log_probs = case.logits.log_softmax(-1)
    want = [
        transducer_by_enumeration(
            log_probs[item, : case.frames(item)], case.labels(item), case.blank
        )
        for item in range(len(log_probs))
    ]
    reference = torch.tensor(want, dtype=torch.float64)
    assert deviation(ours(case, "none", case.logits), reference) < 1e-10
    assert deviation(by_recursion(case, case.logits), reference) < 1e-10


@given(sequences(lattice=True, largest=10))
@drawn
def test_equals_the_numpy_recursion_in_value_and_gradient(case: Sequences) -> None:
    items = [by_numpy(case, item) for item in range(len(case.logits))]
    want = torch.tensor([value for value, _ in items], dtype=torch.float64)
    weight = torch.arange(1, len(items) + 1, dtype=torch.float64).reshape(-1, 1, 1, 1)
    want_gradient = weight * torch.stack([torch.from_numpy(gradient) for _, gradient in items])
    for loss in (
        partial(ours, case, "none"),
        partial(by_recursion, case),
        partial(by_scripted, case),
    ):
        value, gradient = value_and_gradient(loss, case.logits)
        assert deviation(value, want) < 1e-10
        assert deviation(gradient, want_gradient) < 1e-10


@given(
    sequences(lattice=True, largest=10, smallest=1, scales=(0.1, 1.0)),
    st.sampled_from(["mean", "sum", "none"]),
)
@drawn
def test_equals_torchaudio_in_float32(case: Sequences, reduction: str) -> None:
    logits = case.logits.float()
    value, gradient = value_and_gradient(partial(ours, case, reduction), logits)
    theirs, their_gradient = value_and_gradient(partial(by_torchaudio, case, reduction), logits)
    assert value.dtype == torch.float32
    assert deviation(value, theirs) < 1e-5
    assert deviation(gradient, their_gradient) < 1e-5


def test_keeps_the_precision_that_torchaudio_loses() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = (10 * torch.randn(4, 60, 13, 20, generator=generator)).requires_grad_()
    targets = torch.randint(1, 20, (4, 12), generator=generator)
    case = Sequences(logits, targets, torch.ones(4), torch.ones(4), 0)
    _, exact = value_and_gradient(partial(ours, case, "none"), logits.double())
    _, gradient = value_and_gradient(partial(ours, case, "none"), logits)
    _, theirs = value_and_gradient(partial(by_torchaudio, case, "none"), logits)
    assert deviation(gradient, exact) < 1e-5
    assert 2e-5 < deviation(theirs, exact) < 1e-2


@given(sequences(lattice=True))
@drawn
def test_reductions_follow_from_the_items(case: Sequences) -> None:
    items = ours(case, "none", case.logits)
    want = {"mean": items.mean(), "batchmean": items.mean(), "sum": items.sum(), "batch": items}
    for reduction, value in want.items():
        torch.testing.assert_close(ours(case, reduction, case.logits), value)
        module = TransducerLoss(case.blank, reduction, use_torchaudio=False)
        torch.testing.assert_close(module(case.logits, case.targets, *case.lengths), value)
    for item in range(len(items)):
        only = [x[item : item + 1] for x in (case.logits, case.targets, *case.lengths)]
        torch.testing.assert_close(transducer_loss(*only, case.blank, "sum"), items[item])


def test_use_torchaudio_changes_nothing() -> None:
    logits, targets, ones = (
        torch.randn(2, 5, 4, 6),
        torch.ones(2, 3, dtype=torch.long),
        torch.ones(2),
    )
    with_it = transducer_loss(logits, targets, ones, ones, 0, "mean", True)
    assert torch.equal(with_it, transducer_loss(logits, targets, ones, ones, 0, "mean", False))


@given(sequences(lattice=True), st.sampled_from([NAN, INF, -INF]), st.sampled_from([-1, 10**6]))
@drawn
def test_nothing_beyond_the_lengths_is_read(case: Sequences, garbage: float, label: int) -> None:
    frames = frame_counts(case.input_lens, case.logits.shape[1])
    counts = frame_counts(case.target_lens, case.targets.shape[1])
    beyond_frames = torch.arange(case.logits.shape[1]) >= frames.unsqueeze(1)
    beyond_labels = torch.arange(case.logits.shape[2]) > counts.unsqueeze(1)
    outside = beyond_frames.unsqueeze(2) | beyond_labels.unsqueeze(1)
    dirty = case.logits.masked_fill(outside.unsqueeze(3), garbage)
    targets = case.targets.masked_fill(beyond_labels[:, 1:], label)
    dirty_case = Sequences(dirty, targets, *case.lengths, case.blank)
    want = value_and_gradient(partial(ours, case, "none"), case.logits)
    assert all(map(torch.equal, value_and_gradient(partial(ours, dirty_case, "none"), dirty), want))
    module = torch.jit.script(TransducerLoss(case.blank, "none"))
    value, gradient = value_and_gradient(lambda x: module(x, targets, *case.lengths), dirty)
    torch.testing.assert_close((value, gradient), want)
    value, gradient = value_and_gradient(
        partial(by_recursion, Sequences(dirty, case.targets, *case.lengths, case.blank)), dirty
    )
    torch.testing.assert_close((value, gradient), want)


def test_no_frames_contribute_nothing() -> None:
    logits = torch.randn(2, 3, 3, 4)
    case = Sequences(logits, torch.ones(2, 2).long(), torch.tensor([0.0, 1.0]), torch.ones(2), 0)
    for reduction in REDUCTIONS:
        value, gradient = value_and_gradient(partial(ours, case, reduction), logits)
        assert bool(value.isfinite().all()) and not gradient[0].any() and bool(gradient[1].any())
    assert ours(case, "none", logits)[0] == 0 and by_recursion(case, logits)[0] == 0


@pytest.mark.parametrize(("steps", "size"), [(1, 0), (1, 3), (4, 0)])
def test_the_smallest_lattices(steps: int, size: int) -> None:
    logits = torch.randn(2, steps, size + 1, 4, dtype=torch.float64)
    ones = torch.ones(2)
    case = Sequences(logits, torch.ones(2, size, dtype=torch.long), ones, ones, 0)
    want = [transducer_by_enumeration(x.log_softmax(-1), [1] * size, 0) for x in logits]
    reference = torch.tensor(want, dtype=torch.float64)
    torch.testing.assert_close(ours(case, "none", logits), reference)
    torch.testing.assert_close(by_recursion(case, logits), reference)


def test_extreme_and_ruled_out_logits_stay_finite() -> None:
    logits = 1e4 * torch.sign(torch.randn(2, 6, 4, 5))
    logits[..., 4] = -INF
    case = Sequences(logits, torch.randint(1, 4, (2, 3)), torch.ones(2), torch.ones(2), 0)
    for loss in (
        partial(ours, case, "none"),
        partial(by_recursion, case),
        partial(by_scripted, case),
    ):
        for result in value_and_gradient(loss, logits):
            assert bool(result.isfinite().all())


def test_labels_that_are_ruled_out_contribute_nothing() -> None:
    logits = torch.randn(1, 4, 2, 3)
    logits[..., 1] = -INF
    case = Sequences(logits, torch.tensor([[1]]), torch.ones(1), torch.ones(1), 0)
    for loss in (
        partial(ours, case, "sum"),
        partial(by_recursion, case),
        partial(by_scripted, case),
    ):
        value, gradient = value_and_gradient(loss, logits)
        assert not value.any() and not gradient.any()


def test_nan_in_a_valid_frame_is_not_hidden() -> None:
    logits = torch.randn(1, 4, 2, 3)
    logits[0, 1, 1, 2] = NAN
    case = Sequences(logits, torch.tensor([[1]]), torch.ones(1), torch.ones(1), 0)
    for loss in (
        partial(ours, case, "sum"),
        partial(by_recursion, case),
        partial(by_scripted, case),
    ):
        assert bool(loss(logits).isnan().all())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_accumulated_in_float32(dtype: torch.dtype) -> None:
    logits = (10 * torch.randn(2, 40, 6, 7)).to(dtype)
    case = Sequences(logits, torch.randint(1, 7, (2, 5)), torch.ones(2), torch.ones(2), 0)
    value, gradient = value_and_gradient(partial(ours, case, "mean"), logits)
    assert value.dtype == torch.float32 and gradient.dtype == dtype
    torch.testing.assert_close(value, ours(case, "mean", logits.float()))


def test_second_derivatives_are_refused() -> None:
    logits = torch.randn(1, 3, 2, 3, requires_grad=True)
    loss = transducer_loss(logits, torch.tensor([[1]]), torch.ones(1), torch.ones(1), 0)
    (gradient,) = torch.autograd.grad(loss.square(), logits, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_half_frames_are_rounded_up() -> None:
    """The peers that take relative lengths round 2.5 frames to 2."""
    logits = torch.zeros(1, 5, 1, 2)
    arguments = (torch.zeros(1, 0, dtype=torch.long), torch.tensor([0.5]), torch.ones(1), 0)
    assert transducer_loss(logits, *arguments).item() == pytest.approx(3 * 0.6931472)
    assert (torch.tensor([0.5]) * 5).round().item() == 2


def test_needs_no_numba_where_the_peer_does() -> None:
    losses = speechbrain_losses()
    arguments = (torch.zeros(1, 2, 2, 2), torch.tensor([[1]]), torch.ones(1), torch.ones(1), 0)
    assert transducer_loss(*arguments).item() == pytest.approx(1.3862944)
    try:
        import numba  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"[Nn]umba"):
            losses.transducer_loss(*arguments)


FLAT = torch.zeros(2, 4, 3, 5)
PADDED = (
    torch.tensor([[1, 2], [3, 0]]),
    torch.tensor([1.0, 0.5]),
    torch.tensor([1.0, 0.5]),
    0,
)


def test_the_loss_is_per_item_and_its_gradient_is_its_own() -> None:
    """SpeechBrain 1.1.2 divides an item's loss, but not its gradient, by its frames: 4 and 2."""
    items = transducer_loss(FLAT, *PADDED, "none")
    # Ten and two alignments of 4 + 2 and 2 + 1 steps, each step of probability 1/5.
    expected = [6 * math.log(5) - math.log(10), 3 * math.log(5) - math.log(2)]
    assert items.tolist() == pytest.approx(expected)
    assert items.tolist() == pytest.approx([7.3540, 4.1352], abs=1e-4)
    theirs = sum(x / frames for x, frames in zip(expected, (4, 2), strict=True)) / 2
    ours = float(transducer_loss(FLAT, *PADDED, "mean"))
    assert (ours, theirs) == pytest.approx((5.7446, 1.9530), abs=1e-4)
    slopes = {}
    for reduction in ("mean", "sum"):
        leaf = FLAT.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(transducer_loss(leaf, *PADDED, reduction), leaf)
        slopes[reduction] = float(gradient.norm())
    assert slopes == pytest.approx({"mean": 0.9445, "sum": 1.8889}, abs=1e-4)


def test_what_speechbrain_gives_for_the_same() -> None:
    """Its ``mean`` has our value over the frames, and the gradient of our sum."""
    for package in ("numba", "speechbrain"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install {package}")
    script = Path(__file__).parent / "transducer_in_numba.py"
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    theirs = json.loads(run.stdout.splitlines()[-1])
    assert theirs["none"]["value"] == pytest.approx([7.3540 / 4, 4.1352 / 2], abs=1e-4)
    assert theirs["mean"]["value"] == pytest.approx(1.9530, abs=1e-4)
    leaf = FLAT.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(transducer_loss(leaf, *PADDED, "sum"), leaf)
    for reduction in ("mean", "sum", "none"):
        assert theirs[reduction]["gradient"] == pytest.approx(
            gradient.reshape(-1).tolist(), abs=1e-6
        )


def test_the_exported_program_does_not_grow_with_the_number_of_frames() -> None:
    def nodes(frames: int) -> int:
        ones = torch.ones(2)
        inputs = (torch.randn(2, frames, 4, 5), torch.ones(2, 3, dtype=torch.long), ones, ones)
        graph = Source(TransducerLoss(0), {"forward": inputs}).exported("forward").graph
        return len(graph.nodes)

    assert nodes(10) == nodes(200)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(2, 4, 3)}, r"logits: expected shape \[B, T, S \+ 1, C\], got"),
        ({"logits": torch.zeros(2, 4, 2, 3)}, r"logits: expected shape \[B, T, 3, C\], got"),
        ({"targets": torch.zeros(2, 2)}, r"targets: expected an integer dtype, got torch.float32"),
        ({"input_lens": torch.ones(2, 1)}, r"input_lens: expected shape \[2\], got \[2, 1\]"),
        ({"blank_index": 3}, r"blank_index: expected a label in \[-3, 2\], got 3"),
        ({"reduction": "avg"}, r"reduction: expected one of .*, got avg"),
    ],
)
def test_errors_name_the_argument_and_the_shape(change: dict, message: str) -> None:
    good = {
        "logits": torch.zeros(2, 4, 3, 3),
        "targets": torch.ones(2, 2, dtype=torch.long),
        "input_lens": torch.ones(2),
        "target_lens": torch.ones(2),
        "blank_index": 0,
    }
    transducer_loss(**good)
    with pytest.raises(ValueError, match=message):
        transducer_loss(**{**good, **change})
