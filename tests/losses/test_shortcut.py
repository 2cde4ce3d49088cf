"""The fast eager forms of masked losses, held against their plain forms and their second faces."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import scriptable
from scriptable._core import shortcut as _shortcut

_BATCH, _FRAMES, _FEATURES = 4, 150, 64
_LENGTH = torch.tensor([1.0, 0.5, 0.02, 0.0])


def _normal(seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(_BATCH, _FRAMES, _FEATURES, generator=generator, dtype=dtype)


def _with_garbage(x: Tensor) -> Tensor:
    """NaN and infinities in all padding."""
    frames = (torch.arange(_FRAMES) + 0.5) / _FRAMES
    padding = (frames >= _LENGTH.unsqueeze(1)).unsqueeze(2).expand(x.shape)
    garbage = torch.tensor([torch.nan, torch.inf, -torch.inf], dtype=x.dtype)
    return torch.where(padding, garbage.repeat(x.numel() // 3 + 1)[: x.numel()].view(x.shape), x)


def _vae(reduction: str) -> Callable[..., Tensor]:
    loss = scriptable.VariationalAutoencoderLoss(dist_loss_weight=0.3)
    return lambda rec, y, mean, log_var: loss((rec, mean, log_var), y, _LENGTH, reduction)


def _losses() -> dict[str, tuple[Callable[..., Tensor], int]]:
    """Each with the number of tensors that it takes and differentiates by."""
    found: dict[str, tuple[Callable[..., Tensor], int]] = {}
    for reduction in ("mean", "sum", "batch", "batchmean"):
        found[f"mse {reduction}"] = (
            lambda x, y, r=reduction: scriptable.mse_loss(x, y, _LENGTH, 3, r),  # type: ignore[misc]
            2,
        )
        found[f"vae {reduction}"] = (_vae(reduction), 4)
    return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The forms that were taken."""
    taken: list[str] = []
    for name in ("SquaredErrors", "Divergences"):
        form = getattr(_shortcut, name)
        forward = form.forward

        def record(*args: Any, name: str = name, forward: Any = forward) -> Any:
            taken.append(name)
            return forward(*args)

        monkeypatch.setattr(form, "forward", staticmethod(record))
    return taken


def _values(loss: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    value = loss(*leaves)
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).reshape(value.shape)
    return [value.detach(), *torch.autograd.grad((weights * value).sum(), leaves)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", _losses())
def test_the_fast_form_is_the_plain_form(
    name: str, dtype: torch.dtype, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, count = _losses()[name]
    inputs = [_with_garbage(_normal(seed, dtype)) for seed in range(count)]
    fast = _values(loss, inputs)
    assert calls, "the plain form ran"
    monkeypatch.setattr(_shortcut, "_LARGE", 1 << 40)
    calls.clear()
    plain = _values(loss, inputs)
    assert not calls
    for a, b in zip(fast, plain, strict=True):
        assert torch.isfinite(a).all()
        tolerance = 1e-10 if dtype == torch.float64 else 1e-5
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * float(b.abs().max()))


@pytest.mark.parametrize("name", _losses())
def test_second_derivatives_are_those_of_the_plain_form(
    name: str, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loss, count = _losses()[name]

    def second() -> tuple[Tensor, ...]:
        leaves = [_normal(seed).requires_grad_() for seed in range(count)]
        first = torch.autograd.grad(loss(*leaves).square().sum(), leaves, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), leaves)

    fast = second()
    assert calls
    monkeypatch.setattr(_shortcut, "_LARGE", 1 << 40)
    for a, b in zip(fast, second(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_variances_beyond_the_bend_go_on_as_the_tangent(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log_var = 60.0 * torch.rand(_BATCH, _FRAMES, _FEATURES, dtype=torch.float64)
    inputs = [_normal(0), _normal(1), _normal(2), log_var]
    fast = _values(_vae("mean"), inputs)
    assert "Divergences" in calls
    monkeypatch.setattr(_shortcut, "_LARGE", 1 << 40)
    for a, b in zip(fast, _values(_vae("mean"), inputs), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=0.0)


def test_tensors_of_two_kinds_take_the_plain_form(calls: list[str]) -> None:
    x, y = _normal(0, torch.float32), _normal(1)
    expected = scriptable.mse_loss(x.double(), y, _LENGTH)
    divergence = _vae("mean")(x, x, x.double(), y)
    calls.clear()
    torch.testing.assert_close(scriptable.mse_loss(x, y, _LENGTH), expected)
    assert "SquaredErrors" not in calls
    torch.testing.assert_close(_vae("mean")(x, x, x, y), divergence)
    assert "Divergences" not in calls


def test_small_tensors_take_the_plain_form(calls: list[str]) -> None:
    scriptable.mse_loss(torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.ones(2))
    assert not calls


def _mse(x: Tensor, y: Tensor) -> Tensor:
    return scriptable.mse_loss(x, y, _LENGTH)


class _Loss(nn.Module):
    def forward(self, x: Tensor, y: Tensor, length: Tensor) -> Tensor:
        return scriptable.mse_loss(x, y, length)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_whatever_looks_at_the_operators_sees_the_plain_form(calls: list[str]) -> None:
    inputs = (_normal(0, torch.float32), _normal(1, torch.float32), _LENGTH)
    expected = _Loss()(*inputs)
    assert calls.pop() == "SquaredErrors"
    results = [
        torch.jit.script(_Loss())(*inputs),
        torch.jit.trace(_Loss(), inputs, check_trace=False)(*inputs),
        torch.export.export(_Loss(), inputs).module()(*inputs),
        torch.func.vmap(_mse)(inputs[0].unsqueeze(0), inputs[1].unsqueeze(0))[0],
    ]
    _, tangent = torch.func.jvp(_mse, inputs[:2], (torch.ones_like(inputs[0]), inputs[1]))
    gradient = torch.func.grad(_mse)(*inputs[:2])
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(inputs[0], torch.ones_like(inputs[0]))
        assert torch.autograd.forward_ad.unpack_dual(_mse(dual, inputs[1])).tangent is not None
    assert not calls
    for result in results:
        torch.testing.assert_close(result, expected)
    assert torch.isfinite(tangent)
    leaf = inputs[0].clone().requires_grad_()
    torch.testing.assert_close(gradient, torch.autograd.grad(_mse(leaf, inputs[1]), leaf)[0])


def test_compiled_code_sees_the_plain_form(calls: list[str]) -> None:
    inputs = (_normal(0, torch.float32), _normal(1, torch.float32), _LENGTH)
    compiled = torch.compile(_Loss(), backend="aot_eager", fullgraph=True)
    result = compiled(*inputs)
    assert not calls
    torch.testing.assert_close(result, _Loss()(*inputs))


def test_batched_gradients_are_those_of_the_plain_form(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = _normal(0).requires_grad_(), _normal(1)
    upstream = torch.randn(3, _BATCH, dtype=x.dtype)

    def batched() -> Tensor:
        value = scriptable.mse_loss(x, y, _LENGTH, 3, "batch")
        return torch.autograd.grad(value, x, upstream, is_grads_batched=True)[0]

    fast = batched()
    assert calls == ["SquaredErrors"]
    monkeypatch.setattr(_shortcut, "_LARGE", 1 << 40)
    torch.testing.assert_close(fast, batched())
