"""A small reference encoder: light CNN with max-feature-map, attentive statistics pooling."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_size, check_whole
from scriptable.encoders.pooling import AttentiveStatisticsPooling


class MaxFeatureMap(nn.Module):
    """Halve the channels by the maximum of the two halves: ``[B, 2C, ...]`` → ``[B, C, ...]``.

    Reference:
        Wu et al., "A Light CNN for Deep Face Representation with Noisy Labels", arXiv 1511.02683,
        the max-feature-map.

    Example:
        >>> MaxFeatureMap()(torch.tensor([[[1.0], [5.0], [2.0], [3.0]]]))
        tensor([[[2.], [5.]]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[B, 2C, ...]`` → ``[B, C, ...]``."""
        # Not chunk: ExecuTorch's lowering fixes a dynamic batch there.
        half = x.shape[1] // 2
        return torch.maximum(x[:, :half], x[:, half:])


class LightCNN(nn.Module):
    """Features → embedding: five convolution blocks with max-feature-map, pooled over time.

    Args:
        n_features: number F of features per frame.
        embedding_dim: size D of the embedding.

    Shape:
        - features: ``[B, F, T]``; embeddings: ``[B, D]``.

    Reference:
        Lavrentyeva et al., "STC Antispoofing Systems for the ASVspoof2019 Challenge", arXiv
        1904.05576, table 1, made narrower.

    Example:
        >>> encoder = LightCNN(n_features=60, embedding_dim=64)
        >>> encoder(torch.randn(2, 60, 100)).shape
        torch.Size([2, 64])
        >>> sum(p.numel() for p in encoder.parameters()) <= 120_000
        True
    """

    def __init__(self, n_features: int, embedding_dim: int = 64) -> None:
        super().__init__()
        check_whole("n_features", n_features)
        check_size("embedding_dim", embedding_dim)
        if n_features < 8:
            raise ValueError(f"n_features: expected 8 or more, got {n_features}")
        self.n_features = n_features
        # Numbered as when the poolings stood between them: checkpoints load.
        blocks = [
            ("0", _block(1, 16, 5, pool=2)),
            ("2", _block(16, 16, 1)),
            ("3", _block(16, 24, 3, pool=2)),
            ("5", _block(24, 24, 1)),
            ("6", _block(24, 32, 3, pool=2)),
        ]
        self.blocks = nn.Sequential(OrderedDict(blocks))
        channels = 32 * (n_features // 8)
        self.pooling = AttentiveStatisticsPooling(channels)
        self.embedding = nn.Linear(2 * channels, embedding_dim)

    def forward(self, features: Tensor) -> Tensor:
        """``[B, F, T]`` → ``[B, D]``."""
        if features.dim() != 3 or features.shape[1] != self.n_features:
            raise ValueError(
                f"features: expected shape [B, {self.n_features}, T], got {list(features.shape)}"
            )
        maps = self.blocks(features.unsqueeze(1))
        return self.embedding(self.pooling(maps.flatten(1, 2)))


def _block(inputs: int, outputs: int, kernel: int, pool: int = 1) -> nn.Sequential:
    # The normalisation follows its convolution directly so that runtimes can fold it in. Of two
    # maxima the pooling is first: it leaves the other a quarter of the elements.
    return nn.Sequential(
        nn.Conv2d(inputs, 2 * outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(2 * outputs),
        nn.MaxPool2d(pool) if pool > 1 else nn.Identity(),
        MaxFeatureMap(),
    )
