"""Score normalisation against a cohort of impostors."""

from typing import Final, Tuple

import torch
from torch import Tensor, nn

from scriptable._core.checks import check_choice, check_rank, check_whole
from scriptable._core.numeric import at_least_float32, unit
from scriptable.scoring.cosine import check_embeddings, check_pair, cosine_score, speaker_centroid

_LEAST_SPREAD = 1e-4


def _statistics(scores: Tensor) -> Tuple[Tensor, Tensor]:
    """Mean and standard deviation along the last axis; the floor keeps equal scores finite."""
    mean = scores.mean(-1)
    variance = (scores - mean.unsqueeze(-1)).square().mean(-1)
    return mean, variance.clamp(min=1e-8).sqrt()


def score_norm(
    scores: Tensor,
    enrolled_cohort: Tensor,
    test_cohort: Tensor,
    form: str = "as",
    top: int = 300,
) -> Tensor:
    r"""Normalise scores by the scores of the same utterances against a cohort.

    .. math::
        z_{bn} = \frac{s_{bn} - \mu(e_n)}{\sigma(e_n)}, \quad
        t_{bn} = \frac{s_{bn} - \mu(t_b)}{\sigma(t_b)}, \quad
        s'_{bn} = \tfrac12 (z_{bn} + t_{bn})

    with μ(x), σ(x) the mean and (population) standard deviation of the scores of x against the
    cohort. The forms ``"z"``, ``"t"`` and ``"s"`` are these three; ``"as"``, adaptive, is ``"s"``
    with only the ``top`` highest cohort scores of each enrolled speaker and each test utterance.

    Args:
        scores: ``[B, N]``.
        enrolled_cohort: scores of the N enrolled speakers against the C of the cohort, ``[N, C]``.
        test_cohort: scores of the B test utterances against the cohort, ``[B, C]``.
        form: ``"z"``, ``"t"``, ``"s"`` or ``"as"``.
        top: cohort scores that ``"as"`` keeps, at least 2.

    Returns:
        ``[B, N]``, in standard deviations.

    Raises:
        ValueError: on wrong shapes, an unknown form, or a cohort smaller than ``top``. Constant
            cohort scores cannot be seen in a static graph: :func:`check_cohort` finds them.

    Reference:
        Matějka et al., "Analysis of Score Normalization in Multilingual Speaker Recognition", 2017,
        adaptive S-norm 1.

    Example:
        >>> scores, cohort = torch.tensor([[0.8]]), torch.tensor([[0.1, 0.3, -0.9]])
        >>> score_norm(scores, cohort, cohort, "as", 2)
        tensor([[6.0000]])
    """
    check_choice("form", form, ["z", "t", "s", "as"])
    check_rank("scores", scores, "[B, N]", 2)
    for name, cohort, count in (
        ("enrolled_cohort", enrolled_cohort, scores.shape[1]),
        ("test_cohort", test_cohort, scores.shape[0]),
    ):
        if cohort.dim() != 2 or cohort.shape[0] != count or cohort.shape[1] < 2:
            raise ValueError(
                f"{name}: expected shape [{count}, C] with C of 2 or more, got {list(cohort.shape)}"
            )
    raw = at_least_float32(scores)
    enrolled_best = at_least_float32(enrolled_cohort)
    test_best = at_least_float32(test_cohort)
    if form == "as":
        _check_top(top, min(enrolled_cohort.shape[1], test_cohort.shape[1]))
        enrolled_best = torch.topk(enrolled_best, top, 1)[0]
        test_best = torch.topk(test_best, top, 1)[0]
    result = torch.zeros_like(raw)
    if form != "t":
        mean, deviation = _statistics(enrolled_best)
        result = result + (raw - mean.unsqueeze(0)) / deviation.unsqueeze(0)
    if form != "z":
        mean, deviation = _statistics(test_best)
        result = result + (raw - mean.unsqueeze(1)) / deviation.unsqueeze(1)
    if form == "s" or form == "as":
        return 0.5 * result
    return result


def check_cohort(scores: Tensor, top: int = 0, name: str = "cohort") -> None:
    """Raise unless the cohort scores of every trial differ; call it on the host.

    :func:`score_norm` divides by their spread, and cannot look at it in a static graph: there a
    spread below 1e-4 counts as 1e-4, and scores of some thousand standard deviations come out.

    Args:
        scores: scores of R speakers or utterances against a cohort, ``[R, C]``.
        top: how many of the highest ``"as"`` will keep; 0 for all.
        name: how the message calls them.

    Raises:
        ValueError: naming the first trial whose cohort scores are constant.

    Example:
        >>> check_cohort(torch.tensor([[0.1, 0.3], [0.2, 0.2]]))
        Traceback (most recent call last):
        ...
        ValueError: cohort: expected scores that differ, got 2 of 0.2 for trial 1
    """
    check_rank(name, scores, "[R, C]", 2)
    kept = torch.topk(scores, top, 1)[0] if top else scores
    constant = kept.double().std(1, unbiased=False) < _LEAST_SPREAD
    if bool(constant.any()):
        trial = int(constant.nonzero()[0])
        raise ValueError(
            f"{name}: expected scores that differ, got {kept.shape[1]} of "
            f"{float(kept[trial, 0]):.6g} for trial {trial}"
        )


def _check_directions(cohort: Tensor, form: str, top: int) -> None:
    """Raise if so many of the cohort are one and the same that a trial's scores have no spread."""
    _, groups, sizes = torch.unique(
        unit(cohort.double(), 1).round(decimals=5), dim=0, return_inverse=True, return_counts=True
    )
    most = int(sizes.argmax())
    needed = top if form == "as" else len(cohort)
    if int(sizes[most]) >= needed:
        first, second = (groups == most).nonzero().squeeze(1)[:2].tolist()
        raise ValueError(
            f"cohort: expected embeddings that differ, got {int(sizes[most])} of one direction, "
            f"such as [{first}] and [{second}]; the {needed} highest scores of an utterance may "
            "all be theirs, with no spread"
        )


def _check_top(top: int, cohort: int) -> None:
    check_whole("top", top)
    if top < 2:
        raise ValueError(f"top: expected 2 or more, got {top}")
    if top > cohort:
        raise ValueError(f"top: expected at most the {cohort} of the cohort, got {top}")


class ScoreNorm(nn.Module):
    r"""Cosine scorer, normalised against a cohort that it contains.

    :func:`score_norm` of :func:`cosine_score`; the cohort is a buffer, so that it travels inside
    the artefact.

    Args:
        cohort: embeddings of C impostors, ``[C, D]``, of other speakers than will be enrolled.
        form: ``"z"``, ``"t"``, ``"s"`` or ``"as"`` (adaptive, the default).
        top: cohort scores that ``"as"`` keeps.

    Shape:
        - enrolled: ``[N, D]`` or ``[N, M, D]``; test: ``[B, D]``; result: ``[B, N]``, higher = more
          the same speaker.

    Raises:
        ValueError: on wrong shapes, an unknown form, a cohort smaller than ``top``, or one with
            zero vectors, NaN, or so many of one direction that scores against them have no spread.

    Reference:
        Matějka et al., "Analysis of Score Normalization in Multilingual Speaker Recognition", 2017,
        adaptive S-norm 1.

    Example:
        >>> scorer = ScoreNorm(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), "as", 2)
        >>> scorer(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]]))
        tensor([[2.6000]])
    """

    form: Final[str]
    top: Final[int]
    cohort: Tensor

    def __init__(self, cohort: Tensor, form: str = "as", top: int = 300) -> None:
        super().__init__()
        check_choice("form", form, ["z", "t", "s", "as"])
        if cohort.dim() != 2 or cohort.shape[0] < 2:
            raise ValueError(
                f"cohort: expected shape [C, D] with C of 2 or more, got {list(cohort.shape)}"
            )
        check_embeddings(cohort, "cohort")
        if form == "as":
            _check_top(top, cohort.shape[0])
        _check_directions(cohort.detach(), form, top)
        self.form = form
        self.top = top
        self.register_buffer("cohort", unit(at_least_float32(cohort.detach()), 1))

    def forward(self, enrolled: Tensor, test: Tensor) -> Tensor:
        """Enrolled ``[N, D]`` or ``[N, M, D]``, test ``[B, D]`` → ``[B, N]``."""
        check_pair(enrolled, test)
        speakers = speaker_centroid(enrolled) if enrolled.dim() == 3 else enrolled
        return score_norm(
            cosine_score(speakers, test),
            cosine_score(self.cohort, speakers),
            cosine_score(self.cohort, test),
            self.form,
            self.top,
        )
