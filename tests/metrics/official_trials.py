"""Trials with ties that the ASVspoof packages were run on, drawn without a random generator."""

import math

import torch
from torch import Tensor

COUNT = 200
PARTS = [("progress", "eval", "eval", "hidden")[i % 4] for i in range(COUNT)]


def countermeasure() -> tuple[Tensor, Tensor]:
    """Scores to one decimal, so that many are tied, and 1 for every fifth as bona fide."""
    labels = [int(i * 7 % 5 == 0) for i in range(COUNT)]
    scores = [
        round(2.2 * label + 1.3 * math.sin(1.7 * i) + 0.9 * math.cos(0.31 * i * i), 1)
        for i, label in enumerate(labels)
    ]
    return torch.tensor(scores, dtype=torch.float64), torch.tensor(labels)


def verification() -> tuple[Tensor, Tensor]:
    """Scores of targets (1), non-targets (0) and spoofs (2)."""
    labels = [(1, 0, 2)[i % 3] for i in range(COUNT)]
    scores = [
        round((0.0, 2.0, 1.2)[label] + 1.1 * math.sin(2.3 * i), 1) for i, label in enumerate(labels)
    ]
    return torch.tensor(scores, dtype=torch.float64), torch.tensor(labels)
