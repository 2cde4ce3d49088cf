"""Windows of a stream whose frames are computed once: for encoders that are not causal."""

from typing import Final, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_features, check_size
from scriptable.frontend.feature_norm import FeatureNorm
from scriptable.frontend.framing import FrontEnd, framing
from scriptable.pipeline import ScorePipeline


def split_frontend(frontend: nn.Module) -> Tuple[nn.Module, bool]:
    """The front end, and whether a :class:`FeatureNorm` follows it in an ``nn.Sequential``."""
    if not isinstance(frontend, nn.Sequential):
        return frontend, False
    parts = list(frontend)
    if len(parts) != 2 or not isinstance(parts[1], FeatureNorm):
        names = ", ".join(type(part).__name__ for part in parts)
        raise ValueError(f"frontend: expected a front end, then FeatureNorm, got [{names}]")
    return parts[0], True


class CachedScorePipeline(ScorePipeline):
    r"""A :class:`ScorePipeline` with a second method, ``live``, that scores windows of a stream.

    Any encoder will do: each call of ``live`` runs it on a whole window, the last T frames that the
    stream has completed. Only the frames before the slopes are kept from call to call, so that the
    slopes at a window's edges are the window's own. With
    :math:`T = 1 + \lfloor (N - n_{fft}) / hop \rfloor`, the score is that of ``forward`` on the N
    samples from where the first of the T frames begins; the last ``(N - n_fft) % hop`` of these
    are in no frame.

    Args:
        frontend: a front end whose frames do not depend on the rest of the recording: with
            ``center=False``, without pre-emphasis of the whole and without decibels below the
            loudest value. Or ``nn.Sequential`` of such a one and a :class:`FeatureNorm`.
        encoder: features ``[B, F, T]`` → embeddings ``[B, D]``.
        head: as of :class:`ScorePipeline`.
        num_samples: N, of a window.
        chunk_samples: C, a multiple of the front end's hop, with fewer frames than a window.

    Shape:
        - waveform: ``[B, N]``; result: the head's score, ``[B]``, higher = more bona fide.
        - ``live``: chunk ``[B, C]`` in [−1, 1] and past ``[B, S]`` with S = ``state_size``, zeros
          when the stream begins; result: score ``[B]`` and the new past. Before N samples were
          heard the score says nothing.

    Raises:
        ValueError: if the parts cannot do that, or a shape is another.

    Reference:
        Ours: the overlap-save method, with an encoder in the place of a filter; Oppenheim and
        Schafer, "Discrete-Time Signal Processing", 3rd ed., section 8.7.3.

    Example:
        >>> from scriptable import LFCC, LightCNN, OCSoftmax
        >>> frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True, center=False, deltas=2)
        >>> pipeline = CachedScorePipeline(
        ...     frontend, LightCNN(60, 16), OCSoftmax(16), num_samples=16000, chunk_samples=3200
        ... ).eval()
        >>> stream, past = torch.randn(1, 22400), pipeline.initial_state()
        >>> for chunk in stream.split(3200, dim=1):
        ...     score, past = pipeline.live(chunk, past)
        >>> begin = 22400 - pipeline.window_samples
        >>> window = torch.nn.functional.pad(stream, [0, 16000])[:, begin : begin + 16000]
        >>> torch.allclose(score, pipeline(window), atol=1e-6)
        True
    """

    chunk_samples: Final[int]
    state_size: Final[int]
    window_samples: Final[int]
    _normed: Final[bool]
    _frames: Final[int]
    _new: Final[int]
    _static: Final[int]
    _kept: Final[int]
    _used: Final[int]

    def __init__(
        self,
        frontend: nn.Module,
        encoder: nn.Module,
        head: nn.Module,
        num_samples: int = 64600,
        chunk_samples: int = 2560,
    ) -> None:
        super().__init__(frontend, encoder, head, num_samples)
        front, self._normed = split_frontend(frontend)
        width, hop = framing(front)
        assert isinstance(front, FrontEnd)
        check_size("chunk_samples", chunk_samples)
        self._frames = front.num_frames(num_samples)
        self._new = chunk_samples // hop
        if chunk_samples % hop or self._new >= self._frames:
            raise ValueError(
                f"chunk_samples: expected a multiple of the hop, {hop}, with fewer than the "
                f"window's {self._frames} frames, got {chunk_samples}"
            )
        self.chunk_samples = chunk_samples
        self._static = front.n_features // (1 + front.deltas.order)
        # So many whole hops that each chunk completes as many frames as it has hops.
        lead = -(-(width - hop) // hop)
        self._kept = lead * hop
        self._used = (self._new - 1) * hop + width
        self.window_samples = self._kept + self._frames * hop
        """From where the window begins that the last score is of, to the end of the stream."""
        self.state_size = self._kept + self._static * (self._frames - self._new)

    @torch.jit.unused
    def initial_state(self, batch: int = 1) -> Tensor:
        """The past ``[B, S]`` of streams that have not begun: zeros."""
        return torch.zeros(batch, self.state_size)

    # Not "state": Core ML, where that word is taken, would call the input otherwise.
    @torch.jit.export
    def live(self, chunk: Tensor, past: Tensor) -> Tuple[Tensor, Tensor]:
        """Chunk ``[B, C]``, past ``[B, S]`` → score of the last window ``[B]``, past ``[B, S]``."""
        check_features("chunk", chunk, self.chunk_samples)
        check_features("past", past, self.state_size)
        old = self._frames - self._new
        samples = torch.cat([past.narrow(1, 0, self._kept), chunk], dim=1)
        before = past.narrow(1, self._kept, self._static * old)
        before = before.reshape(chunk.size(0), self._static, old)
        frames = torch.cat([before, self._cut(samples.narrow(1, 0, self._used))], dim=2)
        score: Tensor = self.head.score(self.encoder(self._features(frames)))  # type: ignore[operator]
        last = samples.narrow(1, self.chunk_samples, self._kept)
        return score, torch.cat([last, frames.narrow(2, self._new, old).flatten(1)], dim=1)

    def _cut(self, samples: Tensor) -> Tensor:
        """What each frame gives by itself: ``[B, F, K]``."""
        if self._normed:
            frames: Tensor = self.frontend[0].frames(samples)  # type: ignore[index]
        else:
            frames = self.frontend.frames(samples)  # type: ignore[operator]
        return frames

    def _features(self, frames: Tensor) -> Tensor:
        """With the slopes inside these frames, normalised."""
        if self._normed:
            features: Tensor = self.frontend[1](self.frontend[0].deltas(frames))  # type: ignore[index]
        else:
            features = self.frontend.deltas(frames)  # type: ignore[operator]
        return features
