"""SI-SNR and SNR equal SpeechBrain's; quiet and silent signals, masks, dtypes."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkits import deviation, numbers, speechbrain_losses
from torch import Tensor

import scriptable

FRESH = settings(deadline=None, max_examples=20, derandomize=False)
SEEDS = st.integers(0, 2**32 - 1)
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
FAMILY = {
    "cal_si_snr": (scriptable.SISNRLoss, (40, 3, 2)),
    "cal_snr": (scriptable.SNRLoss, (40, 2, 3, 2)),
    "get_si_snr_with_pitwrapper": (scriptable.PITSISNRLoss, (2, 40, 3)),
    "get_snr_with_pitwrapper": (scriptable.PITSNRLoss, (2, 40, 2, 3)),
}
EVERY = pytest.mark.parametrize("name", FAMILY)


def signals(seed: int, *shape: int, noise: float = 0.5) -> tuple[Tensor, Tensor]:
    """A source and a noisy estimate of it, float64 numbers that float32 holds."""
    g = torch.Generator().manual_seed(seed)
    source = torch.randn(*shape, generator=g)
    return source.double(), (source + noise * torch.randn(*shape, generator=g)).double()


def gradients(loss: object, source: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value and both gradients; the loss gets copies, since the peer writes into its inputs."""
    source, estimate = source.clone().requires_grad_(), estimate.clone().requires_grad_()
    value = loss(source * 1.0, estimate * 1.0)  # type: ignore[operator]
    return (value.detach(), *torch.autograd.grad(value.sum(), [source, estimate]))


@EVERY
@DTYPES
@FRESH
@given(seed=SEEDS)
def test_equal_to_speechbrain(name: str, dtype: torch.dtype, seed: int) -> None:
    theirs = getattr(speechbrain_losses(), name)
    source, estimate = (x.to(dtype) for x in signals(seed, *FAMILY[name][1]))
    ours = gradients(getattr(scriptable, name), source, estimate)
    for result, reference in zip(ours, gradients(theirs, source, estimate), strict=True):
        assert result.dtype == dtype
        assert result.shape == reference.shape
        assert deviation(result, reference) <= TOLERANCE[dtype]


@EVERY
@FRESH
@given(seed=SEEDS, relative_eps=st.booleans())
def test_function_equals_module(name: str, seed: int, relative_eps: bool) -> None:
    module, shape = FAMILY[name]
    source, estimate = signals(seed, *shape)
    expected = getattr(scriptable, name)(source, estimate, 1e-6, relative_eps)
    assert torch.equal(module(1e-6, relative_eps)(source, estimate), expected)
    function = torch.jit.script(getattr(scriptable, name))
    torch.testing.assert_close(function(source, estimate, 1e-6, relative_eps), expected)


@pytest.mark.parametrize("name", ["get_si_snr_with_pitwrapper", "get_snr_with_pitwrapper"])
@FRESH
@given(seed=SEEDS)
def test_batch_equals_its_items(name: str, seed: int) -> None:
    source, estimate = signals(seed, *FAMILY[name][1])
    loss = getattr(scriptable, name)
    items = [loss(source[i : i + 1], estimate[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(torch.cat(items), loss(source, estimate), rtol=1e-10, atol=1e-10)


@EVERY
@FRESH
@given(seed=SEEDS, amplitude=st.sampled_from([1e-8, 1e-5, 1e5]))
def test_relative_eps_makes_the_amplitude_irrelevant(
    name: str, seed: int, amplitude: float
) -> None:
    source, estimate = (x.float() for x in signals(seed, *FAMILY[name][1]))
    loss = getattr(scriptable, name)
    expected = loss(source, estimate, 1e-8, True)
    quiet = loss(amplitude * source, amplitude * estimate, 1e-8, True)
    torch.testing.assert_close(quiet, expected, rtol=1e-4, atol=1e-4)
    if name.endswith("si_snr"):
        scaled = loss(source, amplitude * estimate, 1e-8, True)
        torch.testing.assert_close(scaled, expected, rtol=1e-4, atol=1e-4)


def test_absolute_eps_scores_quiet_signals_lower_as_the_peer() -> None:
    source, estimate = (1e-5 * x for x in signals(1, 40, 1, 1, noise=0.01))
    theirs = speechbrain_losses().cal_si_snr(source.clone(), estimate.clone()).item()
    assert scriptable.cal_si_snr(source, estimate).item() == pytest.approx(theirs, rel=1e-10)
    ours = scriptable.cal_si_snr(source, estimate, relative_eps=True).item()
    # The estimate is good to 40 dB; next to an energy of 4e-9, eps makes a bad one of it.
    assert (theirs, ours) == (pytest.approx(15.7, abs=0.1), pytest.approx(-39.8, abs=0.1))


@EVERY
@pytest.mark.parametrize("relative_eps", [False, True])
@pytest.mark.parametrize("silent", ["source", "estimate", "both", "equal", "constant"])
@DTYPES
def test_silence_has_finite_value_and_gradient(
    name: str, relative_eps: bool, silent: str, dtype: torch.dtype
) -> None:
    source, estimate = (x.to(dtype) for x in signals(2, *FAMILY[name][1]))
    if silent in ("source", "both"):
        source = torch.zeros_like(source)
    if silent in ("estimate", "both"):
        estimate = torch.zeros_like(estimate)
    if silent == "equal":
        estimate = source
    if silent == "constant":
        source = torch.ones_like(source)
    loss = getattr(scriptable, name)
    value, *grads = gradients(lambda s, e: loss(s, e, 1e-8, relative_eps), source, estimate)
    assert all(bool(torch.isfinite(x).all()) for x in (value, *grads))
    if silent in ("source", "both"):
        torch.testing.assert_close(value, torch.full_like(value, 80.0))


@EVERY
def test_inputs_stay_as_they_are_and_leaves_are_welcome(name: str) -> None:
    source, estimate = (x.requires_grad_() for x in signals(3, *FAMILY[name][1]))
    kept = source.detach().clone(), estimate.detach().clone()
    getattr(scriptable, name)(source, estimate).sum().backward()
    assert torch.equal(source, kept[0]) and torch.equal(estimate, kept[1])
    assert estimate.grad is not None
    if not name.startswith("get_"):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            getattr(speechbrain_losses(), name)(source, estimate)


def test_printed_examples_hold_for_the_peer_too() -> None:
    x = torch.arange(600).reshape(3, 100, 2)
    ours = scriptable.get_si_snr_with_pitwrapper(x, x[:, :, (1, 0)])
    theirs = speechbrain_losses().get_si_snr_with_pitwrapper(x, x[:, :, (1, 0)])
    assert numbers(ours) == pytest.approx(numbers(theirs), abs=1e-4)
    assert numbers(ours) == pytest.approx([-135.2284] * 3, abs=1e-4)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    """The peer's sum of 40 samples around 5000 is beyond float16."""
    source, estimate = ((5000 + 300 * x).to(dtype) for x in signals(4, *FAMILY[name][1]))
    loss = getattr(scriptable, name)
    half, *grads = gradients(loss, source, estimate)
    assert half.dtype == torch.float32
    assert all(bool(torch.isfinite(x).all()) for x in grads)
    torch.testing.assert_close(half, loss(source.float(), estimate.float()))
    if dtype == torch.float16:
        theirs = getattr(speechbrain_losses(), name)(source.clone(), estimate.clone())
        assert not bool(torch.isfinite(theirs).all())


@FRESH
@given(seed=SEEDS, frames=st.integers(1, 12), batch=st.integers(1, 4), channels=st.integers(0, 2))
def test_mask_equals_speechbrain(seed: int, frames: int, batch: int, channels: int) -> None:
    g = torch.Generator().manual_seed(seed)
    shape = (frames, *[2] * (channels > 0), batch, 3)
    lengths = torch.randint(0, frames + 1, (batch,), generator=g).int()
    source = torch.randn(shape, generator=g)
    ours = scriptable.get_mask(source, lengths)
    if channels == 0:
        assert torch.equal(ours, speechbrain_losses().get_mask(source, lengths))
    assert ours.shape == (*shape[:-1], 1)
    assert torch.equal(ours.sum(0).reshape(-1, batch)[0].long(), lengths.long())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: scriptable.cal_si_snr(torch.zeros(4, 2, 2), torch.zeros(4, 2, 1)),
            "estimate_source: expected shape [4, 2, 2], got [4, 2, 1]",
        ),
        (
            lambda: scriptable.get_si_snr_with_pitwrapper(torch.zeros(4, 2), torch.zeros(4, 2)),
            "source: expected shape [B, T, ..., C], got [4, 2]",
        ),
        (
            lambda: scriptable.get_snr_with_pitwrapper(*[torch.zeros(1, 4, 1, 17)] * 2),
            "source: expected at most 16 sources, got 17",
        ),
        (
            lambda: scriptable.get_mask(torch.zeros(4, 3, 2), torch.zeros(2)),
            "source_lengths: expected shape [3], got [2]",
        ),
        (lambda: scriptable.SNRLoss(eps=0.0), "eps: expected a value above 0, got 0.0"),
        (lambda: scriptable.PITSISNRLoss(eps=-1.0), "eps: expected a value above 0, got -1.0"),
    ],
)
def test_errors_name_the_argument(call: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        call()  # type: ignore[operator]
    assert str(caught.value) == message


def test_a_perfect_estimate_is_worth_eps() -> None:
    source = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1)
    assert scriptable.cal_snr(source, source).item() == pytest.approx(
        -10 * math.log10(4 / 1e-8), rel=1e-6
    )
