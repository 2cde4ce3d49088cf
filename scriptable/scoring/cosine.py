"""The cosine between enrolled speakers and test utterances."""

import torch
from torch import Tensor, nn

from scriptable._core.numeric import at_least_float32, unit


def check_embeddings(embeddings: Tensor, name: str = "embeddings") -> None:
    """Raise unless every embedding is finite and non-zero; call it on the host.

    Args:
        embeddings: ``[*, D]``.
        name: how the message calls them.

    Raises:
        ValueError: naming the first embedding that is zero or not finite.

    Example:
        >>> check_embeddings(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), "enrolled")
        Traceback (most recent call last):
        ...
        ValueError: enrolled: expected a direction, got a zero vector at [1]
    """
    if embeddings.dim() < 1 or embeddings.shape[-1] == 0:
        raise ValueError(f"{name}: expected shape [*, D], got {list(embeddings.shape)}")
    broken = ~torch.isfinite(embeddings).all(-1)
    if bool(broken.any()):
        place = broken.nonzero()[0].tolist()
        raise ValueError(f"{name}: expected finite numbers, got NaN or inf at {place}")
    zero = (embeddings == 0).all(-1)
    if bool(zero.any()):
        place = zero.nonzero()[0].tolist()
        raise ValueError(f"{name}: expected a direction, got a zero vector at {place}")


def check_pair(enrolled: Tensor, test: Tensor) -> None:
    """Raise unless enrolled is ``[N, D]`` or ``[N, M, D]`` and test ``[B, D]``."""
    if test.dim() != 2:
        raise ValueError(f"test: expected shape [B, D], got {list(test.shape)}")
    size = test.shape[1]
    if (enrolled.dim() != 2 and enrolled.dim() != 3) or enrolled.shape[-1] != size:
        raise ValueError(
            f"enrolled: expected shape [N, {size}] or [N, M, {size}], got {list(enrolled.shape)}"
        )


def speaker_centroid(embeddings: Tensor) -> Tensor:
    r"""One direction for the M embeddings of a speaker: the mean of their directions.

    .. math:: c = \frac{1}{M}\sum_j \frac{e_j}{\|e_j\|}, \quad \text{at length one}

    Args:
        embeddings: ``[M, D]`` or ``[N, M, D]``.

    Returns:
        ``[D]`` or ``[N, D]``, at length one; zero if the embeddings cancel out.

    Raises:
        ValueError: if there is no axis of utterances.

    Reference:
        Snyder et al., "X-vectors: robust DNN embeddings for speaker recognition", 2018, as its
        recipes average enrolment utterances after length normalisation.

    Example:
        >>> speaker_centroid(torch.tensor([[3.0, 0.0], [0.0, 0.5]]))
        tensor([0.7071, 0.7071])
    """
    if embeddings.dim() < 2:
        raise ValueError(f"embeddings: expected shape [M, D], got {list(embeddings.shape)}")
    return unit(unit(at_least_float32(embeddings), -1).mean(-2), -1)


def cosine_score(enrolled: Tensor, test: Tensor) -> Tensor:
    r"""Cosine of every test utterance with every enrolled speaker.

    .. math:: s_{bn} = \cos(t_b, c_n), \qquad c_n = \frac{1}{M}\sum_j \frac{e_{nj}}{\|e_{nj}\|}

    Args:
        enrolled: one embedding a speaker, ``[N, D]``, or M of them, ``[N, M, D]``.
        test: ``[B, D]``.

    Returns:
        ``[B, N]`` in [−1, 1]; 0 where an embedding is zero (see :func:`check_embeddings`).

    Raises:
        ValueError: on wrong shapes.

    Reference:
        Dehak et al., "Front-end factor analysis for speaker verification", 2011, cosine distance
        scoring.

    Example:
        >>> enrolled = torch.tensor([[[2.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 3.0]]])
        >>> cosine_score(enrolled, torch.tensor([[0.0, 5.0]]))
        tensor([[0.7071, 1.0000]])
    """
    check_pair(enrolled, test)
    directions = unit(at_least_float32(test), 1)
    if enrolled.dim() == 3:
        centres = speaker_centroid(enrolled)
    else:
        centres = unit(at_least_float32(enrolled), 1)
    return at_least_float32(directions @ centres.transpose(0, 1)).clamp(-1.0, 1.0)


class CosineScore(nn.Module):
    r"""Cosine scorer; see :func:`cosine_score`.

    Shape:
        - enrolled: ``[N, D]`` or ``[N, M, D]``; test: ``[B, D]``; result: ``[B, N]`` in [−1, 1],
          higher = more the same speaker.

    Raises:
        ValueError: on wrong shapes.

    Reference:
        Dehak et al., "Front-end factor analysis for speaker verification", 2011, cosine distance
        scoring.

    Example:
        >>> CosineScore()(torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 4.0], [-2.0, 0.0]]))
        tensor([[ 0.6000],
                [-1.0000]])
    """

    def forward(self, enrolled: Tensor, test: Tensor) -> Tensor:
        """Enrolled ``[N, D]`` or ``[N, M, D]``, test ``[B, D]`` → ``[B, N]``."""
        return cosine_score(enrolled, test)
