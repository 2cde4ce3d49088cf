"""Relative lengths: one frame at least, and nothing but relative lengths, in every loss."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import scriptable
from scriptable._core.reduction import frame_counts

LENGTH = torch.tensor([1.0, 0.6, 0.45, 0.3])
_HALF = torch.full((4,), 0.3)


def _x(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def _log_probs(*shape: int) -> Tensor:
    return _x(*shape).log_softmax(-1)


_CLASSES = torch.tensor([[3], [1], [4], [1]])
_AE = scriptable.AutoencoderOutput(_x(4, 1, 5), _x(4, 1, 5), LENGTH)
_VAE = scriptable.VariationalAutoencoderOutput(*[_x(4, 1, 5)] * 5, LENGTH)

# Every loss with lengths, on utterances of one frame: the loss of each item.
ITEMS: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda n: scriptable.l1_loss(_x(4, 1, 5), torch.zeros(4, 1, 5), n, reduction="batch"),
    "mse": lambda n: scriptable.mse_loss(_x(4, 1, 5), torch.zeros(4, 1, 5), n, reduction="batch"),
    "distance": lambda n: scriptable.distance_diff_loss(
        torch.ones(4, 1), torch.full((4,), 2.0), n, reduction="batch"
    ),
    "bce": lambda n: scriptable.bce_loss(_x(4, 1), torch.ones(4, 1), n, reduction="batch"),
    "nll": lambda n: scriptable.nll_loss(_log_probs(4, 1, 10), _CLASSES, n, reduction="batch"),
    "kldiv": lambda n: scriptable.kldiv_loss(_log_probs(4, 1, 10), _CLASSES, n, reduction="batch"),
    "error": lambda n: scriptable.classification_error(
        torch.zeros(4, 1, 10), _CLASSES, n, reduction="batch"
    ),
    "masked": lambda n: scriptable.compute_masked_loss(
        nn.MSELoss(reduction="none"), _x(4, 1, 5), torch.zeros(4, 1, 5), n, reduction="batch"
    ),
    "mask": lambda n: scriptable.compute_length_mask(torch.ones(4, 1), n).squeeze(1),
    "autoencoder": lambda n: scriptable.AutoencoderLoss()(
        _AE, torch.zeros(4, 1, 5), n, reduction="batch"
    ),
    "vae": lambda n: scriptable.VariationalAutoencoderLoss()(
        _VAE, torch.zeros(4, 1, 5), n, reduction="batch"
    ),
    "laplacian": lambda n: (
        -scriptable.LaplacianVarianceLoss(1)(2.0 * _x(4, 1, 8), n, reduction="batch") + 1.0
    ),
    "ctc": lambda n: scriptable.ctc_loss(_log_probs(4, 1, 10), _CLASSES, n, n, 0, "batch"),
    "transducer": lambda n: scriptable.transducer_loss(_x(4, 1, 2, 10), _CLASSES, n, n, 0, "batch"),
}

# The ones that have a single number, which is the same when no item is dropped.
MEANS: dict[str, Callable[[Tensor], Tensor]] = {
    "nll_kd": lambda n: scriptable.nll_loss_kd(_x(4, 1, 5), torch.ones(4, 1, 5), n),
    "ctc_kd": lambda n: scriptable.ctc_loss_kd(_log_probs(4, 1, 10), _x(4, 1, 10), n, 0, "cpu"),
    "wrapper": lambda n: scriptable.LogSoftmaxWrapper(nn.Identity())(_x(4, 1, 10), _CLASSES, n),
}


def test_short_utterances_of_a_speaker_recipe_have_a_loss() -> None:
    log_probs = _log_probs(4, 1, 10).requires_grad_()
    losses = scriptable.nll_loss(log_probs, _CLASSES, LENGTH, reduction="batch")
    expected = -log_probs.detach()[torch.arange(4), 0, _CLASSES[:, 0]]
    torch.testing.assert_close(losses, expected)
    assert bool((losses > 0).all())
    losses.sum().backward()
    assert bool((log_probs.grad.abs().sum((1, 2)) == 1).all())


def test_no_short_utterance_is_right_by_being_short() -> None:
    wrong = scriptable.classification_error(torch.zeros(4, 1, 10), _CLASSES, LENGTH)
    assert wrong == 1.0


@pytest.mark.parametrize("name", ITEMS)
def test_a_positive_length_has_a_frame(name: str) -> None:
    whole = ITEMS[name](torch.ones(4))
    assert bool((whole != 0).all())
    torch.testing.assert_close(ITEMS[name](LENGTH), whole)
    torch.testing.assert_close(ITEMS[name](torch.full((4,), 1e-6)), whole)


@pytest.mark.parametrize("name", MEANS)
def test_a_positive_length_counts_in_the_mean(name: str) -> None:
    whole = MEANS[name](torch.ones(4))
    torch.testing.assert_close(MEANS[name](LENGTH), whole)
    first = MEANS[name](torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert not torch.allclose(first, whole)


def test_frames_are_rounded_half_up_and_one_at_least() -> None:
    length = torch.tensor([0.0, 1e-9, 0.04, 0.149, 0.15, 0.95, 1.0])
    assert frame_counts(length, 10).tolist() == [0, 1, 1, 1, 2, 10, 10]
    assert frame_counts(length, 1).tolist() == [0, 1, 1, 1, 1, 1, 1]
    assert frame_counts(length, 0).tolist() == [0] * 7


@pytest.mark.parametrize("name", [*ITEMS, *MEANS])
@pytest.mark.parametrize(
    "length", [torch.tensor([1, 1, 1, 1]), torch.ones(4, dtype=torch.bool)], ids=["int", "bool"]
)
def test_whole_numbers_are_refused_by_their_dtype(name: str, length: Tensor) -> None:
    with pytest.raises(
        ValueError, match=r"len\w*: expected relative lengths in \[0, 1\] of a floating-point dtype"
    ):
        {**ITEMS, **MEANS}[name](length)


@pytest.mark.parametrize("name", [*ITEMS, *MEANS])
@pytest.mark.parametrize("wrong", [2.0, -0.1, float("nan"), 16000.0])
def test_values_outside_the_range_are_refused(name: str, wrong: float) -> None:
    length = torch.tensor([1.0, wrong, 0.5, 1.0])
    with pytest.raises(
        ValueError, match=rf"len\w*: expected relative lengths in \[0, 1\], got {wrong:.1f}"
    ):
        {**ITEMS, **MEANS}[name](length)


def test_a_length_rounded_above_one_is_no_error() -> None:
    length = torch.tensor([1.0 + 1e-6, 1.0 + 1e-3])
    assert frame_counts(length, 100).tolist() == [100, 100]


_MODULES: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
    "l1": (scriptable.L1Loss(), (_x(4, 6), _x(4, 6))),
    "mse": (scriptable.MSELoss(), (_x(4, 6), _x(4, 6))),
    "distance": (scriptable.DistanceDiffLoss(), (_x(4, 6), torch.ones(4))),
    "bce": (scriptable.BCELoss(), (_x(4, 6), torch.ones(4, 6))),
    "nll": (scriptable.NLLLoss(), (_log_probs(4, 6, 3), torch.ones(4, 6).long())),
    "kldiv": (scriptable.KLDivLoss(), (_log_probs(4, 6, 3), torch.ones(4, 6).long())),
    "error": (scriptable.ClassificationError(), (_x(4, 6, 3), torch.ones(4, 6).long())),
    "masked": (scriptable.MaskedLoss(nn.MSELoss(reduction="none")), (_x(4, 6), _x(4, 6))),
    "nll_kd": (scriptable.NLLLossKD(), (_x(4, 6, 3), _x(4, 6, 3))),
    "ctc_kd": (scriptable.CTCLossKD(0), (_log_probs(4, 6, 3), _x(4, 6, 3))),
    "wrapper": (
        scriptable.LogSoftmaxWrapper(scriptable.AngularMargin()),
        (_x(4, 6, 3), torch.ones(4, 6).long()),
    ),
    "laplacian": (scriptable.LaplacianVarianceLoss(), (_x(4, 6, 6),)),
}


@pytest.mark.parametrize("name", _MODULES)
def test_scripted_losses_refuse_what_eager_ones_refuse(name: str) -> None:
    module, inputs = _MODULES[name]
    scripted = torch.jit.script(module)
    torch.testing.assert_close(scripted(*inputs, LENGTH), module(*inputs, LENGTH))
    with pytest.raises(torch.jit.Error, match=r"relative lengths in .* of a floating-point dtype"):
        scripted(*inputs, torch.tensor([6, 3, 2, 1]))
    with pytest.raises(torch.jit.Error, match=r"relative lengths in \[0, 1\], got"):
        scripted(*inputs, torch.tensor([6.0, 3.0, 2.0, 1.0]))


def test_the_mask_of_samples_takes_whole_numbers_alone() -> None:
    with pytest.raises(ValueError, match="source_lengths: expected numbers of samples"):
        scriptable.get_mask(torch.zeros(4, 2, 1), torch.tensor([0.5, 1.0]))


def test_the_host_can_check_lengths_itself() -> None:
    scriptable.check_lengths(torch.tensor([0.0, 1.0]))
    for wrong, message in (
        (
            torch.tensor([1, 1]),
            "input_lens: expected relative lengths in [0, 1] of a floating-point",
        ),
        (torch.tensor([1.0, 1.5]), "input_lens: expected relative lengths in [0, 1], got 1.5 at"),
        (torch.tensor([1.0, -1.0]), "got -1.0 at item 1"),
        (torch.tensor([float("nan")]), "got nan at item 0"),
    ):
        with pytest.raises(ValueError) as caught:
            scriptable.check_lengths(wrong, "input_lens")
        assert message in str(caught.value)


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2), (1, 4), (7, 1, 2)])
def test_a_mask_with_time_first(shape: tuple[int, ...]) -> None:
    data = torch.ones(shape)
    length = torch.linspace(0.2, 1.0, shape[1])
    first = scriptable.compute_length_mask(data, length, len_dim=0)
    second = scriptable.compute_length_mask(data.transpose(0, 1), length, len_dim=1)
    assert torch.equal(first, second.transpose(0, 1))
    assert torch.equal(first, scriptable.compute_length_mask(data, length, -data.dim()))
