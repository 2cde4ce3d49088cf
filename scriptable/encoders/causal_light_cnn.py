"""A light CNN for streams: causal in time, with a state of fixed size and running statistics."""

from typing import Final, List, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scriptable._core.checks import (
    check_features,
    check_not_negative,
    check_rank,
    check_size,
    check_whole,
)
from scriptable.encoders.light_cnn import MaxFeatureMap
from scriptable.encoders.pooling import RunningStatisticsPooling


class _CausalBlock(nn.Module):
    """Convolution that looks back only, perhaps half as many bins and frames, max-feature-map.

    ``pool`` is how many bins and frames become one.
    """

    inputs: Final[int]
    bins: Final[int]
    reach: Final[int]
    state_size: Final[int]
    stride: Final[int]

    def __init__(
        self, inputs: int, outputs: int, kernel: int, bins: int, pool: Tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.inputs = inputs
        self.bins = bins
        self.reach = kernel - 1
        self.state_size = inputs * bins * self.reach
        self.stride = pool[1]
        # The normalisation follows its convolution directly so that runtimes can fold it in. Of two
        # maxima the pooling is first: it leaves the other a quarter of the elements.
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, 2 * outputs, kernel, padding=(kernel // 2, 0), bias=False),
            nn.BatchNorm2d(2 * outputs),
            nn.MaxPool2d(pool, pool) if pool != (1, 1) else nn.Identity(),
            MaxFeatureMap(),
        )

    def forward(self, x: Tensor, state: Tensor) -> Tuple[Tensor, Tensor]:
        """``[B, C, F, T]`` with the frames before it, and the last ones for the next time."""
        if self.reach == 0:
            return self.layers(x), state
        before = state.reshape(x.size(0), self.inputs, self.bins, self.reach)
        x = torch.cat([before, x], dim=3)
        last = x.narrow(3, x.size(3) - self.reach, self.reach)
        return self.layers(x), last.flatten(1)


class CausalLightCNN(nn.Module):
    """Features → embedding of all that was heard so far, at once or part by part, with one result.

    The blocks of :class:`LightCNN`, which never look ahead here, and
    :class:`RunningStatisticsPooling`. Before the first frame stand zeros.

    Args:
        n_features: number F of features per frame.
        embedding_dim: size D of the embedding.
        half_life: frames after which a frame counts half, so that a change is heard after any time;
            0: all frames count alike for ever.
        stride: frames that become one on the way, 1, 2, 4 or 8; parts are multiples of it. More
            of them see more of the past, at less cost.

    Shape:
        - features: ``[B, F, T]``; embeddings: ``[B, D]``.
        - ``step``: features ``[B, F, T]``, known ``[B, T]``, 1 for a frame and 0 for what stands
          before the first, state ``[B, S]`` with S = ``state_size`` → embeddings ``[B, D]``, state
          ``[B, S]``. A stream begins with a state of zeros.

    Raises:
        ValueError: if there are fewer than 8 features, or a shape is another.

    Reference:
        Wu et al., arXiv 1511.02683, the max-feature-map; see :class:`RunningStatisticsPooling`.

    Example:
        >>> encoder = CausalLightCNN(n_features=20, embedding_dim=16).eval()
        >>> features, known = torch.randn(2, 20, 48), torch.ones(2, 48)
        >>> state = torch.zeros(2, encoder.state_size)
        >>> for part in range(0, 48, 16):
        ...     embedding, state = encoder.step(
        ...         features[:, :, part : part + 16], known[:, part : part + 16], state
        ...     )
        >>> torch.allclose(embedding, encoder(features), atol=1e-6)
        True
    """

    n_features: Final[int]
    state_size: Final[int]
    stride: Final[int]

    def __init__(
        self, n_features: int, embedding_dim: int = 64, half_life: float = 0.0, stride: int = 8
    ) -> None:
        super().__init__()
        check_whole("n_features", n_features)
        check_size("embedding_dim", embedding_dim)
        check_not_negative("half_life", half_life)
        check_whole("stride", stride)
        if n_features < 8:
            raise ValueError(f"n_features: expected 8 or more, got {n_features}")
        if stride not in (1, 2, 4, 8):
            raise ValueError(f"stride: expected one of [1, 2, 4, 8], got {stride}")
        self.n_features = n_features
        self.stride = stride
        pools = [(2, 2 if stride >= 2 ** (i + 1) else 1) for i in range(3)]
        blocks = [
            _CausalBlock(1, 16, 5, n_features, pools[0]),
            _CausalBlock(16, 16, 1, n_features // 2),
            _CausalBlock(16, 24, 3, n_features // 2, pools[1]),
            _CausalBlock(24, 24, 1, n_features // 4),
            _CausalBlock(24, 32, 3, n_features // 4, pools[2]),
        ]
        self.blocks = nn.ModuleList(blocks)
        channels = 32 * (n_features // 8)
        self.pooling = RunningStatisticsPooling(channels, half_life=half_life / stride)
        self.embedding = nn.Linear(2 * channels, embedding_dim)
        self.state_size = sum(block.state_size for block in blocks) + self.pooling.state_size

    def forward(self, features: Tensor) -> Tensor:
        """``[B, F, T]`` → ``[B, D]``."""
        check_rank("features", features, f"[B, {self.n_features}, T]", 3)
        batch, frames = features.size(0), features.size(2)
        known = torch.ones(batch, frames, dtype=features.dtype, device=features.device)
        empty = torch.zeros(batch, self.state_size, dtype=features.dtype, device=features.device)
        return self.step(features, known, empty)[0]

    def step(self, features: Tensor, known: Tensor, state: Tensor) -> Tuple[Tensor, Tensor]:
        """The embedding ``[B, D]`` with some frames more, and the new state ``[B, S]``."""
        if features.dim() != 3 or features.shape[1] != self.n_features:
            raise ValueError(
                f"features: expected shape [B, {self.n_features}, T], got {list(features.shape)}"
            )
        check_features("state", state, self.state_size)
        mask = known.reshape(known.size(0), 1, 1, known.size(1))
        x = features.reshape(features.size(0), 1, features.size(1), features.size(2)) * mask
        parts: List[Tensor] = []
        begin = 0
        for block in self.blocks:
            size: int = block.state_size  # type: ignore[assignment]
            stride: int = block.stride  # type: ignore[assignment]
            x, part = block(x, state.narrow(1, begin, size))
            if stride > 1:
                mask = F.max_pool2d(mask, kernel_size=[1, stride], stride=[1, stride])
            # What a whole recording has before its first frame are zeros, in every layer.
            x = x * mask
            if size > 0:
                parts.append(part)
            begin += size
        last = state.narrow(1, begin, self.pooling.state_size)
        pooled, part = self.pooling.step(x.flatten(1, 2), mask.flatten(1), last)
        parts.append(part)
        return self.embedding(pooled), torch.cat(parts, dim=1)
