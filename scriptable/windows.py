"""Audio of any length as windows of one length: the step before the graph, in one place.

Training, the command line and every backend cut audio here, and only here; the score contract
carries the two parameters, so that other implementations can do the same.
"""

import torch
from torch import Tensor

from scriptable._core.checks import check_rank


def window_starts(length: int, num_samples: int, hop: int) -> list[int]:
    """Where the windows of a recording begin.

    Windows begin at 0, hop, 2·hop, ... as long as they fit; when samples remain after the last,
    one more window is aligned with the end. A recording no longer than a window has one, at 0.

    Args:
        length: samples in the recording.
        num_samples: samples N in a window.
        hop: samples from one window to the next.

    Returns:
        The first sample of each window.

    Raises:
        ValueError: if an argument is below 1.

    Example:
        >>> window_starts(10, 4, 3)
        [0, 3, 6]
        >>> window_starts(11, 4, 3)
        [0, 3, 6, 7]
        >>> window_starts(2, 4, 3)
        [0]
    """
    for name, value in (("length", length), ("num_samples", num_samples), ("hop", hop)):
        if value < 1:
            raise ValueError(f"{name}: expected 1 or more samples, got {value}")
    starts = list(range(0, max(length - num_samples, 0) + 1, hop))
    if starts[-1] + num_samples < length:
        starts.append(length - num_samples)
    return starts


def cut_windows(waveform: Tensor, num_samples: int, hop: int) -> Tensor:
    """Cut one recording into windows; audio shorter than a window is repeated until it fills it.

    Args:
        waveform: samples, shape ``[L]``.
        num_samples: samples N in a window.
        hop: samples from one window to the next.

    Returns:
        The windows, shape ``[W, N]``; see :func:`window_starts`.

    Raises:
        ValueError: if ``waveform`` is not one-dimensional or is empty.

    Example:
        >>> cut_windows(torch.arange(5.0), 3, 3)
        tensor([[0., 1., 2.], [2., 3., 4.]])
        >>> cut_windows(torch.arange(2.0), 5, 5)
        tensor([[0., 1., 0., 1., 0.]])
    """
    check_rank("waveform", waveform, "[L]", 1)
    starts = window_starts(waveform.shape[0], num_samples, hop)
    if waveform.shape[0] < num_samples:
        repeats = -(-num_samples // waveform.shape[0])
        waveform = waveform.repeat(repeats)
    return torch.stack([waveform[start : start + num_samples] for start in starts])


def average_windows(scores: Tensor) -> float:
    """The score of a recording: the mean of its windows' scores, in float64.

    Args:
        scores: one score per window, shape ``[W]``.

    Returns:
        The mean.

    Example:
        >>> average_windows(torch.tensor([0.25, 0.75]))
        0.5
    """
    check_rank("scores", scores, "[W]", 1)
    return float(scores.double().mean())
