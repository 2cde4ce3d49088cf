"""Rows of the scores: verification, normalisation, calibration, fusion."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Generator, nn

import scriptable
from export.backends import Inputs
from export.catalog import draw
from export.catalog.row import Row

_SPEAKERS, _ENROLLED, _BATCH, _DIM = 3, 2, 4, 8


def _one(g: Generator) -> Inputs:
    return draw.normal(g, _SPEAKERS, _DIM), draw.normal(g, _BATCH, _DIM)


def _several(g: Generator) -> Inputs:
    return draw.normal(g, _SPEAKERS, _ENROLLED, _DIM), draw.normal(g, _BATCH, _DIM)


def _scorer(
    entry: str,
    module: Callable[[], nn.Module],
    variant: str = "",
    inputs: Callable[[Generator], Inputs] = _one,
    also: tuple[str, ...] = (),
) -> Row:
    return Row(
        entry=entry,
        variant=variant,
        module=module,
        methods={"forward": inputs},
        also=also,
        differentiable=(0, 1),
        on_device=True,
    )


def _norm(form: str) -> nn.Module:
    return scriptable.ScoreNorm(torch.randn(12, _DIM), form, top=5)


def _plda() -> nn.Module:
    speakers = torch.arange(120) // 6
    voices = torch.randn(20, _DIM)
    embeddings = voices[speakers] + 0.5 * torch.randn(120, _DIM)
    return scriptable.fit_plda(embeddings, speakers, lda_dim=5, iterations=3)


def _covariances() -> nn.Module:
    return scriptable.PLDA(
        0.1 * torch.ones(_DIM),
        torch.eye(_DIM) + 0.2,
        torch.diag(torch.linspace(3.0, 0.0, _DIM)),
        length_norm=False,
    )


ROWS = [
    _scorer("cosine_score", scriptable.CosineScore, also=("CosineScore",)),
    _scorer(
        "cosine_score", scriptable.CosineScore, "several enrolled", _several, ("speaker_centroid",)
    ),
    *(
        _scorer("score_norm", partial(_norm, form), form, also=("ScoreNorm",))
        for form in ("z", "t", "s", "as")
    ),
    _scorer("score_norm", partial(_norm, "as"), "as, several enrolled", _several),
    _scorer("plda_score", _plda, "LDA, length norm", also=("PLDA",)),
    _scorer("plda_score", _covariances, "several enrolled", _several),
    Row(
        entry="AffineCalibration",
        module=lambda: scriptable.AffineCalibration(3.0, -0.5),
        methods={"forward": lambda g: (draw.normal(g, 8),)},
        on_device=True,
    ),
    Row(
        entry="Fusion",
        module=lambda: scriptable.Fusion([1.5, -0.5, 2.0], 0.25),
        methods={"forward": lambda g: (draw.normal(g, 6, 3),)},
        on_device=True,
    ),
    Row(
        entry="posterior",
        module=lambda: scriptable.Posterior(0.05),
        methods={"forward": lambda g: (5.0 * draw.normal(g, 8),)},
        also=("Posterior",),
        on_device=True,
    ),
    Row(
        entry="sasv_score",
        module=lambda: scriptable.SASVScore(8.0, -2.0, 5.0, 0.5, 0.3),
        methods={"forward": lambda g: (draw.normal(g, _BATCH, 3), draw.normal(g, _BATCH, 1))},
        also=("SASVScore",),
        differentiable=(0, 1),
        on_device=True,
    ),
]
