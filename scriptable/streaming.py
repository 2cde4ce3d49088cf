"""A stream of audio, chunk by chunk: all that is kept of it is one tensor, given back and forth."""

from typing import Final, Optional, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_features, check_shape, check_size
from scriptable.frontend.framing import FrontEnd, framing
from scriptable.scoring import CosineScore


class _Stream(nn.Module):
    """From a chunk and the state to the embedding of all that was heard.

    The state ``[B, S]`` is, in this order: how many frames there were, up to what matters; the last
    samples; with slopes, the last frames; with slopes of slopes, the last slopes; and the
    encoder's. All zeros is a stream that has not begun.
    """

    chunk_samples: Final[int]
    state_size: Final[int]
    warmup_samples: Final[int]
    hop: Final[int]
    delay: Final[int]
    _frames: Final[int]
    _kept: Final[int]
    _used: Final[int]
    _lead: Final[int]
    _reach: Final[int]
    _order: Final[int]
    _static: Final[int]
    _enough: Final[int]
    _own: Final[int]

    def __init__(self, frontend: FrontEnd, encoder: nn.Module, chunk_samples: int) -> None:
        super().__init__()
        width, hop = framing(frontend)
        check_size("chunk_samples", chunk_samples)
        if not callable(getattr(encoder, "step", None)) or not hasattr(encoder, "state_size"):
            raise ValueError(
                f"encoder: expected a causal one with step and state_size, such as CausalLightCNN, "
                f"got {type(encoder).__name__}"
            )
        stride = int(getattr(encoder, "stride", 1))
        if chunk_samples % (hop * stride):
            raise ValueError(
                f"chunk_samples: expected a multiple of {hop * stride}, {stride} hops of {hop}, "
                f"got {chunk_samples}"
            )
        self.frontend = frontend
        self.encoder = encoder
        self.chunk_samples = chunk_samples
        self.hop = hop * stride
        self._frames = chunk_samples // hop
        self._order = frontend.deltas.order
        self._reach = frontend.deltas.reach
        self._static = frontend.n_features // (1 + self._order)
        self.delay = self._reach * self._order
        # So many whole hops that each chunk completes as many frames as it has hops, and that the
        # first frame of all is the first of those that the encoder makes one.
        lead = -(-(width - hop) // hop)
        self._lead = lead + -(lead + self.delay) % stride
        self._kept = self._lead * hop
        self._used = (self._frames - 1) * hop + width
        self._enough = self._lead + self.delay + 3 * self._reach + 1
        self.warmup_samples = (self._lead + self.delay + stride) * hop
        cached = 2 * self._reach * self._static * self._order
        self._own = 1 + self._kept + cached
        self.state_size = self._own + int(encoder.state_size)  # type: ignore[arg-type]

    @torch.jit.unused
    def initial_state(self, batch: int = 1) -> Tensor:
        """The state ``[B, S]`` of streams that have not begun: zeros."""
        return torch.zeros(batch, self.state_size, dtype=self.frontend.spectrogram.kernel.dtype)

    def embed(self, chunk: Tensor, state: Tensor) -> Tuple[Tensor, Tensor]:
        """Chunk ``[B, C]``, state ``[B, S]`` → embedding ``[B, D]``, state ``[B, S]``."""
        check_features("chunk", chunk, self.chunk_samples)
        check_shape("state", state, [chunk.size(0), self.state_size])
        count = state.narrow(1, 0, 1)
        samples = torch.cat([state.narrow(1, 1, self._kept), chunk], dim=1)
        last = samples.narrow(1, self.chunk_samples, self._kept)
        frames = self.frontend.frames(samples.narrow(1, 0, self._used))
        features, cached = self._with_slopes(frames, count, state)
        known = _known(count, -self._lead - self.delay, self._frames)
        past = state.narrow(1, self._own, self.state_size - self._own)
        embedding, encoded = self.encoder.step(features, known, past)  # type: ignore[operator]
        count = (count + self._frames).clamp(max=float(self._enough))
        if self._order == 0:
            return embedding, torch.cat([count, last, encoded], dim=1)
        return embedding, torch.cat([count, last, cached, encoded], dim=1)

    def _with_slopes(self, x: Tensor, count: Tensor, state: Tensor) -> Tuple[Tensor, Tensor]:
        """The frames that have all their neighbours now, with their slopes, and what to keep."""
        batch, n, reach = x.size(0), self._frames, self._reach
        size = 2 * reach * self._static
        begin = 1 + self._kept
        if self._order == 0:
            return x, state
        before = state.narrow(1, begin, size).reshape(batch, self._static, 2 * reach)
        x = _repeated(torch.cat([before, x], dim=2), count, -self._lead - 2 * reach)
        kept = x.narrow(2, n, 2 * reach).flatten(1)
        slopes = self.frontend.deltas.inner_slope(x)
        if self._order == 1:
            return torch.cat([x.narrow(2, reach, n), slopes], dim=1), kept
        before = state.narrow(1, begin + size, size).reshape(batch, self._static, 2 * reach)
        y = _repeated(torch.cat([before, slopes], dim=2), count, -self._lead - 3 * reach)
        kept = torch.cat([kept, y.narrow(2, n, 2 * reach).flatten(1)], dim=1)
        second = self.frontend.deltas.inner_slope(y)
        return torch.cat([x.narrow(2, 0, n), y.narrow(2, reach, n), second], dim=1), kept


class StreamingScorePipeline(_Stream):
    r"""From a chunk of a stream to the raw score of all that was heard since it began.

    Chunked in any way, the features are those of the whole recording, the embedding and the score
    too: ``head.score(encoder(frontend(waveform)[:, :, :-delay]))``, up to rounding. Nothing is
    known of a frame's slopes before its neighbours are there, so the last ``delay`` frames wait.

    What lies behind is one tensor, given in and out, of zeros when the stream begins. A chunk with
    NaN poisons it: whoever calls refuses such a chunk and keeps the state.

    Args:
        frontend: a front end whose frames do not depend on the rest of the recording: with
            ``center=False``, without pre-emphasis of the whole and without decibels below the
            loudest value.
        encoder: causal, with ``step`` and ``state_size``, such as :class:`CausalLightCNN`.
        head: a module with ``forward(embeddings, labels) -> loss`` and
            ``score(embeddings) -> scores``, such as :class:`scriptable.OCSoftmax`.
        chunk_samples: C, a multiple of ``hop``: of the front end's hop, times the frames that the
            encoder makes one.

    Shape:
        - chunk: ``[B, C]`` in [−1, 1]; state: ``[B, S]`` with S = ``state_size``; result: the
          head's score, ``[B]``, higher = more bona fide, and the new state. Before
          ``warmup_samples`` samples no frame is complete, and the score says nothing.

    Raises:
        ValueError: if the parts cannot stream, or a shape is another.

    Reference:
        See :class:`RunningStatisticsPooling`.

    Example:
        >>> from scriptable import LFCC, CausalLightCNN, OCSoftmax
        >>> frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True, center=False, deltas=1)
        >>> pipeline = StreamingScorePipeline(
        ...     frontend, CausalLightCNN(40, 16), OCSoftmax(16), chunk_samples=3200
        ... ).eval()
        >>> stream, state = torch.randn(1, 9600), pipeline.initial_state()
        >>> for chunk in stream.split(3200, dim=1):
        ...     score, state = pipeline(chunk, state)
        >>> whole = pipeline.head.score(
        ...     pipeline.encoder(frontend(stream)[:, :, : -pipeline.delay])
        ... )
        >>> torch.allclose(score, whole, atol=1e-6)
        True
    """

    def __init__(
        self, frontend: FrontEnd, encoder: nn.Module, head: nn.Module, chunk_samples: int = 2560
    ) -> None:
        super().__init__(frontend, encoder, chunk_samples)
        for method in ("forward", "score"):
            if not callable(getattr(head, method, None)):
                raise ValueError(
                    f"head: expected a module with forward and score, got {type(head).__name__} "
                    f"without {method}"
                )
        self.head = head

    # Not "state" in forward: Core ML, where that word is taken, would call the input otherwise.
    def forward(self, chunk: Tensor, past: Tensor) -> Tuple[Tensor, Tensor]:
        """Chunk ``[B, C]``, state ``[B, S]`` → raw score ``[B]``, state ``[B, S]``."""
        embedding, state = self.embed(chunk, past)
        score: Tensor = self.head.score(embedding)  # type: ignore[operator]
        return score, state


class StreamingEmbeddingPipeline(_Stream):
    """From a chunk of a stream to the speaker embedding of all that was heard since it began.

    Args:
        frontend: as of :class:`StreamingScorePipeline`.
        encoder: likewise.
        chunk_samples: likewise.
        scorer: a module with ``forward(enrolled, test)``; by default
            :class:`scriptable.CosineScore`.

    Shape:
        - chunk: ``[B, C]`` in [−1, 1]; state: ``[B, S]``; result: ``[B, D]``, and the new state.
        - ``verify``: enrolled ``[S, D]`` or ``[S, M, D]`` and test ``[B, D]`` → ``[B, S]``,
          higher = more the same speaker.

    Raises:
        ValueError: if the parts cannot stream, or a shape is another.

    Example:
        >>> from scriptable import CausalLightCNN, LogMel
        >>> frontend = LogMel(n_mels=24, center=False)
        >>> pipeline = StreamingEmbeddingPipeline(frontend, CausalLightCNN(24, 16), 3200).eval()
        >>> embedding, state = pipeline(torch.randn(1, 3200), pipeline.initial_state())
        >>> embedding.shape, pipeline.verify(embedding, embedding).shape
        (torch.Size([1, 16]), torch.Size([1, 1]))
    """

    def __init__(
        self,
        frontend: FrontEnd,
        encoder: nn.Module,
        chunk_samples: int = 2560,
        scorer: Optional[nn.Module] = None,
    ) -> None:
        super().__init__(frontend, encoder, chunk_samples)
        self.scorer = CosineScore() if scorer is None else scorer

    def forward(self, chunk: Tensor, past: Tensor) -> Tuple[Tensor, Tensor]:
        """Chunk ``[B, C]``, state ``[B, S]`` → embedding ``[B, D]``, state ``[B, S]``."""
        return self.embed(chunk, past)

    @torch.jit.export
    def verify(self, enrolled: Tensor, test: Tensor) -> Tensor:
        """Enrolled ``[S, D]`` or ``[S, M, D]``, test ``[B, D]`` → raw score ``[B, S]``."""
        scores: Tensor = self.scorer(enrolled, test)
        return scores


def _known(count: Tensor, first: int, frames: int) -> Tensor:
    """``[B, T]``: 1 where frame ``count + first + j`` is the stream's first or later, else 0."""
    steps = torch.arange(first + 1, first + 1 + frames, dtype=count.dtype, device=count.device)
    return (count + steps).clamp(0.0, 1.0)


def _repeated(x: Tensor, count: Tensor, first: int) -> Tensor:
    """``[B, F, T]`` with the stream's first frame in the place of all that stand before it.

    By products with 0 and 1, which are exact and delegated where a choice is not.
    """
    known = _known(count, first, x.size(2)).unsqueeze(1)
    begins = known - _known(count, first - 1, x.size(2)).unsqueeze(1)
    start = (x * begins).sum(2, keepdim=True)
    return x * known + start * (1.0 - known)
