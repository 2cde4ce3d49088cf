"""Someone else's network between our front ends and heads."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from scriptable import AdaptedEncoder


class Seen(nn.Module):
    """Answers the shape that it was given."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tensor([x.shape])


@pytest.mark.parametrize(
    ("layout", "shape"),
    [
        ("BFT", [2, 5, 9]),
        ("BTF", [2, 9, 5]),
        ("B1FT", [2, 1, 5, 9]),
        ("B1TF", [2, 1, 9, 5]),
    ],
)
def test_features_are_laid_out_as_the_network_takes_them(layout: str, shape: list[int]) -> None:
    assert AdaptedEncoder(Seen(), layout)(torch.zeros(2, 5, 9)).tolist() == [shape]


def test_a_waveform_gets_a_channel() -> None:
    assert AdaptedEncoder(Seen(), "B1N")(torch.zeros(2, 50)).tolist() == [[2, 1, 50]]
    assert AdaptedEncoder(Seen(), "BN")(torch.zeros(2, 50)).tolist() == [[2, 50]]


class Named(NamedTuple):
    first: Tensor
    second: Tensor


class Both(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x + 2


class Fields(nn.Module):
    def forward(self, x: Tensor) -> Named:
        return Named(x + 1, x + 2)


class Table(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"first": x + 1, "second": x + 2}


@pytest.mark.parametrize(
    ("network", "output"), [(Both(), 1), (Both(), -1), (Fields(), 1), (Table(), "second")]
)
def test_one_answer_is_picked_eager_and_scripted(network: nn.Module, output: int | str) -> None:
    encoder, x = AdaptedEncoder(network, output=output), torch.zeros(2, 3)
    assert torch.equal(encoder(x), x + 2)
    assert torch.equal(torch.jit.script(encoder)(x), x + 2)


class Shaped(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return torch.arange(24.0).reshape(self.shape)


@pytest.mark.parametrize(
    ("shape", "left"),
    [
        ((2, 1, 12), [2, 12]),
        ((2, 12, 1, 1), [2, 12]),
        ((2, 3, 4), [2, 3, 4]),
        ((24, 1, 1), [24, 1]),
        ((24,), [24]),
    ],
)
def test_axes_of_size_one_go_and_others_stay(shape: tuple[int, ...], left: list[int]) -> None:
    assert list(AdaptedEncoder(Shaped(*shape))(torch.zeros(1)).shape) == left


def test_frames_are_averaged_over_time() -> None:
    frames = torch.arange(24.0).reshape(2, 3, 4)
    network = Shaped(2, 3, 4)
    assert torch.equal(AdaptedEncoder(network, frames="BTD")(frames), frames.mean(1))
    assert torch.equal(AdaptedEncoder(network, frames="BDT")(frames), frames.mean(2))


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="input: expected one of"):
        AdaptedEncoder(nn.Identity(), "TFB")
    with pytest.raises(ValueError, match="frames: expected one of"):
        AdaptedEncoder(nn.Identity(), frames="TBD")


class Noisy(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        drawn = torch.randn(x.shape) + torch.rand_like(x) + torch.empty_like(x).normal_(std=2.0)
        drawn = drawn - drawn.min()
        return x + drawn / drawn.max() + 1e-5 * torch.randn_like(x)


def test_noise_in_eval_mode_can_be_fixed() -> None:
    x = torch.randn(2, 3)
    encoder = AdaptedEncoder(Noisy(), noise=False)
    assert not torch.equal(encoder.train()(x), encoder(x))
    expected = encoder.eval()(x)
    assert bool(expected.isfinite().all()) and torch.equal(encoder(x), expected)
    assert not torch.equal(AdaptedEncoder(Noisy()).eval()(x), expected)
    for exported in (
        torch.export.export(encoder, (x,)).module(),
        torch.jit.trace(encoder, (x,), check_trace=False),
    ):
        other = torch.randn(2, 3)
        assert torch.equal(exported(other), encoder(other))
