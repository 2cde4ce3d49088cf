"""The LFCC of ASVspoof 2021's baseline: its formula written out, and figures that it gave."""

import io

import numpy as np
import pytest
import torch
from torch import Tensor

from scriptable.frontend import LFCC


def chirps(samples: int = 16000) -> Tensor:
    n = torch.arange(samples, dtype=torch.float64)
    slow, fast = torch.sin(2e-5 * n * n), torch.sin(1.1e-3 * n * n)
    return (0.3 * slow + 0.1 * torch.sin(0.5 * n) + 0.02 * fast)[None]


def by_formula(x: np.ndarray) -> np.ndarray:
    """20 coefficients and two orders of differences, ``[60, T]``, in float64."""
    emphasised = np.concatenate([x[:1], x[1:] - 0.97 * x[:-1]])
    padded = np.pad(emphasised, 512)
    window = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(320) / 320)
    bins = np.arange(256)
    rising = np.linspace(0, 4000, 22)
    at = np.linspace(0, 4000, 256)
    filters = [
        np.clip(np.minimum((at - low) / (mid - low), (high - at) / (high - mid)), 0, None)
        for low, mid, high in zip(rising, rising[1:], rising[2:], strict=False)
    ]
    frames = []
    for t in range(1 + len(x) // 160):
        # The window stands in the middle of the 1024 samples around sample 160·t.
        frame = padded[160 * t + 352 : 160 * t + 672] * window
        spectrum = np.exp(-2j * np.pi * np.outer(bins, np.arange(320)) / 1024) @ frame
        power = np.abs(spectrum) ** 2
        logs = np.log10(np.array([power @ f for f in filters]) + 2.0**-23)
        k = np.arange(20)[:, None]
        cosines = np.cos(np.pi / 20 * k * (np.arange(20) + 0.5)) * np.sqrt(2 / 20)
        coefficients = cosines @ logs
        coefficients[0] = np.log10(power.sum() / 1024 + 2.0**-23)
        frames.append(coefficients)
    features = [np.stack(frames, 1)]
    for _ in range(2):
        ends = np.pad(features[-1], ((0, 0), (1, 1)), mode="edge")
        features.append(ends[:, 2:] - ends[:, :-2])
    return np.concatenate(features)


def test_the_baseline_is_its_formula() -> None:
    x = chirps(4000)
    frontend = LFCC.asvspoof2021().double()
    assert frontend.n_features == 60
    expected = by_formula(x[0].numpy())
    found = frontend(x)[0].numpy()
    assert found.shape == expected.shape == (60, 26)
    # The filterbank's and the cosine transform's constants are float32.
    np.testing.assert_allclose(found, expected, atol=5e-5)


# What the published class gave: frame, then coefficients 0, 1, 2, 19, 20, 21, 40, 59.
PUBLISHED = {
    0: [-1.42498, 1.82408, -1.80157, 0.00494, 0.35537, 4.55781, 0.00712, -0.28818],
    40: [-0.56168, 1.04082, 3.82063, -0.17796, 0.00538, 5.65313, -0.03628, 0.1526],
    99: [0.06285, 2.641, -4.33825, 0.15623, -0.30961, -0.21838, -0.33338, -0.19873],
}


def test_the_baseline_gives_the_published_figures() -> None:
    """LFCC of the LFCC-LCNN baseline, ``LFCC(320, 160, 1024, 16000, 20, True, max_freq=0.5)``."""
    features = LFCC.asvspoof2021()(chirps().float())[0]
    for frame, expected in PUBLISHED.items():
        found = features[[0, 1, 2, 19, 20, 21, 40, 59], frame]
        torch.testing.assert_close(found, torch.tensor(expected), atol=3e-5, rtol=0)


def test_differences_are_of_the_two_neighbours() -> None:
    common = {"n_filter": 20, "n_lfcc": 20, "hop_length": 160}
    plain = LFCC(**common)(chirps().float())
    both = LFCC(**common, deltas=2, deltas_form="difference")(chirps().float())
    torch.testing.assert_close(both[:, :20], plain)
    for order in (1, 2):
        x = both[:, 20 * (order - 1) : 20 * order]
        ends = torch.cat([x[..., :1], x, x[..., -1:]], 2)
        torch.testing.assert_close(
            both[:, 20 * order : 20 * order + 20], ends[..., 2:] - ends[..., :-2]
        )


def test_the_saved_baseline_gives_the_same_on_other_content() -> None:
    frontend = LFCC.asvspoof2021()
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(frontend), buffer)
    buffer.seek(0)
    other = 0.1 * torch.randn(2, 5000, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(torch.jit.load(buffer)(other), frontend(other))
    program = torch.export.export(frontend, (torch.zeros(2, 5000),)).module()
    torch.testing.assert_close(program(other), frontend(other))


@pytest.mark.parametrize("samples", [0.0, 1.0])
def test_silence_and_full_scale_stay_finite(samples: float) -> None:
    waveform = torch.full((1, 2000), samples, requires_grad=True)
    features = LFCC.asvspoof2021()(waveform)
    features.square().sum().backward()
    assert bool(torch.isfinite(features).all())
    assert waveform.grad is not None and bool(torch.isfinite(waveform.grad).all())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"deltas_form": "slope"}, r"deltas_form: expected one of \['regression', 'difference'\]"),
        ({"log_energy": True}, "log_energy: expected log_lf to be True or 'log10', got log_lf=Fal"),
        ({"log_lf": "log2"}, r"log_lf: expected one of \[False, True, 'log10'\], got 'log2'"),
        ({"pre_emphasis": 1.5}, r"pre_emphasis: expected a value in \[0, 1\], got 1.5"),
    ],
)
def test_bad_settings_are_named(settings: dict, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        LFCC(**settings)
