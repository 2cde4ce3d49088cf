"""Waveform → features → embedding → score, as one module."""

from typing import Final, Optional, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_features, check_whole
from scriptable.scoring import CosineScore, SASVScore


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
        check_whole("num_samples", num_samples)
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


class EmbeddingPipeline(nn.Module):
    """Front end and encoder as one module from waveform to embedding, with its scorer.

    ``forward`` makes an embedding, ``verify`` compares embeddings: an artefact that holds both,
    with the cohort or the PLDA of its scorer, needs nothing else to decide.

    Args:
        frontend: waveform ``[B, N]`` → features ``[B, F, T]``.
        encoder: features ``[B, F, T]`` → embeddings ``[B, D]``.
        num_samples: N; the default is the field's window of about 4 s at 16 kHz.
        scorer: a module with ``forward(enrolled, test)``, such as :class:`scriptable.ScoreNorm` or
            :class:`scriptable.PLDA`; by default :class:`scriptable.CosineScore`.

    Shape:
        - waveform: ``[B, N]`` in [−1, 1]; result: ``[B, D]``.
        - ``verify``: enrolled ``[S, D]`` or ``[S, M, D]`` and test ``[B, D]`` → ``[B, S]``,
          higher = more the same speaker.

    Raises:
        ValueError: if the waveform is not ``[B, N]``.

    Example:
        >>> from scriptable import LFCC, LightCNN
        >>> frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True)
        >>> pipeline = EmbeddingPipeline(frontend, LightCNN(20, 16), num_samples=16000).eval()
        >>> embeddings = pipeline(torch.randn(3, 16000))
        >>> embeddings.shape, pipeline.verify(embeddings[:1], embeddings).shape
        (torch.Size([3, 16]), torch.Size([3, 1]))
    """

    num_samples: Final[int]

    def __init__(
        self,
        frontend: nn.Module,
        encoder: nn.Module,
        num_samples: int = 64600,
        scorer: Optional[nn.Module] = None,
    ) -> None:
        super().__init__()
        check_whole("num_samples", num_samples)
        if num_samples < 1:
            raise ValueError(f"num_samples: expected 1 or more, got {num_samples}")
        self.frontend = frontend
        self.encoder = encoder
        self.scorer = CosineScore() if scorer is None else scorer
        self.num_samples = num_samples

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform ``[B, N]`` → embedding ``[B, D]``."""
        check_features("waveform", waveform, self.num_samples)
        embeddings: Tensor = self.encoder(self.frontend(waveform))
        return embeddings

    @torch.jit.export
    def verify(self, enrolled: Tensor, test: Tensor) -> Tensor:
        """Enrolled ``[S, D]`` or ``[S, M, D]``, test ``[B, D]`` → raw score ``[B, S]``."""
        scores: Tensor = self.scorer(enrolled, test)
        return scores


class SASVPipeline(nn.Module):
    """One artefact that answers both questions: is it the speaker, and is it live speech.

    Args:
        speaker: waveform → embedding, and the scorer of embeddings.
        countermeasure: waveform → spoofing score, on the same number of samples.
        fusion: the two raw scores → one LLR, calibrated.

    Shape:
        - waveform: ``[B, N]``; result: embeddings ``[B, D]`` and spoofing scores ``[B]``, higher =
          more bona fide.
        - ``verify``: enrolled ``[S, D]`` or ``[S, M, D]``, test ``[B, D]`` and the test's spoofing
          scores ``[B]`` → LLR ``[B, S]`` in nats, higher = more this speaker, live.

    Raises:
        ValueError: if the waveform is not ``[B, N]``, or the parts disagree about N.

    Reference:
        Wang et al., arXiv 2406.10836; see :func:`scriptable.sasv_score`.

    Example:
        >>> from scriptable import LFCC, LightCNN, OCSoftmax
        >>> frontend = LFCC(n_lfcc=20, n_filter=20, log_lf=True)
        >>> speaker = EmbeddingPipeline(frontend, LightCNN(20, 16), 16000)
        >>> spoof = ScorePipeline(frontend, LightCNN(20, 16), OCSoftmax(16), 16000)
        >>> pipeline = SASVPipeline(speaker, spoof, SASVScore(asv_scale=8.0, cm_scale=5.0)).eval()
        >>> embeddings, live = pipeline(torch.randn(3, 16000))
        >>> pipeline.verify(embeddings[:1], embeddings, live).shape
        torch.Size([3, 1])
    """

    def __init__(
        self, speaker: EmbeddingPipeline, countermeasure: ScorePipeline, fusion: SASVScore
    ) -> None:
        super().__init__()
        if speaker.num_samples != countermeasure.num_samples:
            raise ValueError(
                f"countermeasure: expected num_samples {speaker.num_samples}, "
                f"got {countermeasure.num_samples}"
            )
        self.speaker = speaker
        self.countermeasure = countermeasure
        self.fusion = fusion

    def forward(self, waveform: Tensor) -> Tuple[Tensor, Tensor]:
        """Waveform ``[B, N]`` → embedding ``[B, D]``, spoofing score ``[B]``."""
        return self.speaker(waveform), self.countermeasure(waveform)

    @torch.jit.export
    def verify(self, enrolled: Tensor, test: Tensor, spoofing_score: Tensor) -> Tensor:
        """Enrolled ``[S, D]``, test ``[B, D]`` and its spoofing scores ``[B]`` → LLR ``[B, S]``."""
        scores: Tensor = self.fusion(
            self.speaker.verify(enrolled, test), spoofing_score.unsqueeze(1)
        )
        return scores
