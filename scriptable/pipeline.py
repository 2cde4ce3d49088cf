"""Waveform → features → embedding → score, as one module."""

from typing import Final

import torch
from torch import Tensor, nn

from scriptable._checks import check_features


class ScorePipeline(nn.Module):
    """Front end, encoder and head as one module from waveform to raw score.

    The number of samples is fixed, so that the exported graph is static; cutting and repeating
    audio to that length is :func:`scriptable.cut_windows`, outside the graph.

    Args:
        frontend: waveform ``[B, N]`` → features ``[B, F, T]``.
        encoder: features ``[B, F, T]`` → embeddings ``[B, D]``.
        head: a module with ``forward(embeddings, labels) -> loss`` and
            ``score(embeddings) -> scores``, such as :class:`scriptable.OCSoftmax`.
        num_samples: N; the default is the field's window of about 4 s at 16 kHz.

    Shape:
        - waveform: ``[B, N]`` in [−1, 1]; result: the head's score, ``[B]``, higher = more bona
          fide.

    Raises:
        ValueError: if the waveform is not ``[B, N]``.

    Example:
        >>> from scriptable import LFCC, LightCNN, OCSoftmax
        >>> frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True)
        >>> pipeline = ScorePipeline(
        ...     frontend, LightCNN(20, 16), OCSoftmax(16), num_samples=16000
        ... ).eval()
        >>> pipeline(torch.zeros(3, 16000)).shape
        torch.Size([3])
    """

    num_samples: Final[int]

    def __init__(
        self, frontend: nn.Module, encoder: nn.Module, head: nn.Module, num_samples: int = 64600
    ) -> None:
        super().__init__()
        for method in ("forward", "score"):
            if not callable(getattr(head, method, None)):
                raise ValueError(
                    f"head: expected a module with forward and score, got {type(head).__name__} "
                    f"without {method}"
                )
        if num_samples < 1:
            raise ValueError(f"num_samples: expected 1 or more, got {num_samples}")
        self.frontend = frontend
        self.encoder = encoder
        self.head = head
        self.num_samples = num_samples

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform ``[B, N]`` → raw score ``[B]``."""
        check_features("waveform", waveform, self.num_samples)
        scores: Tensor = self.head.score(self.encoder(self.frontend(waveform)))  # type: ignore[operator]
        return scores

    @torch.jit.unused
    def loss(self, waveform: Tensor, labels: Tensor) -> Tensor:
        """Training loss: waveform ``[B, N]``, labels ``[B]`` → scalar."""
        check_features("waveform", waveform, self.num_samples)
        return self.head(self.encoder(self.frontend(waveform)), labels)
