r"""What a recording must be for a decision on it: long, loud and lively enough.

A model answers any window of numbers, and confidently. The contract therefore says what audio it
was made for; on anything else the decision is ``undecided``, with a reason and no score.

All sums are in float64. Of the waveform that the windows are cut from, :math:`x_0 … x_{N-1}` at the
contract's sample rate:

* duration, N / sample rate, in seconds;
* amplitude, the largest :math:`|x_n|`;
* level, :math:`10 \log_{10} \max(10^{-20}, \overline{x^2} - \overline{x}^2)`, in dBFS: a constant
  has none, a square wave of full scale has 0;
* tonality, :math:`10 \log_{10}` of the variance of :math:`x_n` over what is left of it when it is
  predicted from :math:`x_{n-1}`, :math:`x_{n-2}` and a constant by least squares over n = 2 … N−1,
  and at most 120 dB. A pure tone is predicted whole; speech keeps at least a thousandth.

Of the file's own samples, scaled, before they are mixed down:

* clipped, the share of samples of at least ``clip_level``;
* cancellation, by how much more the mixdown loses than averaging C channels may:
  :math:`10 \log_{10}(\max_c v_c / v) - 20 \log_{10} C`, with the variances :math:`v_c` of the
  channels and v of their mean.
"""

import math
from collections.abc import Iterable

import torch
from pydantic import Field
from torch import Tensor

from export.runtime._part import Part

_FLOOR = 1e-20
_MOST_TONALITY = 120.0
# Below this share of what two neighbours could hold they count as one.
_COLLINEAR = 1e-12


class Guards(Part):
    """The bounds; on or inside them a recording is scored."""

    min_seconds: float = Field(default=0.5, ge=0, le=3600, description="duration, at least")
    min_level_dbfs: float = Field(default=-60.0, ge=-200, le=0, description="level, at least")
    max_amplitude: float = Field(default=4.0, gt=0, description="1 is full scale; at most")
    max_tonality_db: float = Field(default=45.0, gt=0, description="tonality, at most")
    clip_level: float = Field(
        default=0.999, ge=0.999, le=0.999, description="a sample from here on is clipped"
    )
    max_clipped: float = Field(default=0.1, gt=0, le=1, description="share of samples, at most")
    max_cancellation_db: float = Field(
        default=12.0, gt=0, description="loss in the mixdown beyond 20·log10(channels), at most"
    )

    def refusal(self, meter: "Meter") -> str | None:
        """Why nothing can be said about the audio that went through ``meter``; None: it can."""
        seconds, level, tonality = meter.seconds, meter.level_dbfs, meter.tonality_db
        loudest, lost = meter.loudest_channel_dbfs, meter.cancellation_db
        if seconds < self.min_seconds:
            return f"too short: {seconds:.3f} s, at least {self.min_seconds:.3f} s are needed"
        if meter.amplitude > self.max_amplitude:
            return (
                f"out of scale: samples up to {meter.amplitude:.1f}, where full scale is 1 and "
                f"{self.max_amplitude:.1f} the most"
            )
        if lost > self.max_cancellation_db and loudest >= self.min_level_dbfs:
            return f"channels cancel: mixing them down loses {lost:.1f} dB; give one of them"
        if level < self.min_level_dbfs:
            return f"too quiet: {level:.1f} dBFS, at least {self.min_level_dbfs:.1f} are needed"
        if meter.clipped > self.max_clipped:
            return (
                f"clipped: {100 * meter.clipped:.1f} % of the samples, "
                f"at most {100 * self.max_clipped:.1f} % may be"
            )
        if tonality > self.max_tonality_db:
            return f"a tone: {tonality:.1f} dB of it can be predicted, speech keeps below " + (
                f"{self.max_tonality_db:.1f}"
            )
        return None


class Meter:
    """Gathers what :class:`Guards` look at, block by block, in memory that does not grow."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.amplitude = 0.0
        self._samples = 0
        self._moments = torch.zeros(2, dtype=torch.float64)
        # Of x_n, x_{n-1} and x_{n-2} for n = 2 ... N-1.
        self._triple_sums = torch.zeros(3, dtype=torch.float64)
        self._triple_products = torch.zeros(3, 3, dtype=torch.float64)
        self._last = torch.zeros(0, dtype=torch.float64)
        self._frames = self._clipped = 0
        self._channels = torch.zeros(0, dtype=torch.float64)

    def hear_channels(self, frames: Tensor) -> Tensor:
        """Scaled samples of a file ``[F, C]``; returns their mean over the channels ``[F]``."""
        channels = frames.T.to(torch.float64, memory_format=torch.contiguous_format)
        mono = len(channels) == 1
        mixed = channels[0] if mono else channels.mean(dim=0)
        each = [_moments(channel) for channel in channels]
        sums = torch.stack([*each, each[0] if mono else _moments(mixed)])
        self._channels = sums if self._frames == 0 else self._channels + sums
        self._frames += len(frames)
        if peak(frames) >= Guards().clip_level:
            self._clipped += int((frames.abs() >= Guards().clip_level).sum())
        return mixed

    def hear(self, block: Tensor) -> None:
        """Samples ``[B]`` of the waveform that windows are cut from."""
        if len(block) == 0:
            return
        self.amplitude = max(self.amplitude, peak(block))
        self._samples += len(block)
        block = block.double()
        self._moments += _moments(block)
        run = torch.cat([self._last, block])
        if len(run) > 2:
            # Products of slices: a matrix of the three would be copied together first.
            three = run[2:], run[1:-1], run[:-2]
            self._triple_sums += torch.stack([x.sum() for x in three])
            products = torch.stack([x.dot(y) for x in three for y in three])
            self._triple_products += products.view(3, 3)
        self._last = run[-2:].clone()

    @property
    def seconds(self) -> float:
        """Duration."""
        return self._samples / self.sample_rate

    @property
    def level_dbfs(self) -> float:
        """Level."""
        return _level(self._moments, self._samples)

    @property
    def tonality_db(self) -> float:
        """How much of the waveform its last two samples foretell."""
        count = self._samples - 2
        if count < 3:
            return 0.0
        mean = self._triple_sums / count
        (aa, ab, ac), (_, bb, bc), (_, _, cc) = (
            self._triple_products / count - mean.outer(mean)
        ).tolist()
        if aa <= _FLOOR or bb <= _FLOOR:
            return 0.0
        determinant = bb * cc - bc * bc
        if determinant > _COLLINEAR * bb * cc:
            foretold = (ab * ab * cc - 2 * ab * ac * bc + ac * ac * bb) / determinant
        else:
            foretold = ab * ab / bb
        left = max(aa - foretold, aa * 10 ** (-_MOST_TONALITY / 10))
        return 10 * math.log10(aa / left)

    @property
    def clipped(self) -> float:
        """Share of the file's samples that are."""
        channels = len(self._channels) - 1
        return self._clipped / (self._frames * channels) if self._frames else 0.0

    @property
    def loudest_channel_dbfs(self) -> float:
        """Level of the loudest channel."""
        if not self._frames:
            return self.level_dbfs
        return max(_level(sums, self._frames) for sums in self._channels[:-1])

    @property
    def cancellation_db(self) -> float:
        """What the mixdown loses beyond what averaging may."""
        channels = len(self._channels) - 1
        if not self._frames or channels < 2:
            return 0.0
        mixed = _level(self._channels[-1], self._frames)
        return self.loudest_channel_dbfs - mixed - 20 * math.log10(channels)


def peak(samples: Tensor) -> float:
    """The largest magnitude of samples ``[*]``, at least one; NaN if one of them is."""
    # One pass and no copy, where abs() and isfinite() take a pass and a copy for each step.
    low, high = torch.aminmax(samples)
    return max(-float(low), float(high))


def _moments(samples: Tensor) -> Tensor:
    """Sum and sum of squares ``[2]`` of samples ``[N]``."""
    return torch.stack([samples.sum(), samples.dot(samples)])


def _level(sums: Tensor, count: int) -> float:
    """From the sum and the sum of squares of ``count`` samples to dBFS."""
    if count == 0:
        return 10 * math.log10(_FLOOR)
    total, squares = (sums / count).tolist()
    return 10 * math.log10(max(_FLOOR, squares - total * total))


def measured(waveform: Tensor, sample_rate: int) -> Meter:
    """A meter that has heard one mono waveform ``[L]``."""
    meter = Meter(sample_rate)
    meter.hear_channels(waveform.unsqueeze(1))
    meter.hear(waveform)
    return meter


def observed(waveforms: Iterable[Tensor], sample_rate: int) -> Guards:
    """Bounds from the recordings that a model was trained on: what it saw, and some room around.

    Half of the shortest duration, between 0.25 s and 1 s; 20 dB below the quietest level, between
    −70 and −50 dBFS; twice the largest amplitude, at least 4; twice the largest clipped share, at
    least a tenth; and for the tonality 15 dB of room, at least 45 dB.
    """
    meters = [measured(waveform, sample_rate) for waveform in waveforms]
    if not meters:
        return Guards()
    shortest = min(meter.seconds for meter in meters)
    quietest = min(meter.level_dbfs for meter in meters)
    return Guards(
        min_seconds=round(min(1.0, max(0.25, shortest / 2)), 3),
        min_level_dbfs=round(min(-50.0, max(-70.0, quietest - 20)), 1),
        max_amplitude=round(max(4.0, 2 * max(meter.amplitude for meter in meters)), 3),
        max_clipped=round(min(1.0, max(0.1, 2 * max(meter.clipped for meter in meters))), 3),
        max_tonality_db=round(max(45.0, 15 + max(meter.tonality_db for meter in meters)), 1),
    )
