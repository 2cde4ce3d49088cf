"""Axes for error rates, spaced by the normal distribution's quantiles."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RATES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)


def probit(rates: Tensor, floor: float) -> list[float]:
    """Places of rates on the axis; what is nearer to 0 or 1 than ``floor`` is drawn there."""
    return list(torch.special.ndtri(rates.double().clamp(floor, 1 - floor)).tolist())


def point(rate: float, floor: float) -> float:
    """Place of one rate."""
    return probit(torch.tensor([rate]), floor)[0]


def rate_axis(axes: "Axes", which: str, floor: float, ceiling: float) -> None:
    """Percent ticks on a probit axis whose lowest place stands for 0."""
    low, high = point(floor, 0.0), point(min(ceiling, 1 - floor), 0.0)
    places, names = [low], ["0"]
    for rate in _RATES:
        place = point(rate, 0.0)
        if place - places[-1] > 0.09 * (high - low) and place <= high:
            places.append(place)
            names.append(f"{100 * rate:g}%")
    margin = 0.04 * (high - low)
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_ticks(places, names)
    limit = axes.set_xlim if which == "x" else axes.set_ylim
    limit(low - margin, high + margin)
