"""The transform in two stages: its constants, where it is taken, and what it replaced."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from frontend_helpers import noise
from torch import Tensor, nn

from scriptable.frontend import LFCC, MFCC, Fbank, KaldiFbank, LogMel
from scriptable.frontend._base import FrontEnd
from scriptable.frontend._mirror import Mirror
from scriptable.frontend._spectrogram import Spectrogram, dft_kernel
from scriptable.frontend._two_stages import TwoStages, arrange, factors, framed, order


@pytest.mark.parametrize(
    ("n_fft", "expected"),
    [
        (512, (16, 32)),
        (400, (20, 20)),
        (1024, (32, 32)),
        (320, (16, 20)),
        (16, (4, 4)),
        # The first is even, for two of its sums to be real.
        (800, (20, 40)),
        (882, (18, 49)),
        # No such factors: odd, twice a prime, and a few samples.
        (401, (1, 401)),
        (514, (1, 514)),
        (12, (1, 12)),
        (1, (1, 1)),
    ],
)
def test_factors(n_fft: int, expected: tuple[int, int]) -> None:
    assert factors(n_fft) == expected


@pytest.mark.parametrize(
    ("n_fft", "length"), [(512, 512), (512, 416), (400, 400), (360, 80), (882, 882)]
)
def test_powers_are_those_of_the_fft(n_fft: int, length: int) -> None:
    frames = torch.randn(2, 3, length, dtype=torch.float64)
    power = TwoStages(n_fft, length).double()(frames)
    exact = torch.fft.rfft(frames, n_fft).abs().square()
    exact[:, :, 0] += exact[:, :, -1]
    torch.testing.assert_close(power, exact[:, :, order(n_fft)], rtol=1e-12, atol=1e-10)
    assert sorted(order(n_fft).tolist()) == list(range(n_fft // 2))


def test_filters_that_tell_the_first_bin_from_the_last_are_refused() -> None:
    filters = torch.ones(9, 3)
    filters[8, 1] = 0.5
    with pytest.raises(ValueError, match=r"same weights for the first and the last bin.*got .*0.5"):
        arrange(filters, 16)


@pytest.mark.parametrize(
    ("frontend", "two_stages"),
    [
        (lambda: Fbank(), True),
        (lambda: Fbank(filter_shape="gaussian"), False),
        (lambda: Fbank(filter_shape="rectangular"), False),
        (lambda: LFCC(log_lf=True, log_energy=True), True),
        (lambda: LFCC(log_lf=True, log_energy=True, f_max=4000.0), False),
        (lambda: LFCC(log_lf=True, log_energy=True, f_min=100.0, f_max=4000.0), True),
        (lambda: LFCC(f_max=4000.0), True),
        (lambda: LogMel(n_mels=40, f_max=9000.0), False),
    ],
)
def test_such_filters_follow_one_convolution(
    frontend: Callable[[], FrontEnd], two_stages: bool
) -> None:
    assert frontend().spectrogram.two_stages == two_stages


@pytest.mark.parametrize(("length", "hop"), [(4, 3), (4, 4), (3, 5), (7, 2), (9, 3)])
def test_frames_are_cut_where_a_loop_cuts_them(length: int, hop: int) -> None:
    for samples in range(length, length + 2 * hop + 1):
        x = torch.arange(2.0 * samples).view(2, 1, samples)
        starts = range(0, samples - length + 1, hop)
        expected = torch.stack([x[:, 0, start : start + length] for start in starts], 1)
        assert torch.equal(framed(x, length, hop), expected)


@pytest.mark.parametrize(("before", "after"), [(200, 200), (3, 0), (12, 13), (1, 1), (101, 97)])
def test_the_mirror_of_an_exported_graph_is_that_of_pad(before: int, after: int) -> None:
    x = noise(2, 300).unsqueeze(1)
    mirror = Mirror(before, after)
    expected = nn.functional.pad(x, [before, after], mode="reflect")
    assert torch.equal(mirror(x), expected)
    program = torch.export.export(mirror, (x,))
    assert torch.equal(program.module()(x), expected)
    indexed = any(
        "index" in str(node.target) or "pad" in str(node.target) for node in program.graph.nodes
    )
    assert indexed == (max(before, after) == 101)


NEW = ("spectrogram.transform.", "spectrogram.total", "spectrogram.parseval")


def one_convolution(frontend: nn.Module) -> dict[str, Tensor]:
    """The state dict of the same front end as it was before two stages."""
    spectrogram = frontend.spectrogram
    state = frontend.state_dict()
    old = {k: v for k, v in state.items() if not k.startswith(NEW)}
    if spectrogram.two_stages:
        window = spectrogram.kernel[: getattr(spectrogram, "length", None)]
        if isinstance(spectrogram, Spectrogram):
            window = spectrogram.window
        old["spectrogram.kernel"] = dft_kernel(window, spectrogram.n_fft)
        filters = torch.zeros(state["filterbank.weight"].shape[0], spectrogram.n_bins)
        filters[:, order(spectrogram.n_fft)] = state["filterbank.weight"]
        filters[:, -1] = filters[:, 0]
        old["filterbank.weight"] = filters
    for name in ("filterbank.weight", "dct.weight"):
        if name in old:
            old[name] = old[name].unsqueeze(2).clone()
    return old


OLD: dict[str, Any] = {
    "lfcc": lambda: LFCC(n_filter=20, n_lfcc=20),
    "mfcc": lambda: MFCC(n_mfcc=13, n_mels=40, n_fft=512, win_length=320),
    "magnitude": lambda: LogMel(n_mels=40, power=1.0),
    "prime": lambda: LogMel(n_fft=401, hop_length=160, n_mels=40),
    "kaldi": lambda: KaldiFbank(num_mel_bins=40),
}


@pytest.mark.parametrize("name", OLD)
def test_a_state_dict_of_one_convolution_loads(name: str) -> None:
    frontend = OLD[name]()
    old = one_convolution(frontend)
    assert old["filterbank.weight"].dim() == 3
    kept = {key: value.clone() for key, value in old.items()}
    other = OLD[name]()
    other.filterbank.weight.zero_()
    whole = nn.Sequential(other)
    whole.load_state_dict({f"0.{key}": value for key, value in old.items()})
    torch.testing.assert_close(other(noise()), frontend(noise()), rtol=0, atol=1e-6)
    assert all(torch.equal(old[key], kept[key]) for key in old), "the given one stays as it is"


def test_filters_that_were_changed_stay_changed() -> None:
    frontend = LogMel(n_mels=8)
    old = one_convolution(frontend)
    old["filterbank.weight"] = old["filterbank.weight"].flip(0)
    other = LogMel(n_mels=8)
    other.load_state_dict(old)
    torch.testing.assert_close(other(noise()), frontend(noise()).flip(1), rtol=0, atol=1e-6)


def test_magnitudes_and_primes_keep_the_convolution() -> None:
    assert LogMel(n_mels=40).spectrogram.two_stages
    assert not LogMel(n_mels=40, power=1.0).spectrogram.two_stages
    assert not LogMel(n_mels=40, n_fft=401).spectrogram.two_stages
    assert LogMel(n_mels=40, hop_length=7).spectrogram.two_stages
